"""Processing time never goes back, whatever people do to the wall clock."""

import time

import pytest

from edgead.agent.clock import Clock

S = 10**9


class Watch:
    """Both clocks of a machine, moved by the test."""

    def __init__(self, wall_ns: int) -> None:
        self.wall_ns, self.monotonic_ns = wall_ns, 5 * S

    def pass_s(self, seconds: float, step_s: float = 0.0) -> None:
        self.monotonic_ns += int(seconds * S)
        self.wall_ns += int((seconds + step_s) * S)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch(1_763_750_000 * S)
    monkeypatch.setattr(time, "time_ns", lambda: watch.wall_ns)
    monkeypatch.setattr(time, "monotonic_ns", lambda: watch.monotonic_ns)
    return watch


def test_processing_time_follows_the_wall_clock_while_nothing_happens(watch: Watch):
    clock = Clock()
    watch.pass_s(10)
    assert clock.watch() == 0
    assert clock.now_ns() == watch.wall_ns
    assert clock.trust == "trusted"


def test_after_a_step_back_time_goes_on_counting_and_is_not_trusted(watch: Watch):
    clock = Clock()
    before = clock.now_ns()
    watch.pass_s(1, step_s=-86_400)
    assert clock.watch() == -86_400 * S
    assert clock.now_ns() == before + S
    assert clock.trust == "untrusted"


def test_a_device_that_woke_in_1970_follows_when_it_learns_the_time(watch: Watch):
    watch.wall_ns = 100 * S
    clock = Clock()
    assert clock.trust == "untrusted"
    watch.pass_s(1, step_s=1_763_750_000)
    assert clock.watch() > 0
    assert clock.now_ns() == watch.wall_ns
    assert clock.trust == "trusted"


def test_a_step_to_2100_and_back_never_turns_time_back(watch: Watch):
    clock = Clock()
    seen = []
    for step_s in (0, 2.4e9, -2.4e9, 0):
        watch.pass_s(1, step_s)
        clock.watch()
        seen.append(clock.now_ns())
    assert seen == sorted(seen)
    assert clock.trust == "untrusted"
