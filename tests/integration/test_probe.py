"""The HTTP probe with real requests, good, odd and hostile."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest

from edgead.errors import OuterWorldError
from edgead.probe import MAX_REQUESTS, Health, Metric, Probe


class World:
    """What the probe is told."""

    def __init__(self) -> None:
        self.health = Health(True, True, (), (Metric("readings_total", "Readings taken in.", "counter", 3),))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def probe(world: World) -> Iterator[Probe]:
    probe = Probe("127.0.0.1", 0, lambda: world.health)
    yield probe
    probe.close()


def get(probe: Probe, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{probe.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_an_address_of_ipv6_is_listened_on(world: World):
    probe = Probe("::1", 0, lambda: world.health)
    try:
        with urllib.request.urlopen(f"http://[::1]:{probe.port}/healthz", timeout=5) as answer:
            assert answer.status == 200
    finally:
        probe.close()


def test_no_name_server_is_asked_at_the_start(world: World, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr("socket.getfqdn", lambda name="": asked.append(name) or "host")
    Probe("0.0.0.0", 0, lambda: world.health).close()
    assert asked == []


def test_a_healthy_agent_is_ok(probe: Probe):
    assert get(probe, "/healthz") == (200, '{"status":"ok","problems":[]}\n')
    assert get(probe, "/readyz")[0] == 200


def test_a_lost_broker_is_alive_but_not_ready_and_says_why(probe: Probe, world: World):
    world.health = Health(True, False, ("broker: not connected",))
    assert get(probe, "/healthz")[0] == 200
    status, body = get(probe, "/readyz")
    assert status == 503
    assert json.loads(body)["problems"] == ["broker: not connected"]


def test_a_loop_that_does_not_turn_is_not_alive(probe: Probe, world: World):
    world.health = Health(False, False, ("the loop does not turn",))
    assert get(probe, "/healthz")[0] == 503


def test_metrics_are_prometheus_text(probe: Probe, world: World):
    world.health = Health(
        True,
        True,
        (),
        (
            Metric("dropped_total", "Not judged.", "counter", 2, (("cause", 'a"b\\c\n'),)),
            Metric("dropped_total", "Not judged.", "counter", 5, (("cause", "late"),)),
            Metric("up", "Turning.", "gauge", 1),
        ),
    )
    assert get(probe, "/metrics")[1].splitlines() == [
        "# HELP edgead_dropped_total Not judged.",
        "# TYPE edgead_dropped_total counter",
        'edgead_dropped_total{cause="a\\"b\\\\c\\n"} 2',
        'edgead_dropped_total{cause="late"} 5',
        "# HELP edgead_up Turning.",
        "# TYPE edgead_up gauge",
        "edgead_up 1",
    ]


def test_another_path_is_told_what_there_is(probe: Probe):
    assert get(probe, "/../etc/passwd") == (404, "expected /healthz, /readyz or /metrics\n")


def test_rubbish_and_silent_clients_are_in_nobodys_way(probe: Probe):
    silent = [socket.create_connection(("127.0.0.1", probe.port)) for _ in range(MAX_REQUESTS - 1)]
    with socket.create_connection(("127.0.0.1", probe.port)) as rude:
        rude.sendall(b"\xff\x00 nonsense\r\n\r\n")
        rude.recv(1000)
    assert get(probe, "/healthz")[0] == 200
    for each in silent:
        each.close()


def test_an_address_that_is_taken_is_a_plain_sentence():
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(
            OuterWorldError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"
        ):
            Probe("127.0.0.1", port, lambda: Health(True, True))
