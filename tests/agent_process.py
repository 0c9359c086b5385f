"""The agent as its own process, on a configuration of the test, with the events it tells."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

READY_WITHIN_S = 30.0
#: What differs between telling an event and telling it again; everything else must be equal.
DELIVERY = ("replay", "seq")


class AgentProcess:
    """``edgead run -c CONFIG``, killed and brought back at will.

    Parameters
    ----------
    config : Path
        The configuration file.
    log : Path
        Where its stderr goes; appended.
    env : mapping of str to str, optional
        Added to the environment.
    """

    def __init__(self, config: Path, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.config = config
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it says that the broker let it in."""
        before = self.log.read_text().count("broker connected") if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edgead", "run", "-c", str(self.config)], stderr=log, env=self._env
            )
        wait_for(
            lambda: self.log.read_text().count("broker connected") > before,
            "the agent connected",
            self._alive,
        )

    def _alive(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(
                f"the agent ended with {self._process.returncode}:\n{self.log.read_text()[-2000:]}"
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._signal(signal.SIGTERM)

    def reload(self) -> None:
        """SIGHUP, and wait until the configuration was taken."""
        before = self.log.read_text().count("configuration taken")
        os.kill(self.pid, signal.SIGHUP)
        wait_for(
            lambda: self.log.read_text().count("configuration taken") > before, "the reload", self._alive
        )

    def _signal(self, number: int) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(READY_WITHIN_S)

    def __enter__(self) -> "AgentProcess":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()


class Heard:
    """Everything a node tells, collected by a subscriber with a kept session that comes back when the broker does.

    Attributes
    ----------
    messages : list of (str, bytes)
        In the order they came.
    """

    def __init__(self, port: int, filters: list[str]) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._port = port
        self._filters = [(each, 1) for each in filters]
        self._listening = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "heard", clean_session=False)
        self._client.reconnect_delay_set(0.05, 0.2)
        self._client.on_connect = lambda client, *rest: client.subscribe(self._filters)
        self._client.on_subscribe = lambda *rest: self._listening.set()
        self._client.on_disconnect = lambda *rest: self._listening.clear()
        self._client.on_message = self._take

    def _take(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        self.messages.append((message.topic, message.payload))

    def wait_listening(self) -> None:
        """Wait until the subscription stands."""
        assert self._listening.wait(READY_WITHIN_S), "the subscriber did not come back"

    def wait_read(self) -> None:
        """Wait until nothing that came is unread: what is, gets lost when the broker's end is found gone."""

        def read() -> bool:
            connection = self._client.socket()
            if not isinstance(connection, socket.socket):
                return True
            try:
                return fcntl.ioctl(connection, termios.FIONREAD, bytes(4)) == bytes(4)
            except (OSError, ValueError):  # closed meanwhile
                return True

        wait_for(read, "everything is read")

    def __enter__(self) -> "Heard":
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self.wait_listening()
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def events(self, series_id: str) -> list[dict[str, object]]:
        """Events told of a series, first telling of each, by time; asserts that a repetition tells the same."""
        found: dict[tuple[object, ...], dict[str, object]] = {}
        for topic, payload in list(self.messages):
            if topic.endswith(f"/series/{series_id}/anomaly"):
                event = bare(msgspec.json.decode(payload))
                key = (event["id"], event["event"], event["ts"])
                assert found.setdefault(key, event) == event, "an event was told twice with different content"
        return sorted(found.values(), key=in_order)


def in_order(event: dict[str, object]) -> tuple[object, ...]:
    """Sort key of events: time, then open before update before close."""
    return (event["ts"], ("open", "update", "close").index(str(event["event"])))


def bare(event: dict[str, object]) -> dict[str, object]:
    """An event without what belongs to its delivery."""
    return {key: value for key, value in event.items() if key not in DELIVERY}


def wait_for(
    done: Callable[[], bool],
    what: str | Callable[[], str],
    check: Callable[[], None] = lambda: None,
    within_s: float = READY_WITHIN_S,
) -> None:
    """Wait until `done`; `check` may raise meanwhile."""
    until = time.monotonic() + within_s
    while not done():
        check()
        if time.monotonic() > until:
            raise AssertionError(f"not within {within_s:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)
