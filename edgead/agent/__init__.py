"""The agent: builds the parts from a configuration, connects them, starts and stops them.

Start: read the configuration, open the store, bring the engine to where the last commit left it, listen for probes,
connect to the broker (subscribe, say online, info, metas, states, live events, backlog).  Stop, on SIGTERM or SIGINT:
save all state, acknowledge what it holds, publish what waits for at most two seconds, say offline.  SIGHUP: take the
file again.
"""

import logging
import signal
from collections.abc import Callable
from pathlib import Path

from edgead import logs
from edgead.agent.clock import Clock
from edgead.agent.link import Link
from edgead.agent.loop import Agent
from edgead.agent.saving import Saving
from edgead.config import Config, load
from edgead.probe import Probe
from edgead.stream import Engine

__all__ = ["Agent", "build", "run"]

log = logging.getLogger("edgead")


def build(config: Config) -> Agent:
    """Make the parts and connect them; the store is open and the engine restored when this returns.

    Raises
    ------
    StoreError, BridgeError
        If the state directory, or a certificate or key file, cannot be used.
    """
    clock = Clock()
    now_ns = clock.now_ns()
    engine = Engine(config.engine)
    saving = Saving(Path(config.node.state_dir), config.store, engine, now_ns=now_ns)
    agent = Agent(config, engine, saving, Link(config, clock.now_ns), clock)
    agent.dismiss(saving.restore(agent.intake.settings_for))
    clock.continue_from(max((series.arrived_ns for series in engine.series.values()), default=0))
    engine.resume(clock.now_ns())
    return agent


def run(path: Path, *, ready: Callable[[Agent], None] | None = None) -> None:
    """Run the agent on a configuration file until SIGTERM or SIGINT.

    Raises
    ------
    ConfigError, StoreError, OuterWorldError
        Before anything was started.
    """
    config = load(path)
    logs.set_up(config.log.level, config.log.format)
    agent = build(config)
    probe = _probe(config, agent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    signal.signal(signal.SIGHUP, lambda *_: agent.reload(lambda: load(path)))
    log.info("started", extra={"fields": {"node": config.node.id, "series": len(agent.engine.series)}})
    if ready is not None:
        ready(agent)
    try:
        agent.run()
    finally:
        if probe is not None:
            probe.close()


def _probe(config: Config, agent: Agent) -> Probe | None:
    if not config.http.listen:
        return None
    host, _, port = config.http.listen.rpartition(":")
    return Probe(host.strip("[]"), int(port), agent.health)
