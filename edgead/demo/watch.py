"""What a subscriber knows: the last state of every series and every anomaly event, from the agent's topics alone."""

import threading
from typing import Any

import msgspec

from edgead.demo.scoring import Episode

_PING = "cmd/ping/demo"


def ping(node: str) -> tuple[str, bytes]:
    """Topic and payload of a question that the agent answers when it has read everything sent before."""
    return f"edgead/{node}/{_PING}", b""


class State(msgspec.Struct):
    """One series as last told by its ``state`` and ``meta`` topics."""

    value: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    phase: str = "learning"
    is_anomaly: bool = False


class Anomaly(msgspec.Struct):
    """One episode as last told."""

    id: str
    series: str
    opened_ns: int
    closed_ns: int | None
    value: float
    expected: float | None
    score: float


class Whole(msgspec.Struct):
    """One episode of a group of variables as last told; the causes are those of its highest score.

    Attributes
    ----------
    causes : list of (str, float)
        Variables and their shares of the score, greatest first.
    changed : list of str
        Variables whose correlations changed.
    """

    id: str
    group: str
    opened_ns: int
    closed_ns: int | None
    score: float
    causes: list[tuple[str, float]]
    changed: list[str]


class Watch:
    """Takes messages on any thread, shows copies on another.

    Parameters
    ----------
    node : str
        Id of the agent's device.

    Attributes
    ----------
    topics : tuple of str
        What to subscribe to.
    online, answered : bool
        The agent is there; it has answered a `ping`.
    """

    def __init__(self, node: str) -> None:
        root = f"edgead/{node}"
        self.topics = (
            f"{root}/status",
            f"{root}/{_PING}/status",
            f"{root}/series/+/meta",
            f"{root}/series/+/state",
            f"{root}/series/+/anomaly",
            f"{root}/replay/series/+/anomaly",
            f"{root}/group/+/anomaly",
            f"{root}/replay/group/+/anomaly",
        )
        self.online = self.answered = False
        self._lock = threading.Lock()
        self._states: dict[str, State] = {}
        self._anomalies: dict[str, Anomaly] = {}
        self._wholes: dict[str, Whole] = {}
        self._told: set[tuple[str, str, int]] = set()

    def on_message(self, topic: str, payload: bytes) -> None:
        """Take one message of the agent; an event that was sent twice counts once (same id, event and time)."""
        if not payload:  # a retained message was taken back
            return
        message: dict[str, Any] = msgspec.json.decode(payload)
        *_, name, leaf = topic.split("/")
        with self._lock:
            if leaf == "anomaly":
                self._on_event(message)
            elif leaf != "status":
                self._on_state(self._states.setdefault(name, State()), message)
            elif "state" in message:
                self.online = message["state"] == "online"
            else:
                self.answered = self.answered or message.get("status") in ("successful", "failed")

    def _on_state(self, state: State, message: dict[str, Any]) -> None:
        for name in state.__struct_fields__:
            if name in message:
                setattr(state, name, message[name])

    def _on_event(self, message: dict[str, Any]) -> None:
        key = (message["id"], message["event"], message["ts"])
        if key in self._told:
            return
        self._told.add(key)
        if "group" in message:
            self._on_group_event(message)
            return
        at_ns = message["ts"] * 1_000_000
        anomaly = self._anomalies.get(message["id"])
        if anomaly is None:
            anomaly = self._anomalies[message["id"]] = Anomaly(
                message["id"],
                message["series"],
                at_ns,
                None,
                message["value"],
                message["expected"],
                message["score"],
            )
        if message["event"] == "open":
            anomaly.opened_ns = at_ns
        elif message["event"] == "close":
            anomaly.closed_ns = at_ns
        anomaly.score = max(anomaly.score, message["score"])

    def _on_group_event(self, message: dict[str, Any]) -> None:
        at_ns = message["ts"] * 1_000_000
        whole = self._wholes.setdefault(
            message["id"], Whole(message["id"], message["group"], at_ns, None, 0.0, [], [])
        )
        if message["event"] == "close":
            whole.closed_ns = at_ns
        elif message["score"] > whole.score:
            whole.score = message["score"]
            whole.causes = [(each["variable"], each["contribution"]) for each in message["top"]]
            whole.changed = list(message["top"][0]["changed"])

    def wholes(self) -> list[Whole]:
        """Every episode of a group, in order of opening."""
        with self._lock:
            copies = [msgspec.structs.replace(whole) for whole in self._wholes.values()]
        return sorted(copies, key=lambda whole: whole.opened_ns)

    def states(self) -> dict[str, State]:
        """The last state of every series."""
        with self._lock:
            return {series_id: msgspec.structs.replace(state) for series_id, state in self._states.items()}

    def anomalies(self) -> list[Anomaly]:
        """Every episode, in order of opening."""
        with self._lock:
            copies = [msgspec.structs.replace(anomaly) for anomaly in self._anomalies.values()]
        return sorted(copies, key=lambda anomaly: (anomaly.opened_ns, anomaly.series))

    def episodes(self) -> list[Episode]:
        """Every episode, for grading."""
        return [Episode(anomaly.series, anomaly.opened_ns) for anomaly in self.anomalies()]
