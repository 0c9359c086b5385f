"""What the bridge's integration tests share: a bridge that is stopped for sure, other clients, certificates."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgead.bridge.client import Bridge
from edgead.bridge.inbox import Disconnected, Inbox, Incoming
from edgead.bridge.settings import Backoff, BridgeSettings
from edgead.bridge.topics import Topics

TOPICS = Topics("gw1")
WITHIN_S = 30.0


class World:
    """A bridge, its inbox, and everything that came out of it so far."""

    def __init__(self, bridge: Bridge, inbox: Inbox) -> None:
        self.bridge = bridge
        self.inbox = inbox
        self.seen: list[object] = []

    def take(self, timeout_s: float = 0.1) -> list[object]:
        """Take what is there."""
        taken = list(self.inbox.take(timeout_s=timeout_s))
        self.seen += taken
        return taken

    def of(self, kind: type) -> list:
        """Everything of one kind that was seen."""
        return [each for each in self.seen if type(each) is kind]

    def until(self, done: Callable[[], object], within_s: float = WITHIN_S) -> None:
        """Take until `done` is true."""
        deadline = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline, f"not within {within_s} s; seen at last: {self.seen[-5:]}"
            self.take(0.05)

    def until_subscribed(self) -> None:
        """Take until the broker has answered our subscriptions."""
        self.until(lambda: self.bridge.subscribed and not self.inbox.announces_connection)

    def until_kind(self, kind: type, count: int = 1) -> list:
        """Take until `count` of a kind were seen."""
        self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def payloads(self) -> list[bytes]:
        """Payloads of all messages, in order."""
        return [each.payload for each in self.of(Incoming)]

    def acknowledge_all(self) -> None:
        """Acknowledge every message seen."""
        self.bridge.acknowledge([each.token for each in self.of(Incoming)])

    def reasons(self) -> list[str]:
        """Why there was no connection."""
        return [each.reason for each in self.of(Disconnected)]


@contextmanager
def world(
    port: int,
    *,
    filters: Iterable[str] = ("plant/#",),
    inbox: Inbox | None = None,
    previous_filters: Iterable[str] = (),
    start: bool = True,
    options: dict | None = None,
    **settings,
) -> Iterator[World]:
    """A running bridge; stopped at the end."""
    inbox = Inbox() if inbox is None else inbox
    settings = {"client_id": "edgead-gw1", "connect_timeout_s": 5.0, **settings}
    bridge = Bridge(
        BridgeSettings(port=port, **settings),
        TOPICS,
        list(filters),
        inbox,
        previous_filters=list(previous_filters),
        **{"backoff": Backoff(0.05, 0.2)} | (options or {}),
    )
    if start:
        bridge.start()
    try:
        yield World(bridge, inbox)
    finally:
        bridge.stop(timeout_s=2.0)
        assert not bridge.thread_alive


def publish(port: int, topic: str, payloads: Iterable[bytes], *, retain: bool = False, qos: int = 1) -> None:
    """Publish with another client and wait until the broker has all of it."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    infos = [client.publish(topic, payload, qos, retain) for payload in payloads]
    for info in infos:
        info.wait_for_publish(WITHIN_S)
        assert info.is_published()
    client.disconnect()
    client.loop_stop()


@contextmanager
def listener(port: int, *filters: str) -> Iterator[list[paho.MQTTMessage]]:
    """Another client's view: every message on `filters`, as it comes."""
    messages: list[paho.MQTTMessage] = []
    subscribed: list[int] = []
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, userdata, message: messages.append(message)
    client.on_subscribe = lambda client, userdata, mid, codes, properties: subscribed.append(mid)
    client.connect("127.0.0.1", port)
    client.subscribe([(each, 1) for each in filters])
    client.loop_start()
    wait_for(lambda: subscribed)
    try:
        yield messages
    finally:
        client.disconnect()
        client.loop_stop()


def wait_for(done: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Wait until `done` is true."""
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)


def statuses(messages: list[paho.MQTTMessage]) -> list[str]:
    """The states that a listener on the status topic has heard."""
    return [json.loads(each.payload)["state"] for each in messages if each.topic == TOPICS.status]


def certificates(folder: Path, *, host: str = "IP:127.0.0.1", days: int = 2) -> tuple[Path, Path, Path]:
    """An authority and a broker's certificate signed by it, made by openssl: (ca, cert, key)."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    cert, key, request = folder / "cert.pem", folder / "key.pem", folder / "request.pem"
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName={host}\n")
    make_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        "req", "-x509", *make_key, "-keyout", ca_key, "-out", ca, "-subj", "/CN=test authority", "-days", "2"
    )
    _openssl("req", *make_key, "-keyout", key, "-out", request, "-subj", "/CN=broker")
    sign = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extensions, "-days", str(days)]
    _openssl("x509", "-req", "-in", request, "-out", cert, *sign)
    return ca, cert, key


def _openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
