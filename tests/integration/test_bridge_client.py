"""The bridge against a real mosquitto: nothing is lost, and every trouble has a sentence."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgead.bridge.client import Bridge
from edgead.bridge.commands import Commands
from edgead.bridge.inbox import (
    Connected,
    Delivered,
    Disconnected,
    Fault,
    Inbox,
    Incoming,
    Subscribed,
    TooLarge,
)
from edgead.bridge.settings import Backoff, BridgeSettings, TlsSettings
from edgead.errors import InvalidInput, StoreError
from tests.integration.bridge_world import (
    TOPICS,
    certificates,
    listener,
    publish,
    statuses,
    wait_for,
    world,
)
from tests.mosquitto import Mosquitto, free_port


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker", persistence=True, config="max_inflight_messages 0") as running:
        yield running


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [str(number).encode() for number in range(start, start + count)]


# -- messages in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_messages_come_in_order_with_topic_payload_and_time(broker: Mosquitto, protocol: str) -> None:
    with world(broker.port, protocol=protocol) as here:
        here.until_subscribed()
        before_ns = time.time_ns()
        publish(broker.port, "plant/press1/temp", numbered(500))
        here.until(lambda: len(here.payloads()) >= 500)
        messages = here.of(Incoming)
        assert here.payloads() == numbered(500)
        assert {each.topic for each in messages} == {"plant/press1/temp"}
        assert all(before_ns <= each.received_ns <= time.time_ns() for each in messages)
        assert len({each.token for each in messages}) == 500
        assert not any(each.retain for each in messages)
        assert here.reasons() == []


def test_qos_0_messages_need_no_acknowledgement(broker: Mosquitto) -> None:
    with world(broker.port) as here:
        here.until_subscribed()
        publish(broker.port, "plant/a", [b"1"], qos=0)
        (message,) = here.until_kind(Incoming)
        assert message.token == 0
        here.bridge.acknowledge([0])


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_the_broker_keeps_messages_while_we_are_away(broker: Mosquitto, protocol: str) -> None:
    with world(broker.port, protocol=protocol) as here:
        here.until_subscribed()
    publish(broker.port, "plant/a", numbered(50))
    with world(broker.port, protocol=protocol) as here:
        here.until(lambda: len(here.payloads()) >= 50)
        assert here.until_kind(Connected)[0].session_present
        assert here.payloads() == numbered(50)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_what_was_acknowledged_does_not_come_again_and_the_rest_does(
    broker: Mosquitto, protocol: str
) -> None:
    with world(broker.port, protocol=protocol) as here:
        here.until_subscribed()
        publish(broker.port, "plant/a", numbered(10))
        here.until(lambda: len(here.payloads()) >= 10)
        here.bridge.acknowledge([each.token for each in here.of(Incoming)[:4]])
    with world(broker.port, protocol=protocol) as here:
        here.until(lambda: len(here.payloads()) >= 6)
        here.take(0.3)
        assert here.payloads() == numbered(6, start=4)


def test_a_killed_agent_gets_again_what_it_had_not_acknowledged_and_its_will_is_published(
    broker: Mosquitto,
) -> None:
    with listener(broker.port, TOPICS.status) as heard:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.bridge_child", str(broker.port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        lines = iter(child.stdout.readline, "")
        next(line for line in lines if line.startswith("True"))
        publish(broker.port, "plant/a", numbered(20))
        next(line for line in lines if line.split()[1] == "20")
        time.sleep(0.2)  # its acknowledgements are on their way
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        wait_for(lambda: statuses(heard) == ["online", "offline"])
    with world(broker.port) as here:
        here.until(lambda: len(here.payloads()) >= 15)
        here.take(0.3)
        assert here.payloads() == numbered(15, start=5)


def test_retained_messages_are_marked(broker: Mosquitto) -> None:
    publish(broker.port, "plant/a", [b"old"], retain=True)
    with world(broker.port) as here:
        (message,) = here.until_kind(Incoming)
        assert message.retain
        publish(broker.port, "plant/a", [b"new"])
        here.until(lambda: here.payloads()[1:] == [b"new"])
        assert not here.of(Incoming)[1].retain


def test_a_message_that_is_too_large_is_skipped_told_and_acknowledged(broker: Mosquitto) -> None:
    with world(broker.port, max_packet_bytes=1 << 17) as here:
        here.until_subscribed()
        publish(broker.port, "plant/a", [b"before", b"x" * 5_000_000, b"after"])
        here.until(lambda: here.payloads() == [b"before", b"after"])
        (large,) = here.of(TooLarge)
        assert large.topic == "plant/a"
        assert large.size > 5_000_000
        assert large.sample == b"x" * 1024
        here.bridge.acknowledge([large.token])
        here.acknowledge_all()
    with world(broker.port) as here:
        here.until_subscribed()
        here.take(0.3)
        assert here.of(Incoming) == []


# -- the broker goes and comes -------------------------------------------------------------------------------


@pytest.mark.parametrize("persistence", [True, False])
def test_a_killed_broker_is_waited_for(tmp_path: Path, persistence: bool) -> None:
    with Mosquitto(tmp_path / "broker", persistence=persistence) as broker, world(broker.port) as here:
        here.until_subscribed()
        for number in range(3):
            broker.kill()
            here.until_kind(Disconnected, number + 1)
            assert not here.bridge.connected
            assert here.bridge.publish("other/x", b"1") is None
            broker.start()
            here.until_subscribed()
            publish(broker.port, "plant/a", [str(number).encode()])
            here.until(lambda wanted=number: str(wanted).encode() in here.payloads())
            here.acknowledge_all()
        assert [each.session_present for each in here.of(Connected)][1:] == [persistence] * 3


def test_an_attempt_that_fails_again_and_again_is_told_once_until_somebody_listens(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with world(broker.port, options={"backoff": Backoff(0.001, 0.01)}) as here:
        time.sleep(0.5)
        assert len(here.take()) == 1
        assert "nobody listens there" in here.reasons()[0]
        with broker:
            here.until_subscribed()


def test_tokens_of_an_earlier_connection_acknowledge_nothing(broker: Mosquitto) -> None:
    with world(broker.port) as here:
        here.until_subscribed()
        publish(broker.port, "plant/a", numbered(3))
        here.until(lambda: len(here.payloads()) >= 3)
        stale = [each.token for each in here.of(Incoming)]
        broker.stop()  # it saves: a killed mosquitto forgets what is on its way
        broker.start()
        here.until(lambda: len(here.payloads()) >= 6)
        fresh = [each.token for each in here.of(Incoming)[3:]]
        assert not set(stale) & set(fresh)
        here.bridge.acknowledge(stale)
        here.bridge.acknowledge(fresh[:1])
    with world(broker.port) as here:
        here.until(lambda: len(here.payloads()) >= 2)
        here.take(0.3)
        assert here.payloads() == numbered(2, start=1)


def test_tokens_of_an_earlier_bridge_on_the_same_inbox_acknowledge_nothing(broker: Mosquitto) -> None:
    inbox = Inbox()
    with world(broker.port, inbox=inbox) as first:
        first.until_subscribed()
        publish(broker.port, "plant/a", numbered(3))
        first.until(lambda: len(first.payloads()) >= 3)
    with world(broker.port, inbox=inbox) as second:
        second.until(lambda: len(second.payloads()) >= 3)
        second.bridge.acknowledge([each.token for each in first.of(Incoming)])
    with world(broker.port) as third:
        third.until(lambda: len(third.payloads()) >= 3)


def test_a_broker_that_hangs_is_noticed_by_the_keepalive(broker: Mosquitto) -> None:
    with world(broker.port, keepalive_s=1) as here:
        here.until_subscribed()
        broker.pause()
        here.until_kind(Disconnected)
        broker.resume()
        assert "nothing was heard from the broker" in here.reasons()[0]
        here.until_kind(Connected, 2)


def test_a_connection_is_asked_for_at_once_and_not_at_the_next_tick(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONNECT waited in paho for the first second of every connection; with an hour between ticks it would now."""
    monkeypatch.setattr("edgead.bridge.client._Link.tick_s", 3600.0)
    with world(broker.port) as here:
        here.until_subscribed()


def test_an_idle_connection_stays(broker: Mosquitto) -> None:
    with world(broker.port, keepalive_s=1) as here:
        here.until_subscribed()
        time.sleep(3.0)
        here.take()
        assert here.reasons() == []
        assert here.bridge.connected


# -- back-pressure -------------------------------------------------------------------------------------------


def test_a_full_inbox_stops_the_reading_and_neither_loses_messages_nor_the_connection(
    tmp_path: Path,
) -> None:
    with (
        Mosquitto(tmp_path / "broker", shipped=True) as broker,
        world(broker.port, inbox=Inbox(max_messages=100), keepalive_s=1) as here,
    ):
        here.until_subscribed()
        # 16 MB: more than the socket buffers of both sides hold, so that the broker feels it.
        publish(broker.port, "plant/a", [number.rjust(4000, b" ") for number in numbered(4000)])
        time.sleep(4.0)  # the broker throws out who is silent for 1.5 s
        assert here.inbox.full
        assert here.inbox.waiting < 100 + 65_536 / 4000 + 1
        here.until(lambda: len(here.payloads()) >= 4000)
        assert [payload.strip() for payload in here.payloads()] == numbered(4000)
        assert here.reasons() == []


def test_the_default_of_mosquitto_stalls_at_20_messages_and_ours_does_not(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "default") as broker, world(broker.port) as here:
        here.until_subscribed()
        publish(broker.port, "plant/a", numbered(500))
        here.until(lambda: len(here.payloads()) >= 20)
        here.take(0.3)
        assert len(here.payloads()) == 20, "the broker waits for acknowledgements"
        safe = 0
        while len(here.payloads()) < 500:  # whoever acknowledges when the inbox runs dry is not stalled
            here.bridge.acknowledge([each.token for each in here.of(Incoming)[safe:]])
            safe = len(here.payloads())
            here.until(lambda safe=safe: len(here.payloads()) > safe)
        assert here.payloads() == numbered(500)
    with Mosquitto(tmp_path / "shipped", shipped=True) as broker, world(broker.port) as here:
        here.until_subscribed()
        publish(broker.port, "plant/a", numbered(500))
        here.until(lambda: len(here.payloads()) >= 500)
        assert here.payloads() == numbered(500), "without one acknowledgement"


# -- messages out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_what_is_published_is_delivered_and_told(broker: Mosquitto, protocol: str) -> None:
    with listener(broker.port, "out/#") as heard, world(broker.port, protocol=protocol) as here:
        here.until_subscribed()
        handles = [here.bridge.publish("out/a", payload, retain=True) for payload in numbered(20)]
        assert None not in handles
        here.until(lambda: {each.handle for each in here.of(Delivered)} >= set(handles))
        here.bridge.publish("out/a", b"last", qos=0)
        wait_for(lambda: len(heard) == 21)
        assert [each.payload for each in heard] == [*numbered(20), b"last"]


def test_the_window_is_bounded_and_opens_again(broker: Mosquitto) -> None:
    with world(broker.port, window=10) as here:
        here.until_subscribed()
        here.until_kind(Delivered)  # of status online
        broker.pause()
        handles = [here.bridge.publish("out/a", b"x") for _ in range(50)]
        assert [handle is not None for handle in handles] == [True] * 10 + [False] * 40
        broker.resume()
        here.until_kind(Delivered, 11)
        assert here.bridge.publish("out/a", b"x") is not None


def test_a_message_published_alone_is_sent_at_once(broker: Mosquitto) -> None:
    with world(broker.port, keepalive_s=60) as here:
        here.until_subscribed()
        for count in range(1, 101):
            began = time.monotonic()
            handle = here.bridge.publish("out/a", b"x")
            here.until(lambda handle=handle: any(each.handle == handle for each in here.of(Delivered)))
            assert time.monotonic() - began < 0.9, f"message {count} waited for the next look of the thread"


def test_a_wake_up_while_the_thread_hears_another_one_is_not_lost() -> None:
    bridge = Bridge(BridgeSettings(client_id="x"), TOPICS, [], Inbox())
    ear = bridge._wake_r

    class InBetween:
        """Another thread wakes just before the byte of the first wake-up is read."""

        def recv(self, size: int) -> bytes:
            bridge.wake()
            return ear.recv(size)

    bridge.wake()
    bridge._wake_r = InBetween()
    bridge._hear_wake()
    bridge._wake_r = ear
    bridge.wake()
    assert ear.recv(10) == b"\0", "the next wake-up is heard"
    bridge.stop()


def test_nothing_is_published_before_the_agent_has_heard_of_the_connection(broker: Mosquitto) -> None:
    with world(broker.port) as here:
        wait_for(lambda: here.bridge.connected)
        assert here.bridge.publish("out/a", b"x") is None
        here.until_kind(Connected)
        assert here.bridge.publish("out/a", b"x") is not None


def test_status_is_online_first_and_offline_after_a_clean_stop(broker: Mosquitto) -> None:
    with listener(broker.port, "edgead/#", "out/#") as heard:
        with world(broker.port) as here:
            here.until_subscribed()
            here.bridge.publish("out/a", b"last words")
            assert here.bridge.stop() is True
        wait_for(lambda: len(statuses(heard)) == 2)
        assert statuses(heard) == ["online", "offline"]
        assert [each.topic for each in heard] == [TOPICS.status, "out/a", TOPICS.status]
        assert json.loads(heard[0].payload)["ts"] > 1_700_000_000_000
    with listener(broker.port, TOPICS.status) as heard:
        wait_for(lambda: heard)
        assert heard[0].retain
        assert statuses(heard) == ["offline"]
    assert "edgead-gw1 disconnected" in broker.log, "a clean end: the will is not published a second time"


def test_a_stop_does_not_wait_for_ever_for_a_broker_that_hangs(broker: Mosquitto) -> None:
    with world(broker.port) as here:
        here.until_subscribed()
        broker.pause()
        began = time.monotonic()
        assert here.bridge.stop(timeout_s=0.5) is False
        assert time.monotonic() - began < 5.0
        broker.resume()


def test_a_stop_while_nobody_is_there_is_quick(tmp_path: Path) -> None:
    with world(free_port(), options={"backoff": Backoff(30.0, 60.0)}) as here:
        here.until_kind(Disconnected)
        began = time.monotonic()
        assert here.bridge.stop() is False
        assert time.monotonic() - began < 2.0


# -- subscriptions -------------------------------------------------------------------------------------------


def test_filters_that_the_configuration_no_longer_has_are_unsubscribed(broker: Mosquitto) -> None:
    with world(broker.port, filters=["plant/#", "yard/#"]) as here:
        here.until_subscribed()
        filters = here.bridge.filters
    with world(broker.port, filters=["plant/#"], previous_filters=filters) as here:
        here.until_kind(Subscribed)
        publish(broker.port, "yard/a", [b"unwanted"])
        publish(broker.port, "plant/a", [b"wanted"])
        here.until(lambda: here.payloads())
        assert here.payloads() == [b"wanted"]


def test_many_filters_are_subscribed_in_several_packets(broker: Mosquitto) -> None:
    with world(broker.port, filters=[f"plant/m{number}/+" for number in range(500)]) as here:
        here.until_subscribed()
        publish(broker.port, "plant/m0/t", [b"first"])
        publish(broker.port, "plant/m499/t", [b"last"])
        here.until(lambda: here.payloads() == [b"first", b"last"])


ACCESS_RULES = {
    "defaultACLAccess": {
        "publishClientSend": True,
        "publishClientReceive": True,
        "subscribe": False,
        "unsubscribe": True,
    }
}


def test_a_refused_subscription_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(ACCESS_RULES))
    config = f"plugin {plugin('mosquitto_dynamic_security.so')}\nplugin_opt_config_file {rules}"
    with Mosquitto(tmp_path / "broker", config=config) as broker, world(broker.port) as here:
        faults = here.until_kind(Fault, 3)
        assert "the broker refused the subscription to plant/#" in faults[0].reason


def plugin(name: str) -> Path:
    """Where Debian keeps mosquitto's plugins."""
    (found,) = Path("/usr/lib").glob(f"*/{name}")
    return found


def test_a_filter_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="only as the last level"):
        Bridge(BridgeSettings(client_id="x"), TOPICS, ["bad/#/filter"], Inbox())


# -- commands ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_command_is_executed_once_and_a_retained_one_never(broker: Mosquitto, protocol: str) -> None:
    done = []
    commands = Commands(TOPICS, {"mute": lambda command: done.append(command) or "muted"})
    publish(broker.port, "edgead/gw1/cmd/mute/1", [b"press1.temp"], retain=True)
    with (
        listener(broker.port, "edgead/gw1/cmd/+/+/status") as heard,
        world(broker.port, protocol=protocol) as here,
    ):
        here.until_subscribed()
        publish(broker.port, "edgead/gw1/cmd/mute/2", [b"press1.temp"])
        for message in here.until_kind(Incoming, 2):
            for answer in commands.run(message.topic, message.payload, now_ns=1, retain=message.retain):
                here.bridge.publish(answer.topic, answer.payload, correlation=answer.correlation)
        wait_for(lambda: len(heard) == 3)
        assert [json.loads(each.payload)["status"] for each in heard] == ["init", "executing", "successful"]
        assert {each.topic for each in heard} == {"edgead/gw1/cmd/mute/2/status"}
        assert [each.request for each in done] == ["2"]
        assert commands.counts["retained"] == 1
        here.take(0.3)
        assert len(here.of(Incoming)) == 2, "our own answers do not come back"


def test_mqtt_5_response_topic_and_correlation_come_through(broker: Mosquitto) -> None:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    heard = []
    asker = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    asker.on_message = lambda client, userdata, message: heard.append(message)
    asker.connect("127.0.0.1", broker.port)
    asker.subscribe("office/answers", 1)
    asker.loop_start()
    with world(broker.port, protocol="5") as here:
        here.until_subscribed()
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "office/answers"
        properties.CorrelationData = b"\x01\x02"
        asker.publish("edgead/gw1/cmd/ping", b"", 1, properties=properties)
        (message,) = here.until_kind(Incoming)
        assert (message.response_topic, message.correlation) == ("office/answers", b"\x01\x02")
        handle = here.bridge.publish("office/answers", b"pong", correlation=message.correlation)
        assert handle is not None
        wait_for(lambda: heard)
        assert heard[0].properties.CorrelationData == b"\x01\x02"
    asker.disconnect()
    asker.loop_stop()


# -- trouble has a sentence ----------------------------------------------------------------------------------


def test_an_exception_inside_costs_a_connection_and_not_the_thread(broker: Mosquitto) -> None:
    armed = []

    def clock_ns() -> int:
        if armed:
            armed.clear()
            raise RuntimeError("boom")
        return time.time_ns()

    with world(broker.port, options={"clock_ns": clock_ns}) as here:
        here.until_subscribed()
        armed.append(True)
        publish(broker.port, "plant/a", [b"1"])
        (fault,) = here.until_kind(Fault)
        assert "RuntimeError: boom" in fault.reason
        assert "internal error" in here.until_kind(Disconnected)[0].reason
        here.until(lambda: here.payloads() == [b"1"])
        assert here.bridge.thread_alive


def test_an_exception_in_a_callback_of_paho_does_the_same(broker: Mosquitto, monkeypatch) -> None:
    from edgead.bridge import client

    def broken(*anything) -> None:
        raise ValueError("broken callback")

    with world(broker.port) as here:
        here.until_subscribed()
        monkeypatch.setattr(client._Link, "_on_publish", broken)
        broker.restart()  # the next connection has the broken callback
        here.until(lambda: any("broken callback" in each.reason for each in here.of(Fault)))
        monkeypatch.undo()
        here.until_subscribed()


def test_two_clients_with_one_id_throw_each_other_out_and_are_told_why(broker: Mosquitto) -> None:
    with world(broker.port) as here, world(broker.port) as twin:
        here.until(
            lambda: twin.take(0.01) and any("does another client use the id" in r for r in here.reasons())
        )


def test_a_broker_that_nobody_finds() -> None:
    with world(1, host="no-such-host.invalid") as here:
        here.until_kind(Disconnected)
        assert "the host name is not known" in here.reasons()[0]


def test_a_wrong_password_is_said_so_and_a_renewed_one_is_taken(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(passwords), "gw1", "right"], check=True, capture_output=True
    )
    current = ["wrong"]

    def password() -> str:
        if current[0] == "gone":
            raise StoreError("secret: no such file")
        return current[0]

    with (
        Mosquitto(tmp_path / "broker", anonymous=False, config=f"password_file {passwords}") as broker,
        world(broker.port, username="gw1", options={"password": password}) as here,
    ):
        here.until_kind(Disconnected)
        assert "mqtt.username" in here.reasons()[0]
        assert "wrong" not in here.reasons()[0]
        current[0] = "right"
        here.until_subscribed()
        current[0] = "gone"
        broker.restart()
        here.until(lambda: any("no such file" in reason for reason in here.reasons()))


def test_tls_works_and_its_troubles_are_plain_sentences(tmp_path: Path) -> None:
    ca, cert, key = certificates(tmp_path / "good")
    other_ca, *_ = certificates(tmp_path / "other")
    with Mosquitto(tmp_path / "broker", tls=(ca, cert, key), config="max_inflight_messages 0") as broker:
        with world(broker.port, tls=TlsSettings(ca=str(ca))) as here:
            here.until_subscribed()
            handles = [here.bridge.publish("plant/a", str(number).encode() * 10_000) for number in range(50)]
            assert None not in handles
            here.until(lambda: len(here.payloads()) >= 50)
            assert here.payloads() == [str(number).encode() * 10_000 for number in range(50)]
        for tls, words in (
            (TlsSettings(ca=str(other_ca)), "an authority that mqtt.tls.ca does not hold"),
            (TlsSettings(), "an authority that mqtt.tls.ca does not hold"),
            (None, "expect TLS"),
        ):
            with world(broker.port, tls=tls) as here:
                here.until_kind(Disconnected)
                assert words in here.reasons()[0]


@pytest.mark.parametrize(
    ("host", "days", "words"),
    [("DNS:elsewhere", 2, "for another"), ("IP:127.0.0.1", -1, "has expired")],
)
def test_certificates_that_do_not_fit(tmp_path: Path, host: str, days: int, words: str) -> None:
    ca, cert, key = certificates(tmp_path / "tls", host=host, days=days)
    with (
        Mosquitto(tmp_path / "broker", tls=(ca, cert, key)) as broker,
        world(broker.port, tls=TlsSettings(ca=str(ca))) as here,
    ):
        here.until_kind(Disconnected)
        assert words in here.reasons()[0]


def test_a_broker_that_wants_our_certificate(tmp_path: Path) -> None:
    ca, cert, key = certificates(tmp_path / "tls")
    with Mosquitto(tmp_path / "broker", tls=(ca, cert, key), config="require_certificate true") as broker:
        with world(broker.port, tls=TlsSettings(ca=str(ca))) as here:
            here.until_kind(Disconnected)
            assert "client certificate" in here.reasons()[0]
        with world(broker.port, tls=TlsSettings(ca=str(ca), cert=str(cert), key=str(key))) as here:
            here.until_subscribed()


def test_tls_to_a_port_without_tls(broker: Mosquitto, tmp_path: Path) -> None:
    ca, *_ = certificates(tmp_path / "tls")
    with world(broker.port, tls=TlsSettings(ca=str(ca)), connect_timeout_s=1.0) as here:
        here.until_kind(Disconnected)
        assert any(
            words in here.reasons()[0]
            for words in ("speaks no TLS", "cut the connection", "no answer in time")
        )
