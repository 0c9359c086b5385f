"""The engine: owns the state of every series, and is the one way to feed, tick, command, save and restore them.

Saving.  Every input is noted; `journal_entry` is the notes as bytes.  The caller stores it together with the events it
caused, and says so with `settle`; when storing failed, the next entry holds the same inputs and those after them.
`checkpoint` names the series whose state should be saved with the same transaction, so that the journal never holds
more than a stated number of readings; `forget_through` is the last journal entry that no series needs any more.

Groups.  A group is fed by its series in the order they judge, so the journal needs no word about it; but its state is
only right beside the states of its series.  A group, its series and all groups that share one of them are one *unit*
and always saved together.  A group that has no snapshot begins when the journal ends.
"""

import heapq
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgead.errors import InvalidInput
from edgead.records import GROUP_PREFIX, Reading
from edgead.stream import journal, snapshot
from edgead.stream.batch import Batch
from edgead.stream.group import Group, GroupModel
from edgead.stream.outcome import Outcome
from edgead.stream.series import NEVER, RELEASE, Listener, Series
from edgead.stream.settings import EngineSettings, GroupSettings, SeriesSettings
from edgead.stream.shadow import SeriesShadow, Shadow, Unheard
from edgead.univariate.streaming import BatchedDetector, StreamingDetector

if TYPE_CHECKING:
    from edgead.stream.again import Again, Ask

#: Finds the settings of a stored series by its id and source; None when it is no longer configured.
SettingsFor = Callable[[str, str], SeriesSettings | None]

#: Python objects, buffers and rows of one series beside its detector's state, bytes; measured by tests/bench.
SERIES_OVERHEAD_BYTES = 12 * 1024


class Engine:
    """All series of one device.

    Parameters
    ----------
    settings : EngineSettings
        Node id and limits.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.series: dict[str, Series] = {}
        self.groups: dict[str, Group] = {}  # by name, group/{id}
        self.shadows: dict[str, Shadow] = {}  # by the same name
        self.series_shadows: dict[str, SeriesShadow] = {}  # by series
        self.counts: Counter[str] = Counter()
        self.memory_bytes = 0
        self._by_key: dict[int, Series] = {}
        self._next_key = 1
        self._due: list[tuple[int, str]] = []
        self._noted: list[journal.Input] = []
        self._touched: dict[str, int] = {}  # series -> readings since the last settle
        self._unsaved: dict[
            str, list[int]
        ] = {}  # series -> [first journal entry, readings] not in its snapshot
        self._unsaved_readings = 0
        self._fresh_readings = 0  # noted since the last settle
        self._folded = 0  # noted inputs whose readings are in _touched
        self._journal_end = 0
        self._listeners: dict[str, tuple[tuple[Listener, int], ...]] = {}
        self._units: dict[str, tuple[str, ...]] = {}  # series or group -> all that are saved with it
        self._never_saved: set[str] = set()  # groups without a snapshot on disk
        self._batched: set[str] = set()  # series whose detectors have a network
        self._batch = Batch()  # empty between two calls
        self._unheard = Unheard()

    # ------------------------------------------------------------------ series

    def add(self, series_id: str, source: str, settings: SeriesSettings, now_ns: int) -> str | None:
        """Take in a new series.

        Returns
        -------
        str or None
            Why it was refused: the limit it would break, in words.
        """
        if len(self.series) >= self.settings.max_series:
            return f"more than max_series = {self.settings.max_series} series"
        series = Series(series_id, self._next_key, source, settings, self.settings.node)
        needed = self.memory_bytes + series.detector.nbytes + SERIES_OVERHEAD_BYTES
        if needed > self.settings.memory_budget_bytes:
            budget = self.settings.memory_budget_bytes
            return f"its state would bring memory to {needed} of memory_budget = {budget} bytes"
        self._noted.append(journal.Added(now_ns, series.key, series_id, source))
        self._take_in(series, now_ns)
        return None

    def _take_in(self, series: Series, now_ns: int) -> None:
        self.series[series.series_id] = series
        self._by_key[series.key] = series
        self._next_key = max(self._next_key, series.key + 1)
        self.memory_bytes += series.detector.nbytes + SERIES_OVERHEAD_BYTES
        self._mind_network(series)
        series.listeners = self._listeners.get(series.series_id, ())
        series.arrived_ns = series.arrived_ns or now_ns
        self._touched.setdefault(series.series_id, 0)
        self._schedule(series, series.due_ns())

    def configure(self, series_id: str, settings: SeriesSettings) -> None:
        """Give a series other settings; what it learned stays where the detector and its window stay the same.

        Save everything before and after (``checkpoint(0)``): a restart judges the journal with the settings it finds.
        """
        self.remove_series_shadow(series_id)
        old = self.series[series_id]
        taken = snapshot.decode(snapshot.dump(old))
        self.memory_bytes -= old.detector.nbytes
        series = snapshot.restore(series_id, taken, settings, self.settings.node)
        self.memory_bytes += series.detector.nbytes
        series.listeners = old.listeners
        self._mind_network(series)
        self.series[series_id] = self._by_key[old.key] = series
        self._touched.setdefault(series_id, 0)
        self._schedule(series, series.due_ns())

    def _mind_network(self, series: Series) -> None:
        if hasattr(series.detector, "network"):
            self._batched.add(series.series_id)
        else:
            self._batched.discard(series.series_id)

    def _outcome(self) -> Outcome:
        """For one call; readings wait for each other where a network judges some of them."""
        return Outcome(self._batch) if self._batched else Outcome()

    def remove(self, series_id: str) -> None:
        """Forget a series that is no longer configured."""
        self.remove_series_shadow(series_id)
        series = self.series.pop(series_id)
        self._batched.discard(series_id)
        del self._by_key[series.key]
        self.memory_bytes -= series.detector.nbytes + SERIES_OVERHEAD_BYTES
        self._touched.pop(series_id, None)
        self._unsaved_readings -= self._unsaved.pop(series_id, (0, 0))[1]

    @property
    def networked(self) -> set[str]:
        """Ids of the series whose detectors have a network."""
        return set(self._batched)

    def add_series_shadow(self, series_id: str, detector: BatchedDetector, *, most: int) -> str | None:
        """Have a second detector see what a series judges; it lasts until the series is configured anew or removed.

        Parameters
        ----------
        series_id : str
            Of the series.
        detector : BatchedDetector
            With what it shall know of the readings before.
        most : int, >= 1
            Readings that are counted.

        Returns
        -------
        str or None
            Why it was refused, in words.
        """
        self.remove_series_shadow(series_id)
        if self.memory_bytes + detector.nbytes > self.settings.memory_budget_bytes:
            return f"no room for its state in memory_budget = {self.settings.memory_budget_bytes} bytes"
        self.memory_bytes += detector.nbytes
        series = self.series[series_id]
        self.series_shadows[series_id] = SeriesShadow(series, detector, self._unheard, most)
        self._link(self.groups.values())
        return None

    def remove_series_shadow(self, series_id: str) -> None:
        """Forget the shadow of a series, if it has one."""
        shadow = self.series_shadows.pop(series_id, None)
        if shadow is not None:
            self.memory_bytes -= shadow.detector.nbytes
            self._link(self.groups.values())

    def judge_unheard(self) -> None:
        """Have the shadows of series judge what waits for them: after what the readings brought about was told."""
        self._unheard.settle()

    def promote_series_shadow(self, series_id: str) -> StreamingDetector:
        """Have a series go on with the detector of its shadow, which is no shadow any more.

        Save everything before and after (``checkpoint(0)``), as for `configure`.

        Returns
        -------
        StreamingDetector
            What it had.
        """
        before, detector = self.series[series_id].detector, self.series_shadows[series_id].detector
        self.configure(series_id, self.series[series_id].settings)  # what is beside the detector comes along
        series = self.series[series_id]
        self.memory_bytes += detector.nbytes - series.detector.nbytes
        series.detector, series.ready = detector, detector.needed == 0
        return before

    # ------------------------------------------------------------------ groups

    def add_group(self, group_id: str, settings: GroupSettings, model: GroupModel) -> str | None:
        """Take in a group, or give one other settings; its series may come later.

        Before `restore`, which brings back what it had; a group whose model and series stayed keeps its rows.

        Returns
        -------
        str or None
            Why it was refused, in words.
        """
        try:
            group = Group(group_id, settings, model, self.settings.node)
        except InvalidInput as error:
            return str(error)
        old = self.groups.get(group.name)
        needed = self.memory_bytes + model.nbytes - (old.model.nbytes if old is not None else 0)
        if needed > self.settings.memory_budget_bytes:
            budget = self.settings.memory_budget_bytes
            return f"its window would bring memory to {needed} of memory_budget = {budget} bytes"
        if old is None or not group.load(old.dump()):
            self._never_saved.add(group.name)
        self.memory_bytes = needed
        self.remove_shadow(group_id)
        self.groups[group.name] = group
        self._link(self.groups.values())
        return None

    def add_shadow(self, group_id: str, model: GroupModel) -> str | None:
        """Have a second model see what a group sees, from an empty window; it lasts until the group is added anew.

        Returns
        -------
        str or None
            Why it was refused, in words.
        """
        group = self.groups[f"{GROUP_PREFIX}{group_id}"]
        self.remove_shadow(group_id)
        try:
            shadow = Shadow(group, model)
        except InvalidInput as error:
            return str(error)
        if self.memory_bytes + model.nbytes > self.settings.memory_budget_bytes:
            return f"no room for its window in memory_budget = {self.settings.memory_budget_bytes} bytes"
        self.memory_bytes += model.nbytes
        self.shadows[group.name] = shadow
        self._link(self.groups.values())
        return None

    def remove_shadow(self, group_id: str) -> None:
        """Forget the shadow of a group, if it has one."""
        shadow = self.shadows.pop(f"{GROUP_PREFIX}{group_id}", None)
        if shadow is not None:
            self.memory_bytes -= shadow.model.nbytes
            self._link(self.groups.values())

    def swap_shadow(self, group_id: str) -> None:
        """Have a group and its shadow change models, each with its rows; an open episode goes on.

        Save everything before and after (``checkpoint(0)``), as for `configure`.
        """
        name = f"{GROUP_PREFIX}{group_id}"
        self.shadows[name].swap()
        self._never_saved.add(name)
        self._link(self.groups.values())

    def remove_group(self, group_id: str) -> None:
        """Forget a group."""
        self.remove_shadow(group_id)
        group = self.groups.pop(f"{GROUP_PREFIX}{group_id}")
        self.memory_bytes -= group.model.nbytes
        self._never_saved.discard(group.name)
        self._touched.pop(group.name, None)
        self._link(self.groups.values())

    def _link(self, groups: Iterable[Group]) -> None:
        """Have the series feed these groups, and say what is saved together."""
        listeners: dict[str, list[tuple[Listener, int]]] = {}
        units: dict[str, tuple[str, ...]] = {}
        for group in groups:
            for variable, series_id in enumerate(group.series):
                listeners.setdefault(series_id, []).append((group, variable))
            joined = dict.fromkeys([group.name, *group.series])
            for name in list(joined):
                joined.update(dict.fromkeys(units.get(name, ())))
            units.update(dict.fromkeys(joined, tuple(joined)))
        for shadow in self.shadows.values():
            for variable, series_id in enumerate(shadow.series):
                listeners.setdefault(series_id, []).append((shadow, variable))
        for series_id, beside in self.series_shadows.items():
            listeners.setdefault(series_id, []).append((beside, 0))
        self._units = units
        self._listeners = {series_id: tuple(each) for series_id, each in listeners.items()}
        for series in self.series.values():
            series.listeners = self._listeners.get(series.series_id, ())

    # ------------------------------------------------------------------ inputs

    def feed(self, readings: Sequence[Reading], now_ns: int) -> Outcome:
        """Take readings in the order they arrived.

        Parameters
        ----------
        readings : sequence of Reading
            Of series that were added; others are counted as ``unknown_series`` and left out.
        now_ns : int
            Processing time.
        """
        out = self._outcome()
        noted: list[journal.Row] = []
        series_of, counts = self.series, self.counts
        for reading in readings:
            series_id, time_ns, value, quality = (
                reading.series_id,
                reading.time_ns,
                reading.value,
                reading.quality,
            )
            series = series_of.get(series_id)
            if series is None:
                counts["unknown_series"] += 1
                continue
            noted.append((series.key, time_ns, value, quality))
            series.feed((time_ns, value, quality), now_ns, out, counts)
            waits = series.pending or series.backfill is not None  # late readings wait there
            wait_ns = series.lateness_ns if waits else series.stale_after_ns
            if now_ns + wait_ns < series.scheduled_ns:
                self._schedule(series, now_ns + wait_ns)
        out.settle()
        if noted:
            self._noted.append(journal.fed(now_ns, noted))
            self._fresh_readings += len(noted)
            counts["readings"] += len(noted)
        return out

    def tick(self, now_ns: int) -> Outcome:
        """Do what has become due by processing time: waiting readings, staleness, the end of a mute."""
        out = self._outcome()
        keys: list[int] = []
        actions = bytearray()
        self._end_mutes(now_ns, out)
        while self._due and self._due[0][0] <= now_ns:
            at_ns, series_id = heapq.heappop(self._due)
            series = self.series.get(series_id)
            if series is None or series.scheduled_ns != at_ns:
                continue  # removed, or looked at by another entry
            series.scheduled_ns = NEVER
            asked = series.due(now_ns)
            if asked:
                series.act(asked, out)
                keys.append(series.key)
                actions.append(asked)
                self._touched.setdefault(series_id, 0)
            self._schedule(series, series.due_ns())
        out.settle()
        if keys:
            self._noted.append(journal.Ticked(now_ns, keys, bytes(actions)))
        return out

    def _schedule(self, series: Series, at_ns: int) -> None:
        """Have `tick` look at a series at this processing time at the latest."""
        if at_ns < series.scheduled_ns:
            series.scheduled_ns = at_ns
            heapq.heappush(self._due, (at_ns, series.series_id))

    def command(self, verb: journal.Verb, name: str, now_ns: int, *, until_ns: int = 0) -> Outcome:
        """Relearn, mute (until a processing time) or unmute one series, or one group by its name ``group/{id}``.

        Raises
        ------
        InvalidInput
            If there is no such series or group.
        """
        series, group = self.series.get(name), self.groups.get(name)
        out = Outcome()
        if series is not None:
            self._note_command(verb, name, now_ns, until_ns)
            series.obey(verb, until_ns, out)
            self._schedule(series, series.due_ns())
        elif group is not None:
            self._note_command(verb, name, now_ns, until_ns)
            group.obey(verb, until_ns, out)
        else:
            kind = "group" if name.startswith(GROUP_PREFIX) else "series"
            raise InvalidInput(f"{kind}: {name.removeprefix(GROUP_PREFIX)!r} is unknown on this device")
        return out

    def mutes(self) -> dict[str, int]:
        """Series and groups that are muted for a while, and until which processing time."""
        every: list[tuple[str, Series | Group]] = [*self.series.items(), *self.groups.items()]
        return {name: each.muted_until_ns for name, each in every if 0 < each.muted_until_ns < NEVER}

    def _note_command(self, verb: journal.Verb, name: str, now_ns: int, until_ns: int) -> None:
        self._noted.append(journal.Commanded(now_ns, verb, name, until_ns))
        self._touched.setdefault(name, 0)

    def _end_mutes(self, now_ns: int, out: Outcome) -> None:
        """Unmute the groups that are due; noted as commands before the tick, for the journal's ticks are of series."""
        for name, group in self.groups.items():
            if 0 < group.muted_until_ns <= now_ns:
                self._note_command("unmute", name, now_ns, 0)
                group.obey("unmute", 0, out)

    def flush(self) -> Outcome:
        """Judge every waiting reading: the end of a recording."""
        out = self._outcome()
        for series in self.series.values():
            series.release_all(out)
        out.settle()
        for group in self.groups.values():
            group.flush(out)
        return out

    # ------------------------------------------------------------------ saving

    def journal_entry(self) -> bytes | None:
        """The inputs since the last `settle` as one journal entry; None when there were none."""
        return journal.encode(self._noted) if self._noted else None

    def checkpoint(self, journal_readings: int) -> dict[str, bytes]:
        """Snapshots to store with the next entry.

        The series that waited longest are saved, as many as bring the readings in the journal down to a limit.

        Parameters
        ----------
        journal_readings : int, >= 0
            Readings that a restart may have to judge again; 0 saves every series that has unsaved inputs.
        """
        self._fold()
        taken: dict[str, bytes] = {}
        excess = self._unsaved_readings + self._fresh_readings - journal_readings
        if journal_readings and excess <= 0 and not self._never_saved:
            return {}
        waiting = [*self._unsaved, *(name for name in self._touched if name not in self._unsaved)]
        for name in [*sorted(self._never_saved), *waiting]:
            if journal_readings and excess <= 0 and name not in self._never_saved:
                break
            if name not in taken:
                for each in self._units.get(name, (name,)):
                    if (state := self._dump(each)) is not None:
                        taken[each] = state
                        excess -= self._unsaved.get(each, (0, 0))[1] + self._touched.get(each, 0)
        return taken

    def _dump(self, name: str) -> bytes | None:
        """State of a series or group; None when a group's series has not come yet."""
        group, series = self.groups.get(name), self.series.get(name)
        if group is not None:
            return group.dump()
        return snapshot.dump(series) if series is not None else None

    def settle(self, journal_seq: int, saved: Iterable[str] = ()) -> None:
        """Say that the present entry and these snapshots are stored, the entry under this number."""
        self._fold()
        self._journal_end = journal_seq
        self._noted, self._folded, self._fresh_readings = [], 0, 0
        for series_id in saved:
            self._never_saved.discard(series_id)
            self._unsaved_readings -= self._unsaved.pop(series_id, (0, 0))[1]
            self._touched.pop(series_id, None)
        for series_id, readings in self._touched.items():
            self._unsaved.setdefault(series_id, [journal_seq, 0])[1] += readings
            self._unsaved_readings += readings
        self._touched = {}

    def save_all(self) -> dict[str, bytes]:
        """Snapshots of every series and group."""
        groups = {name: group.dump() for name, group in self.groups.items()}
        return {series_id: snapshot.dump(series) for series_id, series in self.series.items()} | groups

    @property
    def unsettled_readings(self) -> int:
        """Readings fed since the last `settle`."""
        return self._fresh_readings

    def _fold(self) -> None:
        """Count the noted readings by series: here, once a commit, and not at each reading."""
        for noted in self._noted[self._folded :]:
            if isinstance(noted, journal.Fed):
                for key, readings in Counter(array("i", noted.keys)).items():
                    series = self._by_key.get(key)
                    if series is not None:
                        self._touched[series.series_id] = self._touched.get(series.series_id, 0) + readings
        self._folded = len(self._noted)

    @property
    def forget_through(self) -> int:
        """Last journal entry that no series needs any more."""
        first = next(iter(self._unsaved.values()), None)
        return self._journal_end if first is None else first[0] - 1

    # ------------------------------------------------------------------ restoring

    def restore(
        self,
        snapshots: Iterable[tuple[str, int, bytes]],
        entries: Iterable[tuple[int, bytes]],
        settings_for: SettingsFor,
        ask: "Ask | None" = None,
    ) -> list[str]:
        """Come back to the state at the end of the journal.

        Parameters
        ----------
        snapshots : iterable of (str, int, bytes)
            Series id or name of a group, the last journal entry that the snapshot includes, and the snapshot; taken
            one after another.
        entries : iterable of (int, bytes)
            Journal entries with their numbers, ascending.  The events they cause were stored with them.
        settings_for : callable
            Finds the settings of a series.
        ask : callable, optional
            Has a network judge beside what goes on, as `concurrent.futures.Executor.submit`.

        Returns
        -------
        list of str
            Ids of stored series, and names of stored groups, that are no longer configured or cannot be used.
        """
        retired, included = self._restore_snapshots(snapshots, settings_for)
        restart = _Restart(included, settings_for, ask)
        unsaved: set[str] = set()  # only the journal knows them
        for seq, entry in entries:
            for noted in journal.decode(entry):
                self._replay(noted, seq, restart)
                if isinstance(noted, journal.Added) and noted.series_id not in included:
                    unsaved.add(noted.series_id)
            self.settle(seq)
        restart.settle()
        self._link(self.groups.values())
        self.counts.clear()
        return [*retired, *sorted(unsaved - self.series.keys())]

    def resume(self, now_ns: int) -> None:
        """Go on at this processing time, which may lie before the stored one (a device that woke in 1970)."""
        for series in self.series.values():
            series.arrived_ns = min(series.arrived_ns, now_ns)
            self._schedule(series, series.due_ns())

    def _restore_snapshots(
        self, snapshots: Iterable[tuple[str, int, bytes]], settings_for: SettingsFor
    ) -> tuple[list[str], dict[str, int]]:
        """Series and groups as they were saved; who is no longer configured, and what each snapshot includes."""
        retired: list[str] = []
        included: dict[str, int] = {}
        restored: set[str] = set()
        for name, seq, blob in snapshots:
            included[name] = seq
            if not name.startswith(GROUP_PREFIX):
                if not self._restore_series(name, blob, settings_for):
                    retired.append(name)
            elif name not in self.groups:
                retired.append(name)
            elif self.groups[name].load(blob):
                restored.add(name)
        self._never_saved -= restored
        self._link(group for name, group in self.groups.items() if name in restored)
        self._touched = {}
        return retired, included

    def _restore_series(self, series_id: str, blob: bytes, settings_for: SettingsFor) -> bool:
        taken = snapshot.decode(blob)
        settings = settings_for(series_id, taken.source)
        if settings is None:
            return False
        self._take_in(snapshot.restore(series_id, taken, settings, self.settings.node), taken.arrived_ns)
        return True

    def _replay(self, noted: journal.Input, seq: int, restart: "_Restart") -> None:
        """Take one journal input again, for the series whose snapshot does not hold it."""
        out = self._outcome()
        if isinstance(noted, journal.Fed):
            self._feed_again(noted, seq, restart, out)
        elif isinstance(noted, journal.Added):
            settings = restart.settings_for(noted.series_id, noted.source)
            if settings is not None and not restart.includes(noted.series_id, seq):
                series = Series(noted.series_id, noted.key, noted.source, settings, self.settings.node)
                self._take_in(series, noted.now_ns)
                if restart.again is not None:
                    restart.again.add(series)
        elif isinstance(noted, journal.Ticked):
            for key, asked in zip(noted.keys, noted.actions, strict=True):
                ticked = self._by_key.get(key)
                if ticked is not None and not restart.includes(ticked.series_id, seq):
                    restart.act(ticked, asked, out)
                    self._touched.setdefault(ticked.series_id, 0)
            out.settle()
        elif not restart.includes(noted.series_id, seq):
            commanded = self.series.get(noted.series_id) or self.groups.get(noted.series_id)
            if commanded is not None:
                restart.settle()
                commanded.obey(noted.verb, noted.until_ns, out)
                self._touched.setdefault(noted.series_id, 0)

    def _feed_again(self, fed: journal.Fed, seq: int, restart: "_Restart", out: Outcome) -> None:
        """Readings of the journal: those that can wait for more of their series wait, the others are judged."""
        again = restart.gathering(self) if self._batched else None
        if again is None:
            rest = journal.rows(fed)
        else:
            gathered, rest = again.feed(fed, seq)
            for key, readings in gathered.items():
                series_id = self._by_key[key].series_id
                self._touched[series_id] = self._touched.get(series_id, 0) + readings
        for key, row in rest:
            series = self._by_key.get(key)
            if series is not None and not restart.includes(series.series_id, seq):
                series.feed(row, fed.now_ns, out, self.counts)
                self._touched[series.series_id] = self._touched.get(series.series_id, 0) + 1
        out.settle()


class _Restart:
    """What one `Engine.restore` knows."""

    def __init__(self, included: Mapping[str, int], settings_for: SettingsFor, ask: "Ask | None") -> None:
        self.included = included
        self.settings_for = settings_for
        self.again: Again | None = None
        self._ask = ask

    def includes(self, name: str, seq: int) -> bool:
        """Whether a snapshot includes an entry."""
        return seq <= self.included.get(name, 0)

    def gathering(self, engine: Engine) -> "Again":
        """What gathers readings; loaded where a detector has a network, for it needs numpy."""
        if self.again is None:
            from edgead.stream.again import Again

            self.again = Again(self.included, engine._outcome(), engine.counts, self._ask)
            for series in engine.series.values():
                self.again.add(series)
        return self.again

    def act(self, series: Series, actions: int, out: Outcome) -> None:
        """Do what a tick asked for, in its order among the readings."""
        if self.again is not None and actions == RELEASE and self.again.release(series):
            return
        self.settle()
        series.act(actions, out)

    def settle(self) -> None:
        """Judge what was gathered."""
        if self.again is not None:
            self.again.judge()
