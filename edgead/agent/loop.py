"""The agent's loop: one thread that owns engine, store and everything published.

One turn: take messages from the inbox, make readings of them, feed the engine, tick it, commit what came in together
with what it caused, acknowledge the messages to the broker, publish.  The network has a thread of its own, which ends
at the inbox; HTTP probes read the last `Vitals`.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from edgead._version import VERSION
from edgead.agent import systemd
from edgead.agent.clock import Clock
from edgead.agent.crashes import settle_crashes
from edgead.agent.groups import Groups
from edgead.agent.intake import Intake
from edgead.agent.link import Link
from edgead.agent.network import NetworkInUse
from edgead.agent.outgoing import Outgoing, event_fields
from edgead.agent.rollout import Rollout
from edgead.agent.saving import IDLE_S, Saving
from edgead.agent.updates import uses_models
from edgead.agent.uplink import Uplink, models_folder
from edgead.agent.vitals import Vitals, descriptors_gone, resident_bytes, to_health, to_message
from edgead.bridge.commands import Command, Commands, Handler
from edgead.bridge.commands import Outgoing as Answer
from edgead.bridge.inbox import (
    Connected,
    Control,
    Delivered,
    Disconnected,
    Fault,
    Incoming,
    Message,
    Subscribed,
    TooLarge,
)
from edgead.bridge.messages import CommandState, Info
from edgead.config import Config, load
from edgead.config.units import iso
from edgead.errors import ConfigError, InvalidInput, OuterWorldError
from edgead.probe import Health
from edgead.records import Reading
from edgead.stream import Engine, Outcome
from edgead.stream.journal import Verb
from edgead.stream.series import NEVER

log = logging.getLogger("edgead")

#: Messages taken from the inbox in one turn.
BATCH = 256
#: Readings fed at one time: bounds what a batch of long arrays takes in memory for a moment.
CHUNK = 1024
#: Seconds between two ticks of the engine.
TICK_S = 0.25
HEALTH_EVERY_S = 30.0
LOOK_EVERY_S = 1.0
#: A refused series is a problem for this long after its last reading.
REFUSED_SHOWN_NS = 600 * 10**9
#: What a reload leaves as it was.
FIXED_SECTIONS = ("node", "mqtt", "http", "store", "limits", "log")
#: Names in one line of the log.
NAMES_SHOWN = 20


class Agent:
    """Everything between the broker and the disk.

    Parameters
    ----------
    config : Config
    engine, saving, link, clock
        Already made; see `edgead.agent.build`.
    """

    def __init__(self, config: Config, engine: Engine, saving: Saving, link: Link, clock: Clock) -> None:
        self.config = config
        self.engine = engine
        self.saving = saving
        self.topics = link.topics
        self.intake = Intake(config, self.topics, engine)
        self.uplink = Uplink(config, saving, self._tell_command, self._reload_file)
        self._settle_crashes(clock.now_ns())
        self.network = NetworkInUse(config)
        self.groups = Groups(config, engine)
        self.outgoing = Outgoing(saving, link, self.topics, engine, config.mqtt.state_every)
        self.vitals: Vitals | None = None
        self._link = link
        self._clock = clock
        self._tell_shortcomings()
        handlers: dict[str, Handler] = dict.fromkeys(("relearn", "mute", "unmute"), self._obey)
        handlers |= {"sync": self.uplink.sync, "model-install": self.uplink.install}
        self._commands = Commands(self.topics, handlers | {"model-rollback": self._roll_back})
        self._counts: Counter[str] = Counter()
        self._connected = False
        self._away_because = "not yet"
        self._doubt = ""
        self._spool_dropped = saving.spool_stats().dropped
        self._told_kinds: list[str] = []
        self._told_sync: tuple[object, ...] | None = None
        self._reload: Callable[[], Config] | None = None
        self._stopping = False
        self._started_s = time.monotonic()
        self._last_turn_s = self._started_s
        self._longest_turn_s = 0.0
        self._next_tick_s = self._next_look_s = self._next_health_s = 0.0
        self._watchdog_s = systemd.watchdog_seconds()
        self._next_watchdog_s = 0.0

    # ------------------------------------------------------------------ life

    def run(self) -> None:
        """Turn until `stop`; then save everything and say goodbye."""
        self._begin_rollout()
        self._link.start(self.intake.filters)
        systemd.notify(f"READY=1\nSTATUS=watching, {len(self.engine.series)} series known")
        try:
            while not self._stopping:
                self.turn()
        finally:
            self._leave()

    def stop(self) -> None:
        """Ask the loop to end; safe from any thread and from a signal handler."""
        self._stopping = True

    def reload(self, load: Callable[[], Config]) -> None:
        """Ask the loop to take another configuration; safe from a signal handler."""
        self._reload = load

    def turn(self) -> None:
        """One turn of the loop."""
        stalled = self.saving.stalled
        items = self._wait_for_disk() if stalled else self._link.inbox.take(BATCH, self.saving.patience_s)
        now_ns = self._clock.now_ns()
        began_s = time.monotonic()
        self._take_in(items, now_ns)
        self.uplink.listen(now_ns)
        if began_s >= self._next_tick_s:
            self._next_tick_s = began_s + TICK_S
            self._absorb(self.engine.tick(now_ns), now_ns)
        if self._reload is not None:
            self._take_config()
        if self.saving.due(quiet=not items):
            self._commit()
        self.saving.told(self.outgoing.send_unsaved(self.saving.unsaved()))
        self.outgoing.pump()
        self.engine.judge_unheard()
        self._look_after(began_s)

    def _commit(self, *, everything: bool = False) -> None:
        self._link.acknowledge(self.saving.commit(self._clock.now_ns(), everything=everything))
        self.outgoing.spooled(self.saving.last_seq)

    def _wait_for_disk(self) -> list[Control | Message]:
        """Let the inbox fill, and the broker wait, while the disk takes nothing."""
        time.sleep(IDLE_S)
        return []

    def _leave(self) -> None:
        systemd.notify("STOPPING=1")
        self.uplink.leave()
        self._commit(everything=True)
        until_s = time.monotonic() + 2.0
        while not self.outgoing.idle and self._connected and time.monotonic() < until_s:
            self._take_in(
                [item for item in self._link.inbox.take(BATCH, 0.05) if not isinstance(item, Incoming)],
                self._clock.now_ns(),
            )
            self.outgoing.pump()
        self._link.stop()
        self.saving.close()
        log.info("stopped", extra={"fields": {"series": len(self.engine.series)}})

    # ------------------------------------------------------------------ in

    def _take_in(self, items: Iterable[Control | Message], now_ns: int) -> None:
        readings: list[Reading] = []
        for item in items:
            if isinstance(item, Incoming):
                if self.topics.is_own(item.topic):
                    self._feed(readings, now_ns)
                    readings = []
                    self._command(item, now_ns)
                else:
                    readings += self.intake.read(item, now_ns)
                    if len(readings) >= CHUNK:
                        self._feed(readings, now_ns)
                        readings = []
                self.saving.receive(item.token)
            elif isinstance(item, Delivered):
                self.outgoing.delivered(item.handle)
            elif isinstance(item, TooLarge):
                self.intake.refuse(item)
                self.saving.receive(item.token)
            elif isinstance(item, Connected):
                self._greet(now_ns)
            elif isinstance(item, Subscribed):
                self._link.settled()
            else:
                self._hear(item)
        self._feed(readings, now_ns)
        if self.intake.born:
            self.outgoing.changed(self.intake.born)
            self.intake.born.clear()

    def _hear(self, item: Disconnected | Fault) -> None:
        """Bad news from the network."""
        if isinstance(item, Fault):
            self._counts["faults"] += 1
            log.error("network fault", extra={"fields": {"reason": item.reason}})
            return
        if self._connected:
            self._connected = False
            self.outgoing.disconnected()
        self._away_because = item.reason
        log.warning("broker not connected", extra={"fields": {"reason": item.reason}})

    def _feed(self, readings: list[Reading], now_ns: int) -> None:
        if readings:
            self.uplink.readings(readings, now_ns)
            self._absorb(self.engine.feed(readings, now_ns), now_ns)

    def _absorb(self, out: Outcome, now_ns: int) -> None:
        if out.verdicts:
            self.outgoing.note(out.verdicts, now_ns)
        if out.changed:
            self.outgoing.changed(out.changed)
        if out.events:
            self._counts["events"] += len(out.events)
            self.saving.add(out.events)
            self.uplink.events(out.events)
            for event in out.events:
                log.info("anomaly", extra={"fields": event_fields(event)})

    # ------------------------------------------------------------------ commands

    def _command(self, message: Incoming, now_ns: int) -> None:
        answers = self._commands.run(
            message.topic,
            message.payload,
            now_ns=now_ns,
            retain=message.retain,
            response_topic=message.response_topic,
            correlation=message.correlation,
        )
        for answer in answers:
            self._send_answer(answer)

    def _send_answer(self, answer: Answer) -> None:
        self._link.publish(
            answer.topic, answer.payload, qos=answer.qos, retain=answer.retain, correlation=answer.correlation
        )

    def _tell_command(self, command: Command, state: CommandState, reason: str) -> None:
        """A further answer of a command that goes on."""
        answer = self._commands.tell(command, state, reason, now_ns=self._clock.now_ns())
        if answer is not None:
            self._send_answer(answer)

    def _obey(self, command: Command) -> str:
        now_ns = self._clock.now_ns()
        until_ns = NEVER if command.for_s is None else now_ns + int(command.for_s * 1e9)
        verb: Verb = command.verb  # type: ignore[assignment]
        name = command.target
        self._absorb(self.engine.command(verb, name, now_ns, until_ns=until_ns), now_ns)
        phase = self.engine.series[name].phase if command.series else self.engine.groups[name].phase
        end = f" until {iso(until_ns)}" if phase == "muted" and until_ns < NEVER else ""
        return f"{name} is {phase}{end}"

    def _roll_back(self, command: Command) -> str:
        if self.uplink.rollout is None:
            raise InvalidInput("model-rollback: nothing here has a model that can be installed")
        return self.uplink.rollout.roll_back(command.model, self._clock.now_ns())

    # ------------------------------------------------------------------ models and configuration

    def _settle_crashes(self, now_ns: int) -> None:
        """Turn down a model that the last process did not survive, before it is loaded."""
        if uses_models(self.config):
            from edgead.registry.shelf import Shelf

            for update in settle_crashes(self.config, Shelf(models_folder(self.config)), now_ns):
                self.uplink.update(update)

    def _begin_rollout(self) -> None:
        """Candidates, and what is watched, from where the last process left them."""
        wanted = uses_models(self.config) or bool(self.config.uplink.models_url)
        if self.uplink.rollout is None and wanted:
            from edgead.registry.shelf import Shelf

            shelf, save = Shelf(models_folder(self.config)), self._save_everything
            told = self.uplink.update
            self.uplink.rollout = Rollout(
                self.config, self.engine, self.groups, self.network, shelf, told, save, self._models_changed
            )
        if self.uplink.rollout is not None:
            self.uplink.rollout.begin(self.config, self._clock.now_ns())

    def _save_everything(self) -> None:
        self._commit(everything=True)

    def _models_changed(self, names: set[str]) -> None:
        self.outgoing.changed(names)
        if self._connected:
            self._introduce(self._clock.now_ns())

    def _reload_file(self) -> None:
        self.reload(lambda: load(self.config.path))

    def _take_config(self) -> None:
        """Swap the rules: a bad file changes nothing, series whose settings stayed keep all they learned."""
        load, self._reload = self._reload, None
        assert load is not None
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            config = load()
        except (ConfigError, OuterWorldError) as error:
            log.error("configuration refused, the old one stays", extra={"fields": {"reason": str(error)}})
        else:
            self._commit(
                everything=True
            )  # a restart judges the journal with the settings it finds in the file
            self._apply(config)
            self._commit(everything=True)
        systemd.notify("READY=1")

    def _apply(self, config: Config) -> None:
        fixed = {
            name: getattr(self.config, name)
            for name in FIXED_SECTIONS
            if getattr(config, name) != getattr(self.config, name)
        }
        if fixed:
            log.warning("these sections need a restart", extra={"fields": {"sections": ",".join(fixed)}})
        self.config = config = replace(
            config, **fixed
        )  # what runs is what the rest is compared with, and told
        if self.uplink.rollout is not None:
            self.uplink.rollout.rest()
        self.network.load(config)
        self.intake.load(config, self.topics)
        changed, removed = set(), []
        for series_id, series in list(self.engine.series.items()):
            settings = self.intake.settings_for(series_id, series.source)
            if settings is None:
                self.engine.remove(series_id)
                removed.append(series_id)
            elif settings != series.settings or self.network.is_behind(series.detector):
                self.engine.configure(series_id, settings)
                changed.add(series_id)
        fresh, gone = self.groups.load(config)
        self._tell_shortcomings()
        self.saving.retire([*removed, *gone])
        self._link.start(self.intake.filters)
        self.outgoing.changed({*changed, *fresh})
        self.dismiss([*removed, *gone])
        self.uplink.load(config)
        self._begin_rollout()
        log.info("configuration taken", extra={"fields": {"changed": len(changed), "removed": len(removed)}})

    def dismiss(self, names: list[str]) -> None:
        """Series and groups that left the configuration: what is retained of them goes, and the log says so."""
        self.outgoing.changed(set(names))
        if names:
            more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
            fields = {"count": len(names), "names": ", ".join(sorted(names)[:NAMES_SHOWN]) + more}
            log.warning("no longer configured, and forgotten", extra={"fields": fields})

    def _tell_shortcomings(self) -> None:
        for group_id, reason in self.groups.refused.items():
            log.error("group is off", extra={"fields": {"group": group_id, "reason": reason}})
        for reason in filter(None, (self.network.default, *self.network.problems)):
            log.warning("not the best detector", extra={"fields": {"reason": reason}})

    # ------------------------------------------------------------------ out

    def _greet(self, now_ns: int) -> None:
        """Birth, in the order of docs/mqtt-api.md; the bridge has subscribed and said online before."""
        self._connected = True
        self._introduce(now_ns)
        self.outgoing.connected(self.saving.last_seq)
        self._next_health_s = 0.0
        log.info(
            "broker connected",
            extra={"fields": {"host": self.config.mqtt.host, "port": self.config.mqtt.port}},
        )

    def _introduce(self, now_ns: int) -> None:
        self._link.publish(self.topics.info, self._info(now_ns).encode(), retain=True)

    def _info(self, now_ns: int) -> Info:
        return Info(
            ts=now_ns // 10**6,
            node=self.config.node.id,
            version=VERSION,
            config_sha256=self.config.digest,
            models=self.groups.models | self.network.models,
            default_detector=self.network.detector,
            default_reason=self.network.default,
            capabilities=["series", "commands", "groups", *(["uplink"] if self.uplink.is_on else [])],
            clock=self._clock.trust,
            sync=self.uplink.info,
        )

    def _report(self) -> None:
        """Have the server know how this device is, with the next records."""
        now_ns = self._clock.now_ns()
        self.uplink.put("info", self._info(now_ns).encode())
        if self.vitals is not None:
            self.uplink.put("health", to_message(self.vitals).encode())
        self._commit()

    def _look_after(self, began_s: float) -> None:
        """Health, watchdog, dead letters, clock: what is due once in a while."""
        for letter in self.intake.dead_letters:
            self._link.publish(self.topics.deadletter, letter.encode(), qos=0)
        self.intake.dead_letters.clear()
        now_s = time.monotonic()
        self._longest_turn_s = max(self._longest_turn_s, now_s - began_s)
        if self._watchdog_s and now_s >= self._next_watchdog_s:
            self._next_watchdog_s = now_s + self._watchdog_s
            systemd.notify("WATCHDOG=1")
        self._last_turn_s = now_s
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        self._mind_the_clock()
        self.uplink.look(self._clock.now_ns(), self._report)
        self._tell_sync()
        self.vitals = self._look(now_s)
        kinds = [problem.partition(":")[0] for problem in self.vitals.problems]
        if self._connected and (now_s >= self._next_health_s or kinds != self._told_kinds):
            self._next_health_s = now_s + HEALTH_EVERY_S
            self._told_kinds = kinds
            self._link.publish(self.topics.health, to_message(self.vitals).encode(), qos=0)

    def _tell_sync(self) -> None:
        """Say in `info` how the uplink stands, when that changed and not at every row of a shadow run."""
        sync = self.uplink.info
        told = None if sync is None else (sync.state, sync.last, sync.refused, tuple(sync.trials))
        if told != self._told_sync and self._connected:
            self._told_sync = told
            self._introduce(self._clock.now_ns())

    def _mind_the_clock(self) -> None:
        """Tell steps of the wall clock, and go on from an earlier time when a step back was believed."""
        moved_ns = self._clock.watch()
        if moved_ns:
            log.warning("processing time moved", extra={"fields": {"seconds": round(moved_ns / 1e9, 3)}})
        if moved_ns < 0:
            now_ns = self._clock.now_ns()
            for name, until_ns in self.engine.mutes().items():
                until_ns = max(now_ns, until_ns + moved_ns)
                self._absorb(self.engine.command("mute", name, now_ns, until_ns=until_ns), now_ns)
            self.engine.resume(now_ns)
            self.outgoing.forget_told()
        doubt = self._clock.doubt
        if doubt != self._doubt:
            self._doubt = doubt
            log.warning("clock", extra={"fields": {"trust": self._clock.trust, "reason": doubt}})
            if self._connected:
                self._introduce(self._clock.now_ns())

    def _look(self, now_s: float) -> Vitals:
        phases = Counter(series.phase for series in self.engine.series.values())
        spool = self.saving.spool_stats()
        now_ns = self._clock.now_ns()
        lag_s, self._longest_turn_s = self._longest_turn_s, 0.0
        commands = {f"command_{name}": n for name, n in self._commands.counts.items() if name != "successful"}
        return Vitals(
            ts=now_ns // 10**6,
            clock=self._clock.trust,
            connected=self._connected,
            problems=self._problems(spool.dropped),
            loop_lag_ms=lag_s * 1e3,
            inbox=self._link.inbox.waiting,
            inbox_limit=self.config.limits.inbox,
            series=len(self.engine.series),
            ready=phases["ready"],
            stale=phases["stale"],
            muted=phases["muted"],
            readings=self.engine.counts["readings"],
            events=self._counts["events"],
            commits=self.saving.commits,
            dropped={
                **{name: n for name, n in self.engine.counts.items() if name != "readings"},
                **self.intake.counts,
                **{name: n for name, n in commands.items() if n},
                **self.uplink.dropped,
            },
            spool_rows=spool.rows,
            spool_bytes=spool.bytes,
            spool_dropped=spool.dropped,
            spool_age_s=max(0.0, (now_ns - spool.oldest_ns) / 1e9) if spool.oldest_ns else 0.0,
            state_bytes=self.engine.memory_bytes,
            rss_bytes=resident_bytes(),
            bytes_written=self.saving.bytes_written,
            uptime_s=now_s - self._started_s,
        )

    def _problems(self, spool_dropped: int) -> list[str]:
        problems = list(self.saving.problems)
        if spool_dropped > self._spool_dropped:
            problems.append(f"spool: full, {spool_dropped - self._spool_dropped} events were just dropped")
        self._spool_dropped = spool_dropped
        if not self._connected:
            problems.append(f"broker: not connected: {self._away_because}")
        if refused := descriptors_gone():
            problems.append(f"files: none can be opened, nor connections made: {refused}")
        if self._doubt:
            problems.append(f"clock: the wall clock {self._doubt}; judging in order of arrival")
        if self._clock.now_ns() - self.intake.refused_ns < REFUSED_SHOWN_NS:
            known = len(self.intake.refusals)
            problems.append(f"limits: readings of series that were refused still come, {known} are known")
        if self._link.inbox.full:
            problems.append("load: more comes than can be judged; the broker keeps the rest")
        problems += self.groups.problems
        problems += self.network.problems
        problems += self.uplink.problems(self._clock.now_ns())
        return problems

    def health(self) -> Health:
        """For the probe, from another thread: the last look, and whether the loop still turns."""
        vitals = self.vitals
        if vitals is None:
            return Health(live=True, ready=False, problems=("starting",))
        return to_health(vitals, turns=time.monotonic() - self._last_turn_s <= 10 * LOOK_EVERY_S)
