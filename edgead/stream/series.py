"""One series: readings put in time order, judged, and turned into events.

The rows of the window are the readings themselves, in time order.  The step of the grid only says how many rows are
missing between two of them (docs/adr/0002): a sensor whose clock drifts against the grid then loses nothing and
doubles nothing.
"""

from bisect import insort
from collections import Counter
from functools import partial
from operator import itemgetter
from typing import Protocol

from edgead.records import Event, EventKind, Phase, Verdict
from edgead.stream.episode import Episode, event_id
from edgead.stream.journal import Verb
from edgead.stream.outcome import Outcome
from edgead.stream.recent import Recent
from edgead.stream.settings import SECOND_NS, SeriesSettings
from edgead.univariate.streaming import Judgement, StreamingDetector, make_detector

#: (time_ns, value, quality) of a reading that waits for earlier ones.
Pending = tuple[int, float, str]
_BY_TIME = itemgetter(0)

#: A magnitude no sensor has; above it (and for NaN) a reading is a gap.  Leaves room for squares in single precision.
LARGEST_VALUE = 1e18

#: What processing time can ask of a series: judge waiting readings (nothing came for the allowed lateness), call the
#: series stale, end a mute.
RELEASE, STALE, UNMUTE = 1, 2, 4
NEVER = 2**63 - 1

#: Readings in a row with rows missing before each, after which the configured step is taken for a mistake: the source
#: sends at its own spacing, and rows made up for what never comes would teach the detector nothing.
SPARSE_AFTER = 16

#: Readings in a row, none of them on time, after which a source whose clock was set back is believed (once nothing was
#: on time for as long as makes a series stale).
REJOIN_AFTER = 10

#: Rows that a late reading can still correct, and that a repeated reading is recognised in: about two minutes at one a
#: second.  Where late readings are judged again (replay), what a broker repeats after a kill must not be among them:
#: there it is a whole commit.
RECENT_ROWS, RECENT_ROWS_REPLAY = 96, 4096


class Listener(Protocol):
    """What takes the judged readings of a series; a group is one."""

    def take(self, variable: int, time_ns: int, value: float, out: Outcome) -> None: ...  # noqa: D102
    def silent(self, out: Outcome) -> None: ...  # noqa: D102
    def rewind(self, out: Outcome) -> None: ...  # noqa: D102


class Series:
    """State of one series; owned by the engine.

    Parameters
    ----------
    series_id, source : str
        Name, and where its readings come from: topic, and after a ``#``, which no topic of a message has, the field of
        the payload, if it has a name.
    key : int
        Its number in the journal.
    settings : SeriesSettings
        As configured.
    node : str
        Id of the device.
    replay : bool
        True for the twin that judges readings from before the watermark.

    Attributes
    ----------
    listeners : sequence of (Listener, int)
        Who takes the judged readings, and as which of its variables.
    """

    __slots__ = (
        "arrived_ns",
        "backfill",
        "detector",
        "episode",
        "judged_ns",
        "key",
        "late_run",
        "lateness_ns",
        "listeners",
        "muted_until_ns",
        "newest_ns",
        "node",
        "on_time_ns",
        "pending",
        "ready",
        "recent",
        "replay",
        "scheduled_ns",
        "series_id",
        "settings",
        "source",
        "sparse_ns",
        "sparse_run",
        "stale",
        "stale_after_ns",
        "step_ns",
        "topic",
        "verdict",
    )

    def __init__(
        self,
        series_id: str,
        key: int,
        source: str,
        settings: SeriesSettings,
        node: str,
        *,
        replay: bool = False,
    ) -> None:
        self.series_id = series_id
        self.key = key
        self.source = source
        self.topic = source.partition("#")[0]
        self.settings = settings
        self.node = node
        self.replay = replay
        self.lateness_ns = settings.allowed_lateness_ns
        self.sparse_run = self.sparse_ns = 0
        self.set_step(settings.step_ns)
        self.detector: StreamingDetector = make_detector(settings.detector, settings.detecting)
        self.ready = self.detector.needed == 0
        self.episode = Episode()
        self.recent = self._new_recent()
        self.pending: list[Pending] = []
        self.judged_ns = self.newest_ns = self.arrived_ns = 0
        self.on_time_ns = self.late_run = 0
        self.muted_until_ns = 0
        self.scheduled_ns = NEVER  # when the engine looks at this series next
        self.stale = False
        self.verdict: Verdict | None = None
        self.backfill: Series | None = None
        self.listeners: tuple[tuple[Listener, int], ...] = ()

    @property
    def phase(self) -> Phase:
        """Where the series is in its life: muted wins over stale, stale over learning and ready."""
        if self.muted_until_ns:
            return "muted"
        if self.stale:
            return "stale"
        return "ready" if self.ready else "learning"

    # ------------------------------------------------------------------ readings

    def feed(self, reading: Pending, now_ns: int, out: Outcome, counts: Counter[str]) -> None:
        """Take one reading; judge every reading that has become final."""
        self.arrived_ns = now_ns
        if self.stale:
            self.stale = False
            out.changed.add(self.series_id)
        time_ns, value, _ = reading
        if not abs(value) <= LARGEST_VALUE:
            counts["gap" if value != value else "out_of_range"] += 1
        elif time_ns <= self.judged_ns:
            self._late(reading, now_ns, out, counts)
        else:
            self.on_time_ns = now_ns
            self.late_run = 0
            if time_ns > self.newest_ns:
                self.newest_ns = time_ns
                self.pending.append(reading)
            else:
                self._insert(reading, counts)
            watermark_ns = self.newest_ns - self.lateness_ns
            if self.pending[0][0] <= watermark_ns:
                self._release(watermark_ns, out)

    def _insert(self, reading: Pending, counts: Counter[str]) -> None:
        """A reading not later than the newest: into its place; of two with one time the later arrival wins."""
        for at, waiting in enumerate(self.pending):
            if waiting[0] == reading[0]:
                counts["duplicate" if waiting[1] == reading[1] else "revision"] += 1
                self.pending[at] = reading
                return
        counts["reordered"] += 1
        insort(self.pending, reading, key=_BY_TIME)

    def _late(self, reading: Pending, now_ns: int, out: Outcome, counts: Counter[str]) -> None:
        """A reading from before the watermark: its row was judged, or its chance is over."""
        time_ns, value, _ = reading
        age = self.recent.age_of(time_ns)
        if age is not None and self.recent.value_at(age) == value:
            counts["duplicate"] += 1
            return
        self.late_run += 1
        self.on_time_ns = min(self.on_time_ns, now_ns)  # processing time itself may have been set back
        if self.late_run >= REJOIN_AFTER and now_ns - self.on_time_ns >= self.stale_after_ns:
            counts["rejoined"] += 1
            self._rejoin(time_ns, out)
            self.feed(reading, now_ns, out, counts)
            return
        counts["late"] += 1
        if self.settings.late == "drop":
            return
        if age is not None:
            self.recent.replace(age, value)
            self.detector.revise(age, value)
        elif self.settings.late == "replay" and not self.replay:
            if self.backfill is None:
                out.settle()
                self.backfill = self._twin()
            self.backfill.feed(reading, now_ns, out, counts)

    def _rejoin(self, time_ns: int, out: Outcome) -> None:
        """Start a new count of time just before `time_ns`: the source's clock was set back."""
        self.release_all(out)
        out.settle()
        self.backfill = None
        self.recent = self._new_recent()
        self.judged_ns = self.newest_ns = time_ns - self.step_ns
        for listener, _ in self.listeners:
            listener.rewind(out)

    def _new_recent(self) -> Recent:
        return Recent(RECENT_ROWS_REPLAY if self.settings.late == "replay" else RECENT_ROWS)

    def _twin(self) -> "Series":
        """Judges readings from before the watermark in their own order, from the experience of now."""
        twin = Series(self.series_id, self.key, self.source, self.settings, self.node, replay=True)
        twin.detector.load(self.detector.dump())
        twin.ready = self.ready
        twin.muted_until_ns = self.muted_until_ns
        return twin

    def release_all(self, out: Outcome) -> None:
        """Judge whatever waits: nothing earlier is expected any more."""
        self._release(self.newest_ns, out)
        if self.backfill is not None:
            self.backfill.release_all(out)

    def _release(self, watermark_ns: int, out: Outcome) -> None:
        done = 0
        for reading in self.pending:
            if reading[0] > watermark_ns:
                break
            self._judge(reading, out)
            done += 1
        if done:
            del self.pending[:done]

    # ------------------------------------------------------------------ judging

    def _judge(self, reading: Pending, out: Outcome) -> None:
        time_ns, value, _ = reading
        gap_ns = time_ns - self.judged_ns
        if gap_ns > self.step_ns and self.judged_ns:
            missing = self._missing(gap_ns, out)
        else:
            missing = self.sparse_run = 0
        self.judged_ns = time_ns
        self.recent.append(time_ns, value)
        if out.batch is None:
            judgement = self.detector.judge(value, missing)
            self.take(reading, judgement, self.ready or self.detector.needed == 0, out)
        else:
            out.batch.add(self.detector, value, missing, partial(self.take, reading), out)

    def take(self, reading: Pending, judgement: Judgement, ready: bool, out: Outcome) -> None:
        """Make a verdict of a judgement, and what follows from it; `ready`: the detector is, after it."""
        time_ns, value, quality = reading
        score, severity, expected, lower, upper, is_anomaly = judgement
        phase: Phase = "ready" if self.ready and not self.muted_until_ns else self.phase
        verdict = Verdict(
            self.series_id,
            time_ns,
            value,
            expected,
            lower,
            upper,
            score,
            severity,
            is_anomaly,
            phase,
            quality,
        )
        self.verdict = verdict
        out.verdicts.append(verdict)
        if ready and not self.ready:
            self.ready = True
            out.changed.add(self.series_id)
        if (is_anomaly or self.episode.since_ns) and not self.muted_until_ns:
            kind = self.episode.step(verdict, self.settings)
            if kind is not None:
                self._tell(kind, verdict, out)
        for listener, variable in self.listeners:
            listener.take(variable, time_ns, value, out)

    def _missing(self, gap_ns: int, out: Outcome) -> int:
        """Rows that should have come between two readings this far apart."""
        missing = max((gap_ns + self.step_ns // 2) // self.step_ns - 1, 0)
        if not missing:
            self.sparse_run = 0
            return 0
        self.sparse_run += 1
        self.sparse_ns = gap_ns if self.sparse_run == 1 else min(self.sparse_ns, gap_ns)
        if self.sparse_run < SPARSE_AFTER:
            return missing
        out.settle()
        self._widen(self.sparse_ns)
        out.changed.add(self.series_id)
        return max((gap_ns + self.step_ns // 2) // self.step_ns - 1, 0)

    def _widen(self, step_ns: int) -> None:
        """Go on with the spacing that the source really has; what was learned from made-up rows at the start goes."""
        if not self.ready:
            self.detector = make_detector(self.settings.detector, self.settings.detecting)
        self.sparse_run = 0
        self.set_step(step_ns)

    def set_step(self, step_ns: int) -> None:
        """Count missing rows by this spacing, and call the series stale by it where the settings leave that open."""
        self.step_ns = step_ns
        self.stale_after_ns = self.settings.stale_after_ns or max(10 * step_ns, 60 * SECOND_NS)

    def _tell(self, kind: EventKind, verdict: Verdict, out: Outcome) -> None:
        since = self.episode.since_ns
        out.events.append(
            Event(
                event_id(self.node, self.series_id, since),
                kind,
                since,
                verdict,
                self.settings.unit,
                self.detector.model,
                self.replay,
            )
        )
        if kind == "close":
            self.episode.reset()

    # ------------------------------------------------------------------ commands and silence

    def close_episode(self, out: Outcome) -> None:
        """End an open episode now, told with the last verdict; a run not yet told is forgotten."""
        if self.episode.is_open and self.verdict is not None:
            self._tell("close", self.verdict, out)
        self.episode.reset()

    def mute(self, until_ns: int, out: Outcome) -> None:
        """Judge on, but tell nothing until this processing time."""
        self.close_episode(out)
        self.muted_until_ns = until_ns
        out.changed.add(self.series_id)

    def unmute(self, out: Outcome) -> None:
        """Tell events again."""
        self.muted_until_ns = 0
        out.changed.add(self.series_id)

    def obey(self, verb: Verb, until_ns: int, out: Outcome) -> None:
        """Relearn, mute or unmute."""
        if verb == "relearn":
            self.relearn(out)
        elif verb == "mute":
            self.mute(until_ns, out)
        else:
            self.unmute(out)

    def relearn(self, out: Outcome) -> None:
        """Forget what was learned."""
        self.close_episode(out)
        self.detector = make_detector(self.settings.detector, self.settings.detecting)
        self.ready = self.detector.needed == 0
        self.backfill = None
        out.changed.add(self.series_id)

    def due(self, now_ns: int) -> int:
        """What processing time asks for now: a sum of `RELEASE`, `STALE` and `UNMUTE`."""
        actions = 0
        if self._waits() and now_ns >= self.arrived_ns + self.lateness_ns:
            actions |= RELEASE
        if not self.stale and now_ns >= self.arrived_ns + self.stale_after_ns:
            actions |= STALE
        if self.muted_until_ns and now_ns >= self.muted_until_ns:
            actions |= UNMUTE
        return actions

    def due_ns(self) -> int:
        """Earliest processing time at which `due` has something to ask for; `NEVER` if only a reading can change it."""
        times = [
            self.arrived_ns + self.lateness_ns if self._waits() else NEVER,
            NEVER if self.stale else self.arrived_ns + self.stale_after_ns,
            self.muted_until_ns or NEVER,
        ]
        return min(times)

    def _waits(self) -> bool:
        return bool(self.pending) or (self.backfill is not None and bool(self.backfill.pending))

    def act(self, actions: int, out: Outcome) -> None:
        """Do what `due` asked for."""
        if actions & UNMUTE:
            self.unmute(out)
        if actions & RELEASE:
            self.release_all(out)
        if actions & STALE:
            out.settle()
            self.stale = True
            self.backfill = None
            out.changed.add(self.series_id)
            for listener, _ in self.listeners:
                listener.silent(out)
