"""The two small clients against a real mosquitto."""

import socket
import threading
import time

import pytest

from edgead.bridge import tools
from edgead.bridge.tools import IN_FLIGHT, Listener, Publisher
from edgead.errors import BridgeError
from tests.mosquitto import Mosquitto, free_port


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


def wait_for(done, limit_s=10.0):
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def publish_for_ever(publisher, pause_s=0.0):
    while True:
        publisher.publish("a", b"2")
        time.sleep(pause_s)


def test_everything_published_is_heard_in_order(broker):
    heard = []
    with (
        Listener("127.0.0.1", broker.port, ["a/+/b", "c/#"], lambda *each: heard.append(each)) as listener,
        Publisher("127.0.0.1", broker.port) as publisher,
    ):
        sent = [("a/x/b", str(i).encode()) for i in range(20 * IN_FLIGHT)]
        for each in sent:
            publisher.publish(*each)
        publisher.publish("other", b"")
        publisher.publish("c/d/e", b"last")
        publisher.drain()
        wait_for(lambda: heard and heard[-1][1] == b"last")
        listener.check()
    assert heard == [*sent, ("c/d/e", b"last")]


def test_nobody_at_the_address_is_said_plainly():
    with pytest.raises(BridgeError, match=r"no broker at 127\.0\.0\.1"), Publisher("127.0.0.1", free_port()):
        pass


def test_a_refusal_is_told_with_its_reason(tmp_path):
    with (
        Mosquitto(tmp_path, anonymous=False) as broker,
        pytest.raises(BridgeError, match=r"(?i)refused the connection: not authorized"),
        Listener("127.0.0.1", broker.port, ["#"], lambda *each: None),
    ):
        pass


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr(tools, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        before = threading.active_count()
        with pytest.raises(BridgeError, match="did not answer"), Publisher(*server.getsockname()):
            pass
        wait_for(lambda: threading.active_count() == before)


def test_a_lost_broker_ends_the_work_and_nobody_waits_for_ever(tmp_path):
    with Mosquitto(tmp_path) as broker, Publisher("127.0.0.1", broker.port) as publisher:
        publisher.publish("a", b"1")
        publisher.drain()
        broker.kill()
        start = time.monotonic()
        with pytest.raises(BridgeError, match="closed the connection"):
            publish_for_ever(publisher, pause_s=0.01)
        assert time.monotonic() - start < 5.0


def test_a_broker_that_stops_answering_ends_the_work(tmp_path, monkeypatch):
    with Mosquitto(tmp_path) as broker, Publisher("127.0.0.1", broker.port) as publisher:
        monkeypatch.setattr(tools, "TIMEOUT_S", 0.3)
        broker.pause()
        with pytest.raises(BridgeError, match="took nothing"):
            publish_for_ever(publisher)
        with pytest.raises(BridgeError, match="unacknowledged"):
            publisher.drain()
        broker.resume()


def test_a_callback_that_raises_is_told_and_does_not_end_the_network_thread(broker):
    heard = []

    def take(topic, payload):
        heard.append(payload)
        if payload == b"bad":
            raise ValueError("no")

    with (
        Listener("127.0.0.1", broker.port, ["t"], take) as listener,
        Publisher("127.0.0.1", broker.port) as publisher,
    ):
        publisher.publish("t", b"bad")
        publisher.publish("t", b"good")
        wait_for(lambda: b"good" in heard)
        with pytest.raises(BridgeError, match=r"could not be taken.*no"):
            listener.check()
