"""New models of groups: in the shadow of the active one first, then in its place and watched, then kept or taken back.

A *candidate* judges unheard what the active model judges, for a stated number of rows.  If it has no explosion of
alarms it becomes active, and the one before goes on unheard: for the time of the watch both judge the same rows, so
that a fault of the machine, which alarms both, is told from a fault of the model.  A model that alarms too much, that
fails on a row, or under which the process ends twice without a farewell is turned down and not taken again.

The order of writing is: watch, rename of the active package, candidate gone.  A cut anywhere leaves the old model
active or the new one, and what is left to do is found at the next start.
"""

import functools
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from edgead.agent.groups import Groups
from edgead.config import Config
from edgead.errors import ModelPackageError
from edgead.records import GROUP_PREFIX
from edgead.stream import Engine

if TYPE_CHECKING:
    from edgead.agent.models import Model
    from edgead.registry.shelf import Candidate, Shelf, Watch

log = logging.getLogger("edgead")

#: Ends of the process without a farewell that turn a model down.
CRASHES = 2
#: Alarms on so many of the rows, or on so many rows where that is more, are no explosion whatever the other says.
TOLERATED_SHARE, TOLERATED_ROWS = 0.01, 3
#: Nanoseconds between two tries of what the disk refused.
RETRY_NS = 5 * 10**9

Step = Literal["offered", "activated", "rejected", "rolled-back", "kept", "refused"]


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a package: told to the log and, with an uplink, to the server.

    Attributes
    ----------
    id : str
        Of the package.
    event : {"offered", "activated", "rejected", "rolled-back", "kept", "refused"}
        Its shadow run began; it is at work; it was turned down before or after that; the watch over it is over; the
        sync did not take it.
    ts : int
        Epoch milliseconds.
    model, version : str
    reason : str
        In words; "" where there is nothing to say.
    rows, alarms, rows_beside, alarms_beside : int
        Rows it judged and how many of them are abnormal, and the same of the model beside it.
    """

    id: str
    event: Step
    ts: int
    model: str
    version: str
    reason: str = ""
    rows: int = 0
    alarms: int = 0
    rows_beside: int = 0
    alarms_beside: int = 0


class Tally(msgspec.Struct, frozen=True):
    """Two models on the same rows."""

    rows: int
    alarms: int
    rows_beside: int
    alarms_beside: int

    def explosion(self, planned: int, ratio: float) -> str:
        """Why a model has too many alarms for `planned` rows, in words; "" when it has not."""
        scale = self.rows / self.rows_beside if self.rows_beside else 1.0
        allowed = ratio * scale * self.alarms_beside + max(TOLERATED_ROWS, TOLERATED_SHARE * planned)
        if self.alarms <= allowed:
            return ""
        beside = f"the other model on {self.alarms_beside} of {self.rows_beside}"
        return f"too many alarms: on {self.alarms} of {self.rows} rows, {beside}"


class _Run(msgspec.Struct):
    """Two models at work for the groups of one name."""

    name: str
    groups: list[str]
    unheard: "Model"
    watch: "Watch"
    active: bool  # what `watch` is about, else the candidate
    version: str
    retry_ns: int = 0


class Rollout:
    """The new models of one device.

    Parameters
    ----------
    config : Config
    engine : Engine
    groups : Groups
        With their models; the engine is restored.
    shelf : Shelf
    told : callable
        Takes each `Update`.
    save : callable
        Commits the state of everything.
    changed : callable
        Takes the names of groups (``group/{id}``) that have another model now, or are there or gone.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        groups: Groups,
        shelf: "Shelf",
        told: Callable[[Update], None],
        save: Callable[[], None],
        changed: Callable[[set[str]], None],
    ) -> None:
        self._config = config
        self._engine = engine
        self._groups = groups
        self._shelf = shelf
        self._told = told
        self._save = save
        self._changed = changed
        self._runs: dict[str, _Run] = {}

    # ------------------------------------------------------------------ from outside

    def begin(self, config: Config, now_ns: int) -> None:
        """Begin at a start, or again with another configuration: the engine's shadows are gone."""
        self._config = config
        self._runs.clear()
        self.refresh(now_ns)

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
                if run.active:
                    self._look_after(run, now_ns)
                else:
                    self._look_at_shadow(run, now_ns)
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
        return f"shadow run: {self._tally(run).rows} of {self._config.uplink.shadow} rows"

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
        for candidate in candidates:
            self._consider(candidate, now_ns)

    def _drop(self, run: _Run, now_ns: int) -> None:
        """End the shadow run of a candidate that the sync took from the shelf."""
        tally, reason = self._tally(run), "taken back by the publisher"
        self._end(run)
        self._tell("rejected", run.name, run.watch.id, run.version, now_ns, reason=reason, tally=tally)

    def _consider(self, candidate: "Candidate", now_ns: int) -> None:
        """Begin the shadow run of a candidate, unless it has one, or the active package is still watched."""
        run = self._runs.get(candidate.name)
        if run is not None and (run.active or run.watch.id == candidate.id):
            return
        if run is not None:
            self._end(run)
        if not self._shelf.is_whole(candidate.name, candidate.id):  # says nothing about the model
            fields = {"model": candidate.name, "version": candidate.version}
            log.warning(
                "candidate is damaged on disk, the next sync brings it again", extra={"fields": fields}
            )
            return
        try:
            model = self._load(candidate.name, candidate.id)
            refusal = self._shadow(candidate.name, model)
        except ModelPackageError as error:
            refusal = str(error)
        if refusal:
            self._reject(candidate.name, candidate.id, candidate.version, refusal, now_ns)
            return
        before = self._shelf.watch(candidate.name)
        crashes = before.crashes if before is not None and before.id == candidate.id else 0
        watch = _watch(candidate.id, self._shelf.active_id(candidate.name), 0, crashes)
        self._shelf.note(candidate.name, watch)
        groups = self._at_work(candidate.name)
        self._runs[candidate.name] = _Run(candidate.name, groups, model, watch, False, candidate.version)
        self._tell("offered", candidate.name, candidate.id, candidate.version, now_ns, reason=candidate.note)

    def _begin_watch(self, name: str, watch: "Watch") -> None:
        """Have the package before the active one go on beside it; without it there is nothing to compare with."""
        try:
            model = self._load(name, watch.previous)
            refusal = self._shadow(name, model)
        except ModelPackageError as error:
            refusal = str(error)
        if refusal:
            log.warning("model is not watched", extra={"fields": {"model": name, "reason": refusal}})
            self._shelf.note(name, None)
            return
        self._runs[name] = _Run(name, self._at_work(name), model, watch, True, self._version(name))

    def _at_work(self, name: str) -> list[str]:
        """Ids of the groups that have a model of this name."""
        names = [group.id for group in self._config.group if group.model == name]
        return [each for each in names if f"{GROUP_PREFIX}{each}" in self._engine.groups]

    def _load(self, name: str, identity: str) -> "Model":
        from edgead.agent.models import Model
        from edgead.package import read_package

        return Model(read_package(self._shelf.read(name, identity)))

    def _shadow(self, name: str, model: "Model") -> str:
        """Put a model beside the one of every group of a name; why not, in words."""
        from edgead.agent.models import Windowed

        groups = self._at_work(name)
        for group_id in groups:
            if refusal := self._engine.add_shadow(group_id, Windowed(model, top=1)):
                for each in groups:
                    self._engine.remove_shadow(each)
                return f"group {group_id}: {refusal}"
        return ""

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
        """Whether another package than the active one is at work: somebody else has changed it."""
        loaded, active = self._groups.loaded(name), self._shelf.active_id(name)
        return bool(active) and (loaded is None or loaded.spec.id != active)

    # ------------------------------------------------------------------ deciding

    def _look_at_shadow(self, run: _Run, now_ns: int) -> None:
        uplink, tally = self._config.uplink, self._tally(run)
        reason = tally.explosion(uplink.shadow, uplink.alarm_ratio)
        if run.unheard.failure:
            reason = f"failed on a row: {run.unheard.failure}"
        if reason:
            self._reject(run.name, run.watch.id, run.version, reason, now_ns, tally)
            self._end(run)
        elif tally.rows >= uplink.shadow:
            self._activate(run, tally, now_ns)

    def _activate(self, run: _Run, tally: Tally, now_ns: int) -> None:
        watch_ns = self._config.uplink.watch
        watch = _watch(run.watch.id, self._shelf.active_id(run.name), now_ns + watch_ns, 0)
        self._save()
        self._shelf.accept(run.name, run.watch.id, watch=watch if watch_ns else None)
        run.watch, run.active = watch, True
        self._exchange(run)
        self._tell("activated", run.name, watch.id, run.version, now_ns, tally=tally)
        self._save()
        if not watch_ns:
            self._end(run)

    def _look_after(self, run: _Run, now_ns: int) -> None:
        uplink, tally = self._config.uplink, self._tally(run)
        reason = tally.explosion(uplink.shadow, uplink.alarm_ratio)
        model = self._groups.loaded(run.name)
        if model is not None and model.failure:
            reason = f"failed on a row: {model.failure}"
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
        elif tally.rows >= uplink.shadow:
            for group_id in run.groups:
                self._engine.shadows[f"{GROUP_PREFIX}{group_id}"].begin()

    def _take_back(self, run: _Run, reason: str, now_ns: int, tally: Tally | None = None) -> None:
        """Give the groups the model before, with its rows."""
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
        heard = self._groups.loaded(run.name)
        assert heard is not None
        for group_id in run.groups:
            self._engine.swap_shadow(group_id)
        self._groups.exchange(run.name, run.unheard)
        run.unheard = heard
        self._changed({f"{GROUP_PREFIX}{group_id}" for group_id in run.groups})

    def _end(self, run: _Run) -> None:
        del self._runs[run.name]
        for group_id in run.groups:
            self._engine.remove_shadow(group_id)

    def _reload(self) -> None:
        """Take what is active now; every shadow is gone with that, so every run begins anew."""
        self._runs.clear()
        there, gone = self._groups.load(self._config)
        self._changed(there | gone)

    # ------------------------------------------------------------------ telling

    def _tally(self, run: _Run) -> Tally:
        """Of what `run.watch` is about, and of the other."""
        shadows = [self._engine.shadows[f"{GROUP_PREFIX}{group_id}"] for group_id in run.groups]
        unheard = (sum(each.rows for each in shadows), sum(each.alarms for each in shadows))
        heard = (sum(each.beside[0] for each in shadows), sum(each.beside[1] for each in shadows))
        return Tally(*heard, *unheard) if run.active else Tally(*unheard, *heard)

    def _version(self, name: str) -> str:
        """Of the active package."""
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


def settle_crashes(config: Config, shelf: "Shelf", now_ns: int) -> list[Update]:
    """Turn down what the last process did not survive twice; call it before any model is loaded.

    A process that ended with the machine is not counted: a power cut says nothing about a model.
    """
    updates: list[Update] = []
    for name in sorted(names_of(config)):
        with suppress(ModelPackageError):  # what cannot be read or written now is no reason not to start
            watch = shelf.watch(name)
            if watch is None:
                continue
            crashes = watch.crashes + (watch.boot == _boot())
            if crashes < CRASHES:
                shelf.note(name, replace(watch, crashes=crashes, boot=_boot()))
            else:
                updates.append(_turn_down(shelf, name, watch.id, now_ns))
    return updates


def _turn_down(shelf: "Shelf", name: str, identity: str, now_ns: int) -> Update:
    reason = f"the process ended {CRASHES} times without a farewell while it was at work"
    version = next(
        (one.manifest.version for one in shelf.packages() if one.manifest.id == identity), "unknown"
    )
    event: Step = "rolled-back" if identity == shelf.active_id(name) else "rejected"
    if event == "rolled-back":
        shelf.withdraw(name, reason, at_ns=now_ns)
    else:
        shelf.reject(name, identity, reason, at_ns=now_ns)
    log.error("model", extra={"fields": {"model": name, "event": event, "reason": reason}})
    return Update(id=identity, event=event, ts=now_ns // 10**6, model=name, version=version, reason=reason)


def uses_models(config: Config) -> bool:
    """Whether a group asks for an installed model."""
    return bool(names_of(config))


def names_of(config: Config) -> set[str]:
    """Names of the installed models that groups ask for."""
    return {group.model for group in config.group if not group.model.endswith(".zip")}


def _watch(identity: str, previous: str, until_ns: int, crashes: int) -> "Watch":
    from edgead.registry.shelf import Watch

    return Watch(id=identity, previous=previous, until_ns=until_ns, crashes=crashes, boot=_boot())


@functools.cache
def _boot() -> str:
    """Tells one run of the kernel from the next: its own id (random(4)), or, where the unit hides that, the time of a
    folder that systemd makes at boot and then leaves alone.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        with suppress(OSError):
            return str(os.stat("/run/systemd/inaccessible").st_ctime_ns)
    return "unknown"
