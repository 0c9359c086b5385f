"""CPU of receiving a QoS 1 message: the bridge against a bare paho loop, as ratios of interleaved rounds.

Before each round the broker (mosquitto, our configuration) keeps the messages for a client that is away, so
that a round costs nothing but receiving and acknowledging, in this one process.  ``python
tests/bench/bench_bridge.py [--messages N] [--rounds N]``.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgead.bridge.client import Bridge
from edgead.bridge.inbox import Inbox, Incoming
from edgead.bridge.payloads import compile_decoder
from edgead.bridge.settings import BridgeSettings
from edgead.bridge.tools import Publisher
from edgead.bridge.topics import Router, TopicPattern, Topics
from tests.mosquitto import Mosquitto

PAYLOAD = b'{"value":21.5,"ts":1763750000123}'
CLIENT = "bench"
TOPICS = 100
LIVE_RATES = (100.0, 1000.0)
LIVE_S = 3.0

V3, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5

Receive = Callable[[int, int], None]


def bare(protocol: MQTTProtocolVersion) -> Receive:
    """paho as its documentation shows it."""

    def receive(port: int, count: int) -> None:
        seen = 0

        def on_message(client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
            nonlocal seen
            seen += 1
            if seen == count:
                client.disconnect()

        client = _client(protocol)
        client.on_message = on_message
        _connect(client, protocol, port)
        client.loop_forever()

    return receive


def bridged(protocol: str, *, decode: bool = False) -> Receive:
    """The bridge: token, inbox, take, acknowledge; with `decode`, readings as well."""

    def receive(port: int, count: int) -> None:
        inbox = Inbox()
        bridge = Bridge(
            BridgeSettings(port=port, client_id=CLIENT, protocol=protocol),
            Topics("bench"),
            ["plant/#"],
            inbox,
        )
        router = Router([(TopicPattern("plant/{machine}/{variable}"), ("",))], own_prefix="edgead/bench/")
        read = compile_decoder("value", "ts")
        bridge.start()
        seen = 0
        while seen < count:
            messages = [each for each in inbox.take(256, 5.0) if type(each) is Incoming]
            if decode:
                for each in messages:
                    for _ in router.routes(each.topic):
                        read(each.payload, each.received_ns)
            bridge.acknowledge([each.token for each in messages])
            seen += len(messages)
        bridge.stop()

    return receive


def _client(protocol: MQTTProtocolVersion) -> paho.Client:
    clean = None if protocol == MQTTProtocolVersion.MQTTv5 else False
    return paho.Client(CallbackAPIVersion.VERSION2, CLIENT, clean_session=clean, protocol=protocol)


def _connect(client: paho.Client, protocol: MQTTProtocolVersion, port: int) -> None:
    if protocol == MQTTProtocolVersion.MQTTv5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    else:
        client.connect("127.0.0.1", port)


def preload(port: int, count: int, protocol: MQTTProtocolVersion) -> None:
    """Leave `count` messages at the broker for a client that is away."""
    subscribed: list[int] = []
    client = _client(protocol)
    client.on_subscribe = lambda *anything: subscribed.append(1)
    _connect(client, protocol, port)
    client.subscribe("plant/#", 1)
    while not subscribed:
        client.loop(0.1)
    client.disconnect()
    with Publisher("127.0.0.1", port) as publisher:
        for number in range(count):
            publisher.publish(f"plant/m{number % TOPICS}/temp", PAYLOAD)
        publisher.drain()


def publish_paced(port: int, count: int, rate: float) -> None:
    """Publish at a steady rate."""
    with Publisher("127.0.0.1", port) as publisher:
        began = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            publisher.publish(f"plant/m{number % TOPICS}/temp", PAYLOAD)
        publisher.drain()


def queued_round(port: int, count: int, protocol: MQTTProtocolVersion, receive: Receive) -> float:
    """Microseconds of CPU a message that waits at the broker."""
    preload(port, count, protocol)
    before = time.process_time()
    receive(port, count)
    return (time.process_time() - before) / count * 1e6


def live_round(port: int, rate: float, receive: Receive) -> float:
    """Microseconds of CPU a message that comes alone."""
    count = int(rate * LIVE_S)
    preload(port, 1, V3)
    arguments = [sys.executable, __file__, "--publish", str(port), str(count), str(rate)]
    with subprocess.Popen(arguments):
        before = time.process_time()
        receive(port, count + 1)
        return (time.process_time() - before) / count * 1e6


def show(title: str, spent: dict[str, list[float]]) -> None:
    """Print medians, and ratios to the first way in the same round."""
    print(title)
    base = next(iter(spent.values()))
    for name, each in spent.items():
        ratios = [one / other for one, other in zip(each, base)]
        print(
            f"  {name:34}{statistics.median(each):7.1f} us   x{statistics.median(ratios):.2f}"
            f"  ({min(ratios):.2f}..{max(ratios):.2f})"
        )


def compare(count: int, rounds: int) -> None:
    """All tables."""
    queued: dict[str, tuple[MQTTProtocolVersion, Receive]] = {
        "bare paho, MQTT 3.1.1": (V3, bare(V3)),
        "bridge, MQTT 3.1.1": (V3, bridged("3.1.1")),
        "bridge, with topics and payloads": (V3, bridged("3.1.1", decode=True)),
        "bare paho, MQTT 5": (V5, bare(V5)),
        "bridge, MQTT 5": (V5, bridged("5")),
    }
    live = {"bare paho": bare(V3), "bridge": bridged("3.1.1")}
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder) / "broker", shipped=True) as broker:
        spent: dict[str, list[float]] = {name: [] for name in queued}
        for _ in range(rounds):
            for name, (protocol, receive) in queued.items():
                spent[name].append(queued_round(broker.port, count, protocol, receive))
        show(f"CPU of receiving a QoS 1 message, queued, {count} a round, median of {rounds} rounds", spent)
        for rate in LIVE_RATES:
            spent = {name: [] for name in live}
            for _ in range(rounds):
                for name, receive in live.items():
                    spent[name].append(live_round(broker.port, rate, receive))
            show(f"the same, MQTT 3.1.1, live, {rate:.0f} a second", spent)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--publish", nargs=3, metavar=("PORT", "COUNT", "RATE"), help="the live rounds' publisher"
    )
    options = parser.parse_args()
    if options.publish:
        port, count, rate = options.publish
        publish_paced(int(port), int(count), float(rate))
    else:
        compare(options.messages, options.rounds)


if __name__ == "__main__":
    main()
