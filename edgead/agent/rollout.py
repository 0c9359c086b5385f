"""New models: in the shadow of the active one first, then in its place and watched, then kept or taken back.

A *candidate* judges unheard what the active model judges, for a stated number of rows (`beside` has both).  If it has
no explosion of alarms it becomes active, and the one before goes on unheard: for the time of the watch both judge the
same rows, so that a fault of the machine, which alarms both, is told from a fault of the model.  A model that alarms
too much, that fails on a row, or under which the process ends twice without a farewell is turned down and not taken
again.

The order of writing is: watch, rename of the active package, candidate gone.  A cut anywhere leaves the old model
active or the new one, and what is left to do is found at the next start.  How far both models are is written down
now and then, and at a farewell: the next process counts on from there.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from edgead.agent.crashes import watch_over
from edgead.agent.groups import Groups
from edgead.agent.network import NetworkInUse, network_of
from edgead.agent.updates import Step, Tally, Update, names_of
from edgead.config import Config
from edgead.errors import ModelPackageError
from edgead.records import GROUP_PREFIX
from edgead.shipped import shipped
from edgead.stream import Engine

if TYPE_CHECKING:
    from edgead.agent.beside import Pair
    from edgead.registry.shelf import Candidate, Shelf, Watch

log = logging.getLogger("edgead")

#: Nanoseconds between two tries of what the disk refused.
RETRY_NS = 5 * 10**9
#: Nanoseconds between two times that the progress of a trial is written down: what a kill can cost.  At a quarter of a
#: megabyte for 32 series these are 24 MB a day at most.
KEEP_NS = 900 * 10**9


class _Run(msgspec.Struct):
    """Two models of one name at work."""

    name: str
    pair: "Pair"
    watch: "Watch"
    active: bool  # what `watch` is about, else the candidate
    version: str
    retry_ns: int = 0
    kept_ns: int = 0


class Rollout:
    """The new models of one device.

    Parameters
    ----------
    config : Config
    engine : Engine
    groups : Groups
        With their models; the engine is restored.
    network : NetworkInUse
        What series share.
    shelf : Shelf
    told : callable
        Takes each `Update`.
    save : callable
        Commits the state of everything.
    changed : callable
        Takes the ids of series and names of groups (``group/{id}``) that have another model now, or are there or gone.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        groups: Groups,
        network: NetworkInUse,
        shelf: "Shelf",
        told: Callable[[Update], None],
        save: Callable[[], None],
        changed: Callable[[set[str]], None],
    ) -> None:
        self._config = config
        self._engine = engine
        self._groups = groups
        self._network = network
        self._shelf = shelf
        self._told = told
        self._save = save
        self._changed = changed
        self._runs: dict[str, _Run] = {}

    # ------------------------------------------------------------------ from outside

    def begin(self, config: Config, now_ns: int) -> None:
        """Begin at a start, or again with another configuration, after `rest`."""
        self._config = config
        self.refresh(now_ns)

    def rest(self) -> None:
        """Write down how far everything is, and end it; `begin` goes on from there."""
        for run in list(self._runs.values()):
            self._keep(run)
            self._leave(run)

    def refresh(self, now_ns: int) -> None:
        """Look at the shelf: something new may wait there, or the first of a name may have become active."""
        self._take_unused(now_ns)
        if any(map(self._is_behind, names_of(self._config))):
            self._reload()
        for name in names_of(self._config):
            try:
                self._refresh(name, now_ns)
            except ModelPackageError as error:
                log.warning("model not looked at", extra={"fields": {"model": name, "reason": str(error)}})

    def look(self, now_ns: int) -> None:
        """Decide what can be decided; call it every second."""
        for run in list(self._runs.values()):
            if now_ns < run.retry_ns:
                continue
            try:
                run.pair.look()
                if run.active:
                    self._look_after(run, now_ns)
                else:
                    self._look_at_shadow(run, now_ns)
                self._keep_sometimes(run, now_ns)
            except ModelPackageError as error:
                run.retry_ns = now_ns + RETRY_NS
                log.warning("model not changed", extra={"fields": {"model": run.name, "reason": str(error)}})

    def roll_back(self, name: str, now_ns: int) -> str:
        """Make the package before the active one active again; a sentence about it.

        Raises
        ------
        ModelPackageError
            If there is none; nothing changed.
        """
        run = self._runs.get(name)
        reason = "rolled back on request"
        if run is not None and run.active:
            self._take_back(run, reason, now_ns)
        else:
            if run is not None:
                self._end(run)
            identity, version = self._shelf.active_id(name), self._version(name)
            self._shelf.withdraw(name, reason, at_ns=now_ns)
            self._tell("rolled-back", name, identity, version, now_ns, reason=reason)
            self._reload()
            self.refresh(now_ns)
        return f"{name} is {self._version(name)} again"

    def forgive(self, name: str) -> None:
        """Give what was turned down of a model another chance.

        Raises
        ------
        ModelPackageError
            If the disk refuses.
        """
        self._shelf.forgive(name)

    def progress(self, name: str) -> str:
        """How far the shadow run of a model is, in words; "" when there is none."""
        run = self._runs.get(name)
        if run is None or run.active:
            return ""
        return f"shadow run: {run.pair.reached} of {self._config.uplink.shadow} {run.pair.unit}"

    @property
    def watched(self) -> dict[str, str]:
        """What is under way, in words, by name of the model."""
        return {
            name: f"{run.version} is watched" if run.active else f"{run.version}: {self.progress(name)}"
            for name, run in self._runs.items()
        }

    def leave(self) -> None:
        """The process ends as it should."""
        for run in self._runs.values():
            self._keep(run)
            with suppress(ModelPackageError):  # counted as a crash, at worst
                self._shelf.note(run.name, replace(run.watch, boot=""))

    # ------------------------------------------------------------------ beginning

    def _refresh(self, name: str, now_ns: int) -> None:
        watch = self._shelf.watch(name)
        at_work = self._at_work(name) and name not in self._runs
        if at_work and watch is not None and watch.id == self._shelf.active_id(name):
            self._begin_watch(name, watch)
        candidates = [each for each in self._shelf.candidates() if each.name == name]
        run = self._runs.get(name)
        if run is not None and not run.active and not candidates:
            self._drop(run, now_ns)
        for candidate in candidates if self._at_work(name) else ():
            self._consider(candidate, now_ns)

    def _drop(self, run: _Run, now_ns: int) -> None:
        """End the shadow run of a candidate that the sync took from the shelf."""
        tally, reason = self._tally(run), "taken back by the publisher"
        self._end(run)
        self._tell("rejected", run.name, run.watch.id, run.version, now_ns, reason=reason, tally=tally)

    def _consider(self, candidate: "Candidate", now_ns: int) -> None:
        """Begin the shadow run of a candidate, unless it has one, or the active package is still watched."""
        name, run = candidate.name, self._runs.get(candidate.name)
        if run is not None and (run.active or run.watch.id == candidate.id):
            return
        if run is not None:
            self._end(run)
        if not self._shelf.is_whole(name, candidate.id):  # says nothing about the model
            fields = {"model": name, "version": candidate.version}
            log.warning(
                "candidate is damaged on disk, the next sync brings it again", extra={"fields": fields}
            )
            return
        before = self._shelf.watch(name)
        if before is not None and before.id != candidate.id:
            before = None
        try:
            pair = self._pair(name, candidate.id, self._earlier(name, before, active=False))
        except ModelPackageError as error:
            self._reject(name, candidate.id, candidate.version, str(error), now_ns)
            return
        crashes = before.crashes if before is not None else 0
        watch = watch_over(candidate.id, self._shelf.active_id(name), 0, crashes)
        try:
            self._shelf.note(name, watch)
        except ModelPackageError:
            pair.end()
            raise
        self._runs[name] = _Run(name, pair, watch, False, candidate.version)
        if before is None:
            self._tell("offered", name, candidate.id, candidate.version, now_ns, reason=candidate.note)

    def _begin_watch(self, name: str, watch: "Watch") -> None:
        """Have the package before the active one go on beside it; without it there is nothing to compare with."""
        try:
            pair = self._pair(name, watch.previous, self._earlier(name, watch, active=True))
        except ModelPackageError as error:
            log.warning("model is not watched", extra={"fields": {"model": name, "reason": str(error)}})
            self._shelf.note(name, None)
            return
        self._runs[name] = _Run(name, pair, watch, True, self._version(name))

    def _at_work(self, name: str) -> bool:
        """Whether there is something to compare a model of this name with."""
        return bool(self._groups_of(name)) or (
            name == network_of(self._config) and bool(self._network.models)
        )

    def _groups_of(self, name: str) -> list[str]:
        """Ids of the groups that have a model of this name."""
        names = [group.id for group in self._config.group if group.model == name]
        return [each for each in names if f"{GROUP_PREFIX}{each}" in self._engine.groups]

    def _pair(self, name: str, identity: str, earlier: dict[str, bytes]) -> "Pair":
        """Put a package ("" = the shipped one) beside what is at work under its name.

        Raises
        ------
        ModelPackageError
            If it cannot be, in words.
        """
        from edgead.agent.beside import GroupPair, NetworkPair

        data = self._shelf.read(name, identity) if identity else shipped(name)
        groups = self._groups_of(name)
        if groups:
            return GroupPair(self._groups, self._engine, name, groups, data, earlier)
        return NetworkPair(self._network, self._engine, data, self._config.uplink.shadow, earlier)

    def _earlier(self, name: str, watch: "Watch | None", *, active: bool) -> dict[str, bytes]:
        """How far a trial was when the last process wrote it down; nothing where that was of another one."""
        try:
            kept = self._shelf.progress(name) if watch is not None else None
        except ModelPackageError as error:
            log.warning("trial begins anew", extra={"fields": {"model": name, "reason": str(error)}})
            return {}
        of_this = kept is not None and watch is not None and (kept.id, kept.active) == (watch.id, active)
        return kept.parts if kept is not None and of_this else {}

    def _take_unused(self, now_ns: int) -> None:
        """Candidates of models that are not at work here: there is nothing to compare them with."""
        for candidate in self._shelf.candidates():
            if not self._at_work(candidate.name):
                with suppress(ModelPackageError):  # tried again after the next sync
                    self._shelf.accept(candidate.name, candidate.id)
                    name, identity, version = candidate.name, candidate.id, candidate.version
                    reason = "nothing here to compare it with"
                    self._tell("activated", name, identity, version, now_ns, reason=reason)

    def _is_behind(self, name: str) -> bool:
        """Whether groups have another package than the active one: somebody else has changed it."""
        if name == network_of(self._config):
            return False  # a reload takes it
        loaded, active = self._groups.loaded(name), self._shelf.active_id(name)
        return bool(active) and (loaded is None or loaded.spec.id != active)

    # ------------------------------------------------------------------ deciding

    def _look_at_shadow(self, run: _Run, now_ns: int) -> None:
        tally, unheard = self._tally(run), run.pair.unheard
        reason = self._explosion(run, tally)
        if unheard.failure:
            reason = f"failed on a row: {unheard.failure}"
        if reason:
            self._reject(run.name, run.watch.id, run.version, reason, now_ns, tally)
            self._end(run)
        elif run.pair.reached >= self._config.uplink.shadow:
            self._activate(run, tally, now_ns)

    def _explosion(self, run: _Run, tally: Tally) -> str:
        uplink = self._config.uplink
        return tally.explosion(uplink.shadow, uplink.alarm_ratio, run.pair.unit)

    def _activate(self, run: _Run, tally: Tally, now_ns: int) -> None:
        watch_ns = self._config.uplink.watch
        watch = watch_over(run.watch.id, self._shelf.active_id(run.name), now_ns + watch_ns, 0)
        self._save()
        self._shelf.accept(run.name, run.watch.id, watch=watch if watch_ns else None)
        run.watch, run.active = watch, True
        self._exchange(run)
        self._tell("activated", run.name, watch.id, run.version, now_ns, tally=tally)
        self._save()
        if watch_ns:
            self._keep(run)
        else:
            self._end(run)

    def _look_after(self, run: _Run, now_ns: int) -> None:
        uplink, tally = self._config.uplink, self._tally(run)
        reason = self._explosion(run, tally)
        if run.pair.heard.failure:
            reason = f"failed on a row: {run.pair.heard.failure}"
        if reason:
            self._take_back(run, reason, now_ns, tally)
        elif run.watch.until_ns > now_ns + uplink.watch:
            # the clock was far ahead when it began: a watch over years would keep every later model waiting
            run.watch = replace(run.watch, until_ns=now_ns + uplink.watch)
            self._shelf.note(run.name, run.watch)
        elif now_ns >= run.watch.until_ns:
            self._shelf.note(run.name, None)
            self._end(run)
            self._tell("kept", run.name, run.watch.id, run.version, now_ns, tally=tally)
            self.refresh(now_ns)  # another one may have waited for that
        elif run.pair.reached >= uplink.shadow:
            run.pair.begin()

    def _take_back(self, run: _Run, reason: str, now_ns: int, tally: Tally | None = None) -> None:
        """Have the model before judge again, with its rows."""
        self._save()
        self._shelf.withdraw(run.name, reason, at_ns=now_ns)
        self._exchange(run)
        self._end(run)
        self._tell("rolled-back", run.name, run.watch.id, run.version, now_ns, reason=reason, tally=tally)
        self._save()
        self.refresh(now_ns)  # another one may have waited for that

    def _reject(
        self, name: str, identity: str, version: str, reason: str, now_ns: int, tally: Tally | None = None
    ) -> None:
        self._shelf.reject(name, identity, reason, at_ns=now_ns)
        self._tell("rejected", name, identity, version, now_ns, reason=reason, tally=tally)

    def _exchange(self, run: _Run) -> None:
        """The heard and the unheard model change places."""
        self._changed(run.pair.exchange())
        run.pair.begin()

    def _end(self, run: _Run) -> None:
        """It is decided."""
        self._leave(run)
        self._shelf.end_progress(run.name)

    def _leave(self, run: _Run) -> None:
        del self._runs[run.name]
        run.pair.end()

    def _keep_sometimes(self, run: _Run, now_ns: int) -> None:
        run.kept_ns = run.kept_ns or now_ns
        if run is self._runs.get(run.name) and not 0 <= now_ns - run.kept_ns < KEEP_NS:
            run.kept_ns = now_ns
            self._keep(run)

    def _keep(self, run: _Run) -> None:
        """Write down how far a trial is; a disk that refuses costs a restart what was counted since the last time."""
        from edgead.registry.shelf import Progress

        try:
            self._shelf.keep(run.name, Progress(run.watch.id, run.active, run.pair.rest()))
        except ModelPackageError as error:
            log.warning("progress not kept", extra={"fields": {"model": run.name, "reason": str(error)}})

    def _reload(self) -> None:
        """Take what is active now; every shadow is gone with that, so every run begins anew."""
        self.rest()
        there, gone = self._groups.load(self._config)
        self._changed(there | gone | self._take_network())

    def _take_network(self) -> set[str]:
        """Give the series the network that is active now; those that have another one by that."""
        self._network.load(self._config)
        series = self._engine.series
        behind = [each for each in self._engine.networked if self._network.is_behind(series[each].detector)]
        if behind:
            self._save()
            for series_id in behind:
                self._engine.configure(series_id, series[series_id].settings)
            self._save()
        return set(behind)

    # ------------------------------------------------------------------ telling

    def _tally(self, run: _Run) -> Tally:
        """Of what `run.watch` is about, and of the other."""
        counts = run.pair.counts
        unheard, heard = (counts.rows, counts.alarms), (counts.rows_beside, counts.alarms_beside)
        return Tally(*heard, *unheard) if run.active else Tally(*unheard, *heard)

    def _version(self, name: str) -> str:
        """Of the active package."""
        if not self._shelf.active_id(name):
            return next(iter(self._network.models), "").partition("@")[2]
        return self._shelf.active(name).manifest.version

    def _tell(
        self,
        event: Step,
        name: str,
        identity: str,
        version: str,
        now_ns: int,
        *,
        reason: str = "",
        tally: Tally | None = None,
    ) -> None:
        update = Update(
            id=identity,
            event=event,
            ts=now_ns // 10**6,
            model=name,
            version=version,
            reason=reason,
            **(msgspec.structs.asdict(tally) if tally is not None else {}),
        )
        fields = {"model": name, "version": version, "event": event, "reason": reason}
        log.info("model", extra={"fields": {key: value for key, value in fields.items() if value}})
        self._told(update)
