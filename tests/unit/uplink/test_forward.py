"""From a real outbox to a real HTTP server that fails in every way: in order, once, marked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgead.config import UplinkConfig
from edgead.errors import UplinkError
from edgead.store import Store, StoreLimits
from edgead.uplink import forward
from edgead.uplink.forward import Forwarder
from edgead.uplink.web import Web
from tests.cloud import Cloud
from tests.outbox import Outbox

NOW = 1_763_750_000_000_000_000


class Device:
    """A store, what the forwarder says is delivered, and the way to the cloud."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self.folder, self.cloud = folder, cloud
        self.store = Store.open(folder / "state", StoreLimits(), now_ns=NOW)
        self.cut = False
        self.paused: list[float] = []
        self.made = 0
        self.web = Web(UplinkConfig())
        self._post = forward.poster(self.web, cloud.url, "gw1")

    def make(self, count: int, **more: Any) -> None:
        bodies = []
        for _ in range(count):
            self.made += 1
            bodies.append(event(self.made, **more))
        self.store.commit(outbox=bodies, now_ns=NOW)

    def post(self, body: bytes) -> tuple[int, bytes]:
        if self.cut:
            raise UplinkError("the cable is cut")
        return self._post(body)

    def run(self, **limits: float) -> forward.Forwarded:
        forwarder = Forwarder(
            Outbox(self.store),
            self.post,
            self.folder / "uplink",
            self.store.acknowledge_outbox,
            pause=self.paused.append,
        )
        return forwarder.run(**limits)

    @property
    def waiting(self) -> int:
        return self.store.outbox_stats().rows


def event(number: int, **more: Any) -> bytes:
    record = {"id": f"id-{number}", "event": "open", "ts": number, **more}
    return msgspec.json.encode({"kind": "event", "record": record})


def told(cloud: Cloud) -> list[tuple[int, bool]]:
    """Numbers of the events the cloud has, in the order they came, and whether they are marked."""
    return [(line["record"]["ts"], line["replay"]) for line in cloud.records.values()]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
def device(tmp_path: Path, cloud: Cloud) -> Iterator[Device]:
    device = Device(tmp_path, cloud)
    yield device
    device.store.close()
    device.web.close()


def test_everything_goes_in_order_and_leaves_the_outbox(device: Device, cloud: Cloud) -> None:
    device.make(1300)
    done = device.run()
    assert (done.state, done.accepted, done.known, done.batches) == ("done", 1300, 0, 3)
    assert told(cloud) == [(number, False) for number in range(1, 1301)]
    assert device.waiting == 0
    line = cloud.lines[0]
    assert (line["seq"], line["kind"], line["created"]) == (1, "event", NOW // 10**6)


def test_nothing_to_send_asks_nobody(device: Device, cloud: Cloud) -> None:
    assert device.run().state == "done"
    assert cloud.requests == 0


def test_batches_are_bounded_in_bytes(device: Device, cloud: Cloud) -> None:
    device.make(20, text="x" * 100_000)
    assert device.run().batches == 10
    assert [number for number, _ in told(cloud)] == list(range(1, 21))


def test_after_an_outage_live_goes_first_and_the_backlog_second_in_order_and_marked(
    device: Device, cloud: Cloud
) -> None:
    device.make(2)
    device.run()
    device.cut = True
    for _ in range(3):
        device.make(600)
        assert (device.run().state, device.run().reason) == ("unreachable", "the cable is cut")
    device.make(3)
    device.cut = False
    assert device.run().state == "done"
    live = [(number, False) for number in (1, 2, 1803, 1804, 1805)]
    assert told(cloud) == live + [(number, True) for number in range(3, 1803)]
    assert device.waiting == 0
    device.make(1)
    device.run()
    assert told(cloud)[-1] == (1806, False)


def test_what_happens_while_the_backlog_is_sent_goes_before_the_rest_of_it(
    device: Device, cloud: Cloud
) -> None:
    device.cut = True
    device.make(1200)
    device.run()
    device.cut = False
    send, device.made = device.post, 5000

    def and_another(body: bytes) -> tuple[int, bytes]:
        answer = send(body)
        if cloud.requests == 1:
            device.make(1)
        return answer

    device.post = and_another  # type: ignore[method-assign]
    assert device.run().state == "done"
    order = [number for number, _ in told(cloud)]
    assert order == [*range(1, 501), 5001, *range(501, 1201)]


@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "silent", "cut", "page"])
def test_a_batch_without_a_usable_answer_is_sent_again(device: Device, cloud: Cloud, fault: str) -> None:
    device.make(3)
    cloud.faults += [fault, fault]
    done = device.run()
    assert (done.state, device.waiting, device.paused) == ("done", 0, [1.0, 4.0])
    assert told(cloud) == [(1, False), (2, False), (3, False)]
    assert done.known == (3 if fault in ("silent", "cut") else 0)


@pytest.mark.parametrize("fault", ["500", "silent", "page"])
def test_after_three_tries_it_waits_for_the_next_run(device: Device, cloud: Cloud, fault: str) -> None:
    device.make(3)
    cloud.faults += [fault] * 3
    done = device.run()
    assert (done.state, device.waiting) == ("unreachable", 3)
    assert done.reason
    assert device.run().state == "done"
    assert {number for number, _ in told(cloud)} == {1, 2, 3}


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_a_refused_device_asks_once_and_keeps_what_it_has(device: Device, cloud: Cloud, status: str) -> None:
    device.make(3)
    cloud.faults.append(status)
    done = device.run()
    assert (done.state, cloud.requests, device.waiting) == ("refused", 1, 3)
    assert done.reason == f"the server answered {status}: as the script says"


def test_one_record_that_the_server_cannot_read_is_found_and_given_up(device: Device, cloud: Cloud) -> None:
    device.make(5)
    device.make(1, text="poison")
    device.make(5)
    cloud.poison = "poison"
    done = device.run()
    assert (done.state, done.accepted, done.refused, device.waiting) == ("done", 10, 1, 0)
    assert [number for number, _ in told(cloud)] == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]


def test_a_record_that_is_not_ours_is_left_out(device: Device, cloud: Cloud) -> None:
    device.store.commit(outbox=[b"\xff", event(1), b"[]"], now_ns=NOW)
    done = device.run()
    assert (done.accepted, done.refused, device.waiting) == (1, 2, 0)


def test_a_run_ends_in_time_and_the_next_goes_on(device: Device, cloud: Cloud) -> None:
    device.make(10)
    assert (device.run(limit_s=-1.0).state, device.waiting) == ("more", 10)
    assert (device.run().state, device.waiting) == ("done", 0)


def test_a_kill_after_the_servers_answer_sends_the_batch_again_and_nothing_is_doubled(
    device: Device, cloud: Cloud, tmp_path: Path
) -> None:
    device.make(7)

    def killed(seqs: list[int]) -> None:
        raise KeyboardInterrupt

    forwarder = Forwarder(Outbox(device.store), device.post, tmp_path / "uplink", killed)
    with pytest.raises(KeyboardInterrupt):
        forwarder.run()
    done = device.run()
    assert (done.accepted, done.known, device.waiting, len(cloud.lines)) == (0, 7, 0, 14)
    assert len(cloud.records) == 7


def test_a_position_that_cannot_be_read_or_written_costs_only_the_mark(
    device: Device, cloud: Cloud, tmp_path: Path
) -> None:
    (tmp_path / "uplink" / "forward.json").mkdir(parents=True)
    device.cut = True
    device.make(2)
    device.run()
    device.cut = False
    assert device.run().state == "done"
    assert told(cloud) == [(1, False), (2, False)]
