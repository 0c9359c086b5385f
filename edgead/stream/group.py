"""One group: the judged readings of several series, joined to rows, judged by a model, and turned into events."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from edgead.errors import InvalidInput
from edgead.records import GROUP_PREFIX, Contribution, EventKind, Phase, Verdict
from edgead.stream.episode import Episode, make_event
from edgead.stream.join import Dumped, Join, JoinSettings, Row
from edgead.stream.journal import Verb
from edgead.stream.outcome import Outcome
from edgead.stream.settings import SECOND_NS, GroupSettings

VERSION = 2
_NAN = float("nan")


def longest_hole_ns(step_s: float) -> int:
    """Longest hole of a variable that is filled where the settings leave it open: ten steps, at least a minute."""
    return max(10 * round(step_s * SECOND_NS), 60 * SECOND_NS)


class GroupJudgement(NamedTuple):
    """What a model says about one row.

    Attributes
    ----------
    score : float, >= 0
        1.0 is the edge of normal.
    severity : float, 0..1
        0 when normal.
    top : tuple of Contribution
        The variables with the greatest shares of the score, greatest first.
    """

    score: float
    severity: float
    top: tuple[Contribution, ...]


class GroupModel(Protocol):
    """A loaded model with the window of its last rows."""

    @property
    def name(self) -> str:
        """Name and version."""

    @property
    def digest(self) -> str:
        """Tells its content from any other's; a window is only loaded into the model that dumped it."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names in the order of a row."""

    @property
    def nbytes(self) -> int:
        """Memory of the window."""

    @property
    def needed(self) -> int:
        """Rows missing until rows are judged."""

    @property
    def step_ns(self) -> int:
        """Spacing of rows."""

    def joining(self, max_gap_ns: int) -> JoinSettings:
        """How its rows are made."""

    def judge(self, row: tuple[float, ...]) -> GroupJudgement | None:
        """Take the next row; None while the window is not full, or when the model failed on it."""

    def reset(self) -> None:
        """Forget the rows."""

    def dump(self) -> bytes:
        """The rows."""

    def load(self, state: bytes) -> None:
        """Take the rows of a dump; InvalidInput when they are none of this model."""


class GroupSnapshot(msgspec.Struct, array_like=True, gc=False):
    """The stored form of `Group`."""

    version: int
    digest: str
    series: tuple[str, ...]
    max_gap_ns: int
    join: Dumped
    window: bytes
    episode: tuple[int, bool, int, int]
    stale: bool
    verdict: Verdict | None
    muted_until_ns: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(GroupSnapshot)


class Group:
    """State of one group; owned by the engine, fed by its series.

    Parameters
    ----------
    group_id : str
    settings : GroupSettings
        With a series for each variable of the model.
    model : GroupModel
        Its own: the window of rows is in it.
    node : str
        Id of the device.

    Attributes
    ----------
    name : str
        ``group/{id}``, which is its id among series, in snapshots and in records.
    series : tuple of str
        Ids of its series in the order of the row.
    rows, alarms : int
        Rows judged since the start, and how many of them are abnormal.

    Raises
    ------
    InvalidInput
        If the variables are not those of the model.
    """

    __slots__ = (
        "alarms",
        "episode",
        "group_id",
        "join",
        "model",
        "muted_until_ns",
        "name",
        "node",
        "rows",
        "series",
        "settings",
        "stale",
        "verdict",
    )

    def __init__(self, group_id: str, settings: GroupSettings, model: GroupModel, node: str) -> None:
        if set(settings.variables) != set(model.variables):
            raise InvalidInput(
                f"variables = {', '.join(sorted(settings.variables))}: expected those of the model "
                f"{model.name}: {', '.join(model.variables)}"
            )
        self.group_id = group_id
        self.name = f"{GROUP_PREFIX}{group_id}"
        self.settings = settings
        self.model = model
        self.node = node
        self.series = tuple(settings.variables[variable] for variable in model.variables)
        gap_ns = settings.max_gap_ns or longest_hole_ns(model.step_ns / SECOND_NS)
        self.join = Join(model.joining(gap_ns))
        self.episode = Episode()
        self.stale = False
        self.muted_until_ns = 0
        self.verdict: Verdict | None = None
        self.rows = self.alarms = 0

    @property
    def phase(self) -> Phase:
        """Muted, stale while a variable is missing for too long, else whether the window is full."""
        if self.muted_until_ns:
            return "muted"
        if self.stale:
            return "stale"
        return "learning" if self.model.needed else "ready"

    # ------------------------------------------------------------------ what its series say

    def take(self, variable: int, time_ns: int, value: float, out: Outcome) -> None:
        """Take a judged reading of one variable; judge every row that it closes."""
        join = self.join
        restarts = join.restarts
        rows = join.take(variable, time_ns, value)
        if join.restarts != restarts:
            self.model.reset()
        if self.stale or join.gave_up:
            self._set_stale(join.gave_up or not rows, out)
        if rows:
            self._judge(rows, out)

    def silent(self, out: Outcome) -> None:
        """One of its series is stale: it is, until it gets a row again."""
        self._set_stale(True, out)

    def rewind(self, out: Outcome) -> None:
        """The clock of one of its series was set back: begin anew at the times that follow."""
        self.join.reset()
        self.model.reset()
        out.changed.add(self.name)

    def flush(self, out: Outcome) -> None:
        """Judge every waiting row: the end of a recording."""
        self._judge(self.join.flush(), out)

    def _set_stale(self, stale: bool, out: Outcome) -> None:
        if stale != self.stale:
            self.stale = stale
            out.changed.add(self.name)

    def _judge(self, rows: Sequence[Row], out: Outcome) -> None:
        for time_ns, row in rows:
            learning = self.model.needed > 0
            judgement = self.model.judge(row)
            if learning and not self.model.needed:
                out.changed.add(self.name)
            if judgement is not None:
                self._tell(time_ns, judgement, out)

    def _tell(self, time_ns: int, judgement: GroupJudgement, out: Outcome) -> None:
        score, severity, top = judgement
        verdict = Verdict(
            self.name, time_ns, _NAN, _NAN, _NAN, _NAN, score, severity, score >= 1.0, self.phase, top=top
        )
        self.verdict = verdict
        self.rows += 1
        self.alarms += verdict.is_anomaly
        out.verdicts.append(verdict)
        kind = None if self.muted_until_ns else self.episode.step(verdict, self.settings)
        if kind is not None:
            self._raise(kind, verdict, out)
            if kind == "close":
                self.episode.reset()

    def _raise(self, kind: EventKind, verdict: Verdict, out: Outcome) -> None:
        since_ns, model = self.episode.since_ns, self.model.name
        out.events.append(make_event(kind, since_ns, verdict, node=self.node, unit="", model=model))

    # ------------------------------------------------------------------ commands

    def obey(self, verb: Verb, until_ns: int, out: Outcome) -> None:
        """Relearn, mute (judge on, but tell nothing until this processing time) or unmute."""
        if verb == "unmute":
            self.muted_until_ns = 0
        else:
            self._close_episode(out)
            if verb == "mute":
                self.muted_until_ns = until_ns
            else:
                self._begin_anew()
        out.changed.add(self.name)

    def _close_episode(self, out: Outcome) -> None:
        """End an open episode now, told with the last verdict; a run not yet told is forgotten."""
        if self.episode.is_open and self.verdict is not None:
            self._raise("close", self.verdict, out)
        self.episode.reset()

    def _begin_anew(self) -> None:
        """Forget the rows and where their grid lies; what the model learned in training is not the device's."""
        self.join.reset()
        self.model.reset()
        self.stale = False

    # ------------------------------------------------------------------ bytes

    def dump(self) -> bytes:
        """All state."""
        return _encoder.encode(
            GroupSnapshot(
                VERSION,
                self.model.digest,
                self.series,
                self.join.settings.max_gap_ns,
                self.join.dump(),
                self.model.dump(),
                msgspec.structs.astuple(self.episode),
                self.stale,
                self.verdict,
                self.muted_until_ns,
            )
        )

    def load(self, blob: bytes) -> bool:
        """Take the state of a dump.

        Returns
        -------
        bool
            False when another model, other series or nothing of ours made it: an open episode and a mute go on all
            the same, the rows are left behind.
        """
        try:
            taken = _decoder.decode(blob)
        except msgspec.MsgspecError:
            return False
        if taken.version != VERSION:
            return False
        self.episode = Episode(*taken.episode)
        self.verdict = taken.verdict
        self.muted_until_ns = taken.muted_until_ns
        told = (taken.digest, taken.series, taken.max_gap_ns)
        if told != (self.model.digest, self.series, self.join.settings.max_gap_ns):
            return False
        try:
            self.model.load(taken.window)
        except InvalidInput:
            return False
        self.join.load(taken.join)
        self.stale = taken.stale
        return True
