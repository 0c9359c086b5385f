"""A model beside the one of a group, or a detector beside the one of a series: it sees what the other sees, tells
nobody, and the alarms of both are counted.
"""

from functools import partial

import msgspec

from edgead.errors import InvalidInput
from edgead.stream.batch import Batch
from edgead.stream.group import Group, GroupModel
from edgead.stream.outcome import Outcome
from edgead.stream.series import Series
from edgead.univariate.streaming import BatchedDetector, Judgement

#: Readings that wait at most; more are judged at once.
MOST_UNHEARD = 1024


class Counts(msgspec.Struct, array_like=True):
    """Two models on the same rows.

    Attributes
    ----------
    rows, alarms : int
        Judged by the one that is not heard, and how many of them are abnormal.
    rows_beside, alarms_beside : int
        The same of the one that is.
    """

    rows: int = 0
    alarms: int = 0
    rows_beside: int = 0
    alarms_beside: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(
            self.rows + other.rows,
            self.alarms + other.alarms,
            self.rows_beside + other.rows_beside,
            self.alarms_beside + other.alarms_beside,
        )


class _Dumped(msgspec.Struct, array_like=True):
    counts: Counts
    state: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Dumped)


def _decode(blob: bytes) -> _Dumped:
    try:
        return _decoder.decode(blob)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"shadow: {error}") from error


class Shadow(Group):
    """A second model of a group, fed after it.

    Parameters
    ----------
    group : Group
        The one that tells.
    model : GroupModel
        Of the same variables, in any order.

    Raises
    ------
    InvalidInput
        If the variables are not those of the model.
    """

    __slots__ = ("_before", "_earlier", "_group")

    def __init__(self, group: Group, model: GroupModel) -> None:
        super().__init__(group.group_id, group.settings, model, group.node)
        self._group = group
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self.rows = self.alarms = 0
        self._earlier = Counts()
        self._before = (self._group.rows, self._group.alarms)

    @property
    def counts(self) -> Counts:
        """Of both, since this model judged its first row."""
        rows, alarms = self._group.rows - self._before[0], self._group.alarms - self._before[1]
        return self._earlier + Counts(self.rows, self.alarms, rows, alarms)

    def swap(self) -> None:
        """Change places with the model of the group, each with its rows; count anew."""
        group = self._group
        group.model, self.model = self.model, group.model
        group.join, self.join = self.join, group.join
        group.series, self.series = self.series, group.series
        self.begin()

    def take(self, variable: int, time_ns: int, value: float, out: Outcome) -> None:
        """See `Group.take`; nothing comes of it."""
        super().take(variable, time_ns, value, Outcome())
        if not self.rows:
            self._before = (self._group.rows, self._group.alarms)

    def silent(self, out: Outcome) -> None:
        """See `Group.silent`."""
        super().silent(Outcome())

    def rewind(self, out: Outcome) -> None:
        """See `Group.rewind`."""
        super().rewind(Outcome())

    def rest(self) -> bytes:
        """How far it is, to `resume` in another process."""
        return _encoder.encode(_Dumped(self.counts, self.dump()))

    def resume(self, blob: bytes) -> None:
        """Count on from where another process was, with its rows, if they are of this model.

        Raises
        ------
        InvalidInput
            If these bytes are none of `rest`.
        """
        dumped = _decode(blob)
        self.load(dumped.state)
        self._earlier = dumped.counts


class Unheard:
    """Readings that wait for the detectors of `SeriesShadow`: nothing that is told waits for these, and many of them
    share one call of their network.
    """

    def __init__(self) -> None:
        self._batch = Batch()
        self._waiting: list[tuple[SeriesShadow, float, int, bool]] = []
        self._out = Outcome()

    def add(self, shadow: "SeriesShadow", value: float, missing: int, alarm: bool) -> None:
        """Note a reading; `alarm`: what the detector that is heard says of it."""
        self._waiting.append((shadow, value, missing, alarm))
        if len(self._waiting) >= MOST_UNHEARD:
            self.settle()

    def settle(self) -> None:
        """Judge what waits."""
        waiting, self._waiting = self._waiting, []
        for shadow, value, missing, alarm in waiting:
            self._batch.add(shadow.detector, value, missing, partial(shadow.count, alarm), self._out)
        self._batch.judge(self._out)


class SeriesShadow:
    """A second detector of a series, given each reading after the series has judged it: a ``stream.series.Listener``.

    Readings count for both, once both detectors are ready and the network of this one has a say, up to a bound.  A
    correction of a reading that was judged already does not reach it.

    Parameters
    ----------
    series : Series
        The one that tells.
    detector : BatchedDetector
        With what it shall know of the readings before.
    unheard : Unheard
        Where its readings wait.
    most : int, >= 1
        Readings that are counted.

    Attributes
    ----------
    detector : BatchedDetector
    counts : Counts
    """

    __slots__ = ("_heard", "_heeded", "_judged_ns", "_most", "_series", "_unheard", "counts", "detector")

    def __init__(self, series: Series, detector: BatchedDetector, unheard: Unheard, most: int) -> None:
        self._series = series
        self._heard = series.detector
        self._judged_ns = series.judged_ns
        self._unheard = unheard
        self._most = most
        self._heeded = False
        self.detector = detector
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self.counts = Counts()

    @property
    def follows(self) -> bool:
        """Whether the series still has the detector that this one was put beside; not after it began to learn anew."""
        return self._series.detector is self._heard

    def take(self, variable: int, time_ns: int, value: float, out: Outcome) -> None:
        """A reading that the series has just judged."""
        series, gap_ns = self._series, time_ns - self._judged_ns
        missing = 0
        if self._judged_ns and gap_ns > series.step_ns:
            missing = max((gap_ns + series.step_ns // 2) // series.step_ns - 1, 0)
        self._judged_ns = time_ns
        assert series.verdict is not None
        self._unheard.add(self, value, missing, series.verdict.is_anomaly)

    def count(self, alarm: bool, judgement: Judgement, ready: bool, out: Outcome) -> None:
        """Its judgement of a reading, and whether the other detector found it abnormal."""
        counts = self.counts
        if not ready or not self._series.ready or counts.rows >= self._most:
            return
        self._heeded = self._heeded or self.detector.heeded
        if self._heeded:
            counts.rows += 1
            counts.rows_beside += 1
            counts.alarms += judgement[5]
            counts.alarms_beside += alarm

    def silent(self, out: Outcome) -> None:
        """Its series is stale: nothing is missing before the reading comes."""

    def rewind(self, out: Outcome) -> None:
        """The clock of its series was set back."""
        self._judged_ns = 0

    def rest(self) -> bytes:
        """How far it is, and what its network told, to `resume` in another process."""
        return _encoder.encode(_Dumped(self.counts, self.detector.dump_told()))

    def resume(self, blob: bytes) -> None:
        """Count on from where another process was.

        Raises
        ------
        InvalidInput
            If these bytes are none of `rest`, or of another network; nothing changed.
        """
        dumped = _decode(blob)
        self.detector.load_told(dumped.state)
        self.counts = dumped.counts
