"""Processing time and the wall clock: what is followed, when, and what is shown meanwhile."""

import time

import pytest

from edgead.agent import clock as module
from edgead.agent.clock import BELIEVED_AFTER_NS, Clock

S = 10**9
DAY_S = 86_400
NOW_S = 1_763_750_000
BELIEVED_AFTER_S = BELIEVED_AFTER_NS // S


class Watch:
    """Both clocks of a machine, moved by the test."""

    def __init__(self) -> None:
        self.wall_ns, self.steady_ns = NOW_S * S, 5 * S

    def pass_s(self, seconds: float, step_s: float = 0.0) -> None:
        self.steady_ns += int(seconds * S)
        self.wall_ns += int((seconds + step_s) * S)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(time, "time_ns", lambda: watch.wall_ns)
    monkeypatch.setattr(module, "steady_ns", lambda: watch.steady_ns)
    return watch


def test_processing_time_follows_the_wall_clock_while_nothing_happens(watch: Watch):
    clock = Clock()
    watch.pass_s(10)
    assert clock.watch() == 0
    assert clock.now_ns() == watch.wall_ns
    assert clock.trust == "trusted"


def test_drift_is_followed_forward_and_waited_for_backward(watch: Watch):
    clock = Clock()
    watch.pass_s(10, step_s=0.5)
    assert clock.watch() == 0
    assert clock.now_ns() == watch.wall_ns
    before = clock.now_ns()
    watch.pass_s(1, step_s=-0.5)
    assert clock.watch() == 0
    assert clock.now_ns() == before + S
    assert clock.trust == "trusted"


def test_a_clock_stepped_back_and_put_right_again_changes_nothing(watch: Watch):
    clock = Clock()
    before = clock.now_ns()
    watch.pass_s(1, step_s=-DAY_S)
    assert clock.watch() == 0
    assert clock.now_ns() == before + S
    assert (clock.trust, clock.doubt) == ("untrusted", "was stepped back")
    watch.pass_s(300, step_s=DAY_S)
    assert clock.watch() == 0
    assert clock.now_ns() == before + 301 * S
    assert clock.trust == "trusted"


def test_a_clock_that_stays_back_is_believed(watch: Watch):
    clock = Clock()
    watch.pass_s(1, step_s=-DAY_S)
    clock.watch()
    watch.pass_s(BELIEVED_AFTER_S - 1)
    assert clock.watch() == 0
    watch.pass_s(1)
    assert clock.watch() == -DAY_S * S
    assert clock.now_ns() == watch.wall_ns
    assert clock.trust == "trusted"
    assert clock.watch() == 0


@pytest.mark.parametrize("second", [100, 4_102_444_800])  # 1970 and 2100
def test_an_implausible_clock_is_never_followed(watch: Watch, second: int):
    clock = Clock()
    before = clock.now_ns()
    watch.pass_s(1, step_s=second - NOW_S)
    for _ in range(3):
        assert clock.watch() == 0
        assert clock.trust == "untrusted"
        watch.pass_s(BELIEVED_AFTER_S)
    assert clock.now_ns() == before + (3 * BELIEVED_AFTER_S + 1) * S
    watch.pass_s(0, step_s=NOW_S - second)
    assert clock.watch() == 0
    assert clock.trust == "trusted"


@pytest.mark.parametrize("second", [100, 4_102_444_800])
def test_a_device_that_woke_at_an_implausible_time_follows_when_it_learns_the_time(watch: Watch, second: int):
    watch.wall_ns = second * S
    clock = Clock()
    assert clock.trust == "untrusted"
    watch.pass_s(1, step_s=NOW_S - second)
    assert clock.watch() == (NOW_S - second) * S
    assert clock.now_ns() == watch.wall_ns
    assert clock.trust == "trusted"


def test_a_step_forward_is_followed_at_once_and_trusted_later(watch: Watch):
    clock = Clock()
    watch.pass_s(1, step_s=7 * DAY_S)
    assert clock.now_ns() == watch.wall_ns
    assert clock.watch() == 7 * DAY_S * S
    assert (clock.trust, clock.doubt) == ("untrusted", "was stepped forward")
    watch.pass_s(BELIEVED_AFTER_S)
    assert clock.watch() == 0
    assert clock.trust == "trusted"


def test_a_suspend_is_no_step(watch: Watch):
    clock = Clock()
    watch.pass_s(7 * DAY_S)
    assert clock.watch() == 0
    assert clock.now_ns() == watch.wall_ns
    assert clock.trust == "trusted"


@pytest.mark.parametrize("second", [100, 4_102_444_800])
def test_a_restart_at_an_implausible_time_goes_on_where_the_last_process_stood(watch: Watch, second: int):
    last_ns = watch.wall_ns
    watch.wall_ns = second * S
    clock = Clock()
    clock.continue_from(last_ns)
    assert clock.now_ns() == last_ns
    assert clock.trust == "untrusted"
    watch.pass_s(60, step_s=NOW_S + 3600 - second)
    clock.watch()
    assert clock.now_ns() == watch.wall_ns
    assert clock.trust == "trusted"


def test_a_restart_does_not_go_on_from_an_implausible_time(watch: Watch):
    clock = Clock()
    clock.continue_from(4_102_444_800 * S)
    assert clock.now_ns() == watch.wall_ns
