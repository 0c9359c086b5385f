"""The uplink as the loop uses it: what goes up is put in the outbox, what came down is tried, and a process of its own
does the travelling.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edgead.agent.groups import MODELS
from edgead.agent.rollout import Rollout
from edgead.agent.sampling import Readings, Sampler
from edgead.agent.saving import Saving
from edgead.agent.syncing import Delivered, Order, Said, Syncing
from edgead.agent.updates import Update
from edgead.bridge.commands import Command
from edgead.bridge.messages import CommandState, SyncInfo, event_message, group_event_message
from edgead.config import Config
from edgead.config.loading import FRAGMENTS
from edgead.errors import InvalidInput, UplinkError
from edgead.records import Event, Reading
from edgead.uplink.reasons import Refusal
from edgead.uplink.record import SyncRecord, read_record
from edgead.uplink.schedule import next_due, send_due

log = logging.getLogger("edgead")

#: While the cloud cannot be reached it is asked this often, if the interval is longer: it may be there for an hour.
RETRY_NS = 900 * 10**9
#: Share of the outbox that windows of readings may fill: events must find room.
DATA_SHARE = 0.5

#: Gives a further answer of a command that goes on.
Answer = Callable[[Command, CommandState, str], None]


class Uplink:
    """Events up, models down.

    Parameters
    ----------
    config : Config
    saving : Saving
        Has the outbox.
    answer : callable
        Answers commands.
    reload : callable
        Has the agent take its configuration again.

    Attributes
    ----------
    rollout : Rollout or None
        Set once by the owner, when the engine is there.
    left_out : int
        Readings that were not sent, for a bound.
    """

    def __init__(self, config: Config, saving: Saving, answer: Answer, reload: Callable[[], None]) -> None:
        self.rollout: Rollout | None = None
        self.left_out = 0
        self._saving = saving
        self._answer = answer
        self._reload = reload
        self._syncing = Syncing()
        self._sampler: Sampler | None = None
        self._delivered = Delivered(state="done")
        self._attempt_s = self._since_s = 0.0
        self._unreachable = False
        self._fresh = True  # something urgent was put in the outbox, or lies there since the last process
        self._waits_s = 0.0  # since when it waits; 0 = nothing does
        self._asked: list[Command] = []  # commands that wait for the running process
        self._waiting: dict[str, list[Command]] = {}  # model -> installations that wait for its shadow run
        self._next: list[Command] = []  # commands that wait for a process of their own
        # what became of their model while they waited for the process
        self._decided: dict[Command, tuple[CommandState, str]] = {}
        self._said: dict[Command, str] = {}
        self._told: set[tuple[str, str]] = set()
        self.load(config)

    def load(self, config: Config) -> None:
        """Take a configuration."""
        self._config = config
        self._state_dir = Path(config.node.state_dir)
        self._record = self._read_record()
        self._fragments = self._fragments_there()
        if self._sampler is not None:
            self.left_out += self._sampler.left_out
        data = config.uplink.data
        self._sampler = None if data is None else Sampler(data)

    @property
    def is_on(self) -> bool:
        """Whether there is a cloud side."""
        return bool(self._config.uplink.models_url)

    # ------------------------------------------------------------------ up

    def put(self, kind: str, body: bytes, *, urgent: bool = False) -> None:
        """Put a record in the outbox, if anybody will come for it."""
        if self._config.uplink.url:
            self._saving.add_records([record(kind, body)], urgent=urgent)

    def events(self, events: Sequence[Event]) -> None:
        """Events that were just made."""
        self._fresh = self._fresh or bool(events)
        for event in events:
            make = event_message if event.verdict.top is None else group_event_message
            self.put("event", make(event, seq=0, replay=event.replay).encode())

    def readings(self, readings: Sequence[Reading], now_ns: int) -> None:
        """Readings that came in."""
        if self._sampler is None:
            return
        for body in self._sampler.take(readings, now_ns):
            if self._saving.outbox_stats().bytes > DATA_SHARE * self._config.store.spool_bytes:
                self._sampler.left_out += len(msgspec.json.decode(body, type=Readings).values)
            else:
                self.put("data", body)

    def update(self, update: Update) -> None:
        """What became of a model."""
        self._fresh = True
        self.put("update", msgspec.json.encode(update), urgent=True)
        waiting = self._waiting.pop(update.model, [])
        if update.event in ("offered", "kept", "rolled-back"):  # the last two are about the one before
            self._waiting[update.model] = waiting
            return
        done: CommandState = "failed" if update.event in ("rejected", "refused") else "successful"
        reason = f": {update.reason}" if update.reason else ""
        told = f"{update.model} {update.version} {update.event}{reason}"
        for command in waiting:
            self._end(command, done, told)
        for command in (*self._asked, *self._next):
            if command.model == update.model:
                self._decided[command] = (done, told)

    # ------------------------------------------------------------------ commands

    def sync(self, command: Command) -> None:
        """``sync``: now, whatever the schedule."""
        self._need_cloud()
        self._next.append(command)  # one that runs may have failed already at what is asked for

    def install(self, command: Command) -> None:
        """``model-install``: one model, whatever its share; what was rejected of it gets another chance."""
        self._need_cloud()
        if self.rollout is not None:
            self.rollout.forgive(command.model)
        self._next.append(command)

    def _need_cloud(self) -> None:
        if not self.is_on:
            raise InvalidInput("there is no uplink: expected [uplink] url or repository in the configuration")

    # ------------------------------------------------------------------ turns

    def listen(self, now_ns: int) -> None:
        """Hear the process, if one runs; call it every turn."""
        if self._syncing.running:
            for said in self._syncing.listen():
                self._hear(said, now_ns)

    def look(self, now_ns: int, introduce: Callable[[], None]) -> None:
        """What is due; call it every second.

        Parameters
        ----------
        now_ns : int
            Processing time.
        introduce : callable
            Puts what the server should know of this device in the outbox, and commits.
        """
        if self.rollout is not None:
            self.rollout.look(now_ns)
        for name, commands in self._waiting.items():
            for command in commands:
                self._tell(command, self.rollout.progress(name) if self.rollout is not None else "")
        if self._fresh:
            self._fresh, self._waits_s = False, self._waits_s or now_ns / 1e9
        if not self.is_on or self._syncing.running:
            return
        if self._next or self._is_due(now_ns / 1e9):
            self._start(now_ns, introduce)
        elif self._may_send(now_ns / 1e9):
            self._start(now_ns, introduce, models=False)

    def _is_due(self, now_s: float) -> bool:
        uplink = self._config.uplink
        if self._delivered.state == "more":
            return True
        if self._unreachable:
            interval = min(uplink.interval, RETRY_NS)
            uplink = replace(uplink, interval=interval, jitter=min(uplink.jitter, interval))
        self._since_s = self._since_s or now_s
        last_s = max(self._attempt_s, self._record.attempt_ms / 1e3)
        since_s = self._since_s if last_s <= self._since_s else 0.0
        return next_due(uplink, self._config.node.id, last_s, now_s, since_s=since_s) <= now_s

    def _may_send(self, now_s: float) -> bool:
        """Whether what waits goes up without a sync; what cannot be reached is asked by the syncs."""
        uplink = self._config.uplink
        if not self._waits_s or not uplink.url or not uplink.send or self._unreachable:
            return False
        if not self._saving.outbox_stats().rows:  # a sync took it along
            self._waits_s = 0.0
            return False
        return send_due(uplink, self._config.node.id, self._waits_s, now_s) <= now_s

    def _start(self, now_ns: int, introduce: Callable[[], None], *, models: bool = True) -> None:
        """Start the process for the commands that wait, those of one model at a time, or because it is time."""
        if models:
            self._attempt_s = now_ns / 1e9
        only = self._next[0].model if self._next else ""
        if not only:  # one model alone is brought, and nothing sent
            self._waits_s = 0.0
        self._asked = [command for command in self._next if command.model == only]
        self._next = [command for command in self._next if command.model != only]
        self._delivered = Delivered(state="done")
        introduce()
        order = Order(config=self._config, only=only, activate=self.rollout is None, models=models)
        problem = self._syncing.start(order)
        if problem:
            self._finish(Said(state="failed", detail=problem), now_ns)

    def _hear(self, said: Said, now_ns: int) -> None:
        if said.delivered:
            self._saving.forwarded(said.delivered)
        if said.progress:
            for command in self._asked:
                self._tell(command, said.progress)
        if said.forwarded is not None:
            self._delivered = said.forwarded
            fields = msgspec.structs.asdict(said.forwarded)
            log.info("records sent", extra={"fields": {key: value for key, value in fields.items() if value}})
        if said.state:
            self._finish(said, now_ns)

    def _finish(self, said: Said, now_ns: int) -> None:
        """The process has done its work: try what it brought, tell what it refused, answer who asked for it."""
        self._record = self._read_record()
        self._unreachable = "unreachable" in (said.state, self._delivered.state)
        if said.state != "sent":
            log.info("sync", extra={"fields": {"state": said.state, "detail": said.detail}})
        for refusal in said.refused:
            self._refused(refusal, now_ns)
        taken = [each for each in said.taken if each.kind == "model"]
        asked, self._asked = self._asked, []
        for command in asked:
            decided = self._decided.pop(command, None)
            if command.model and (
                any(each.name == command.model for each in taken) or self._on_trial(command)
            ):
                self._waiting.setdefault(command.model, []).append(command)
            elif said.state not in ("current", "offered", "installed"):
                self._end(command, "failed", f"{said.state}: {said.detail}")
            elif self._delivered.state not in ("done", "more"):
                self._end(command, "failed", f"{said.detail}; records not sent: {self._delivered.reason}")
            elif decided is not None and said.state == "current":
                # the trial of what lay here already is over
                self._end(command, *decided)
            else:
                self._end(command, "successful", said.detail or said.state)
        for each in taken:
            if each.state == "installed":
                reason = "the first of its name"
                self.update(
                    Update(
                        id=each.id,
                        event="activated",
                        ts=now_ns // 10**6,
                        model=each.name,
                        version=each.version,
                        reason=reason,
                    )
                )
        if self.rollout is not None:
            self.rollout.refresh(now_ns)
        if any(each.kind == "config" for each in said.taken) or self._fragments_there() != self._fragments:
            self._reload()

    def _fragments_there(self) -> dict[str, tuple[int, int]]:
        """What the process can have changed without a word: one taken back, one it brought and was killed after."""
        found = {}
        with suppress(OSError):
            for path in (self._state_dir / FRAGMENTS).glob("*.toml"):
                stat = path.stat()
                found[path.name] = (stat.st_ino, stat.st_mtime_ns)
        return found

    def _on_trial(self, command: Command) -> bool:
        return self.rollout is not None and bool(self.rollout.progress(command.model))

    def _refused(self, refusal: Refusal, now_ns: int) -> None:
        """Told to the server when it is new: the same will be refused at every sync."""
        key = (refusal.reason, refusal.target)
        if key not in self._told and len(self._told) < 1000:
            self._told.add(key)
            name, version = refusal.target, ""
            reason = f"{refusal.reason}: {refusal.detail}"
            self.update(
                Update(
                    id=name or "repository",
                    event="refused",
                    ts=now_ns // 10**6,
                    model=name,
                    version=version,
                    reason=reason,
                )
            )

    def _tell(self, command: Command, progress: str) -> None:
        """How far it is, when that changed."""
        if progress and self._said.get(command) != progress:
            self._said[command] = progress
            self._answer(command, "executing", progress)

    def _end(self, command: Command, state: CommandState, reason: str) -> None:
        self._said.pop(command, None)
        self._answer(command, state, reason)

    # ------------------------------------------------------------------ looking at it

    def _read_record(self) -> SyncRecord:
        try:
            return read_record(self._state_dir)
        except UplinkError as error:
            log.warning("uplink", extra={"fields": {"reason": str(error)}})
            return SyncRecord()

    def problems(self, now_ns: int) -> list[str]:
        """What makes the device degraded, in words; to be offline does not."""
        if not self.is_on:
            return []
        found = self._record.troubles(now_ns / 1e9)
        if self._delivered.state in ("refused", "failed"):
            found.append(f"uplink: records are not taken: {self._delivered.reason}")
        return found

    @property
    def dropped(self) -> dict[str, int]:
        """What was not sent, by cause."""
        left_out = self.left_out + (self._sampler.left_out if self._sampler is not None else 0)
        counts = {"uplink_full": self._saving.outbox_stats().dropped, "uplink_data": left_out}
        return {name: count for name, count in counts.items() if count}

    @property
    def info(self) -> SyncInfo | None:
        """For the ``info`` message; None without an uplink."""
        if not self.is_on:
            return None
        refusal = self._record.refused[0] if self._record.refused else None
        return SyncInfo(
            state=self._record.state,
            last=self._record.attempt_ms,
            refused=f"{refusal.reason}: {refusal.detail}" if refusal is not None else "",
            waiting=self._saving.outbox_stats().rows,
            trials=self.rollout.watched if self.rollout is not None else {},
        )

    def leave(self) -> None:
        """The process ends as it should."""
        self._syncing.stop()
        if self.rollout is not None:
            self.rollout.leave()


def record(kind: str, body: bytes) -> bytes:
    """A record of the outbox: its kind, and its content in JSON."""
    return msgspec.json.encode({"kind": kind, "record": msgspec.Raw(body)})


def models_folder(config: Config) -> Path:
    """Where the packages of a device lie."""
    return Path(config.node.state_dir) / MODELS
