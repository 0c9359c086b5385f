"""When and how the agent commits: state, events and acknowledgements in one step.

A commit is due when the inbox ran dry, by count, and by time, but an idle device must not write at each reading:

* events are committed at once: an alarm waits for nothing;
* `commit_interval` after the first message that waits for its acknowledgement, or sooner when the broker seems to wait
  for acknowledgements itself (see `pace`);
* `commit_readings` readings commit in any case.

A disk that takes nothing is not the end: judging goes on in memory, the batch is tried again every second, events are
published without waiting for the spool (and once more from it, with the same ids, when the disk is back), the broker
keeps what it has not been acknowledged for, and `problems` says so.  Only when as many readings wait as a restart may
have to judge again (`journal_readings`) is the inbox left to fill.

With `max_bytes_per_day`, commits that carry no event wait while more was written than the day allows so far.
"""

import contextlib
import logging
import os
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgead.agent.pace import QUIET_S, Pace
from edgead.config import StoreConfig
from edgead.errors import StoreError
from edgead.records import Event
from edgead.store import SpoolRow, SpoolStats, Store, StoreLimits
from edgead.stream import Engine

log = logging.getLogger("edgead")

#: Longest wait for a message, and with it the resolution of ticks, seconds.
IDLE_S = 0.1
#: Seconds between two tries of a commit that failed.
RETRY_S = 1.0
#: Seconds after which delivered events are deleted on disk although nothing else is to be saved; a kill before that
#: sends them once more.
TIDY_S = 60.0
DAY_S = 86_400.0
#: Share of a day's bytes that may be written ahead of time.
DAILY_BURST = 1 / 24


class Saving:
    """The store as the loop uses it.

    Parameters
    ----------
    directory : Path
        Of the state.
    settings : StoreConfig
    engine : Engine
    now_ns : int
        Wall clock.

    Attributes
    ----------
    problems : list of str
        What is degraded, in words.
    commits : int
        Since the start.
    """

    def __init__(self, directory: Path, settings: StoreConfig, engine: Engine, *, now_ns: int) -> None:
        self._directory = directory
        self._settings = settings
        self._limits = StoreLimits(
            spool_rows=settings.spool_rows,
            spool_bytes=settings.spool_bytes,
            spool_age_s=settings.spool_age // 10**9,
            drop=settings.drop,
        )
        self._engine = engine
        self._store = Store.open(directory, self._limits, now_ns=now_ns)
        self._closed = False  # a damaged store was closed and could not be opened again so far
        self._damaged = False
        self._save_all = False
        self._written_before = 0  # by stores that were closed as damaged
        self._stats, self._outbox_stats = self._store.spool_stats(), self._store.outbox_stats()
        self.problems: list[str] = []
        self.commits = 0
        self._events: list[Event] = []
        self._records: list[bytes] = []
        self._urgent = False
        self._tokens: list[int] = []
        self._retired: list[str] = []
        self._waiting_since_s = 0.0
        self._delivered_since_s = 0.0
        self._retry_at_s = 0.0
        self._told = 0
        self._pace = Pace()
        self._started_s = time.monotonic()
        self._tell_notices()

    def _tell_notices(self) -> None:
        for notice in self._store.notices:
            log.error("store", extra={"fields": {"notice": notice}})
        self._store.notices.clear()

    # ------------------------------------------------------------------ what waits

    def receive(self, token: int) -> None:
        """A message whose effect is in the engine, to be acknowledged with the next commit."""
        if not self._tokens:
            now_s = time.monotonic()
            self._pace.heard(now_s)
            if not self._events:
                self._waiting_since_s = now_s
        self._tokens.append(token)

    def add(self, events: Sequence[Event]) -> None:
        """Events for the spool."""
        self._events += events

    def add_records(self, records: Sequence[bytes], *, urgent: bool = False) -> None:
        """Records for the outbox; those that are not `urgent` wait for a commit that comes anyway."""
        self._records += records
        self._urgent = self._urgent or urgent

    def retire(self, series_ids: Collection[str]) -> None:
        """Series whose state is to go."""
        self._retired += series_ids

    @property
    def stalled(self) -> bool:
        """Whether the disk took nothing for so long that no more should be taken in."""
        return bool(self._retry_at_s) and self._engine.unsettled_readings >= self._settings.journal_readings

    @property
    def patience_s(self) -> float:
        """How long to wait for a message: a short pause is told from none only where it matters."""
        return QUIET_S if self._pace.may_wait(len(self._tokens)) else IDLE_S

    def due(self, *, quiet: bool) -> bool:
        """Whether to commit now; `quiet`: nothing came for `patience_s`."""
        now_s = time.monotonic()
        if self._retry_at_s:
            return now_s >= self._retry_at_s
        if self._events or self._retired or self._urgent:
            return True
        if self._over_budget(now_s):
            return self._engine.unsettled_readings >= self._settings.journal_readings
        if self._engine.unsettled_readings >= self._settings.commit_readings:
            return True
        if quiet and self._pace.may_wait(len(self._tokens)):
            return True
        if self._delivered_since_s and now_s - self._delivered_since_s >= TIDY_S:
            return True
        return bool(self._tokens) and (now_s - self._waiting_since_s) * 1e9 >= self._settings.commit_interval

    def _over_budget(self, now_s: float) -> bool:
        """Whether more was written than `max_bytes_per_day` allows by now."""
        daily = self._settings.max_bytes_per_day
        written = self.bytes_written or 0
        return bool(daily) and written > daily * (DAILY_BURST + (now_s - self._started_s) / DAY_S)

    def unsaved(self) -> list[Event]:
        """Events that the disk did not take and nobody was told; none while it takes them."""
        return self._events[self._told :] if self._retry_at_s else []

    def told(self, count: int) -> None:
        """The first `count` of `unsaved` were published."""
        self._told += count

    # ------------------------------------------------------------------ committing

    def commit(self, now_ns: int, *, everything: bool = False) -> list[int]:
        """Commit what waits; returns the tokens that can be acknowledged now (none when the disk refused).

        Parameters
        ----------
        now_ns : int
            Processing time.
        everything : bool
            Save the state of all series, so that a start has nothing to judge again.
        """
        if self._damaged and not self._start_over(now_ns):
            return []
        engine = self._engine
        entry = engine.journal_entry()
        if self._save_all:
            snapshots = engine.save_all()
        else:
            snapshots = engine.checkpoint(0 if everything else self._settings.journal_readings)
        try:
            committed = self._store.commit(
                journal=[entry] if entry is not None else [],
                events=self._events,
                outbox=self._records,
                snapshots=snapshots,
                retired=self._retired,
                forget_through=engine.forget_through,
                now_ns=now_ns,
            )
        except StoreError as error:
            self._failed(error)
            return []
        engine.settle(committed.journal_seq, snapshots)
        self.commits += 1
        if self.problems:
            log.info("store takes commits again")
        self.problems, self._retry_at_s, self._told = [], 0.0, 0
        self._save_all, self._delivered_since_s = False, 0.0
        tokens, self._tokens = self._tokens, []
        self._pace.acknowledged(len(tokens), time.monotonic())
        self._events, self._retired, self._records, self._urgent = [], [], [], False
        return tokens

    def _failed(self, error: StoreError) -> None:
        """The disk refused something: told, and tried again in a while, or at once where the file is damaged."""
        problems = [f"store: {error}"]
        if problems != self.problems:  # a line at every try would itself fill a disk
            log.error(
                "store failed, tried again", extra={"fields": {"kind": error.kind, "reason": str(error)}}
            )
        self.problems = problems
        now_s = time.monotonic()
        if error.kind == "corrupt" and not self._damaged:
            self._damaged = True
            self._retry_at_s = now_s
        elif not self._retry_at_s or now_s >= self._retry_at_s:
            self._retry_at_s = now_s + RETRY_S

    def _start_over(self, now_ns: int) -> bool:
        """Set the damaged file aside (opening does), so that all state goes into a new one; False: not now."""
        if not self._closed:
            self._written_before = self.bytes_written or 0
            self._closed = True
            with contextlib.suppress(StoreError):
                self._store.close()
        try:
            self._store = Store.open(self._directory, self._limits, now_ns=now_ns)
        except StoreError as error:
            self._failed(error)
            return False
        self._closed = self._damaged = False
        self._save_all = True
        self._tell_notices()
        return True

    def close(self) -> None:
        """Close the store."""
        if not self._closed:
            self._store.close()

    # ------------------------------------------------------------------ reading

    def restore(self, settings_for) -> list[str]:  # type: ignore[no-untyped-def]
        """Bring the engine to where the last commit left it; the series and groups that are no longer configured.

        The network judges on a second core, if there is one.
        """
        with ThreadPoolExecutor(1, "network") as beside:
            ask = beside.submit if (os.cpu_count() or 1) > 1 else None
            gone = self._engine.restore(self._store.snapshots(), self._store.journal(), settings_for, ask)
        self.retire(gone)
        self._tell_notices()
        return gone

    def peek(self, *, after: int = 0, through: int | None = None, limit: int = 100) -> list[SpoolRow]:
        """Events on disk, see `Store.peek`.

        Raises
        ------
        StoreError
            After noting it: the disk is asked again.
        """
        if self._closed:
            raise StoreError("the damaged state is not open", kind="corrupt")
        try:
            return self._store.peek(after=after, through=through, limit=limit)
        except StoreError as error:
            self._failed(error)
            raise

    def acknowledge(self, seqs: Sequence[int]) -> None:
        """Events the broker has, see `Store.acknowledge`; what the disk does not note now is sent once more."""
        if self._closed:
            return
        self._delivered_since_s = self._delivered_since_s or time.monotonic()
        try:
            self._store.acknowledge(seqs)
        except StoreError as error:
            self._failed(error)

    def forwarded(self, seqs: Sequence[int]) -> None:
        """Records the cloud has, see `Store.acknowledge_outbox`; as of `acknowledge`."""
        if self._closed:
            return
        self._delivered_since_s = self._delivered_since_s or time.monotonic()
        try:
            self._store.acknowledge_outbox(seqs)
        except StoreError as error:
            self._failed(error)

    def outbox_stats(self) -> SpoolStats:
        """The outbox in numbers; the last known ones while it cannot be read."""
        if not self._closed:
            try:
                self._outbox_stats = self._store.outbox_stats()
            except StoreError as error:
                self._failed(error)
        return self._outbox_stats

    def spool_stats(self) -> SpoolStats:
        """The spool in numbers; the last known ones while it cannot be read."""
        if not self._closed:
            try:
                self._stats = self._store.spool_stats()
            except StoreError as error:
                self._failed(error)
        return self._stats

    @property
    def last_seq(self) -> int:
        """Number of the last event ever spooled."""
        return self.spool_stats().last_seq

    @property
    def bytes_written(self) -> int | None:
        """By this process, see `Store.bytes_written`."""
        if self._closed:
            return self._written_before
        written = self._store.bytes_written
        return None if written is None else self._written_before + written
