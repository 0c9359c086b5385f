"""A sync without an agent: what came of it is put in the outbox, and the outbox is sent, by the command itself."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgead.agent.sync_child import send
from edgead.agent.syncing import Delivered
from edgead.agent.updates import Update
from edgead.agent.uplink import record
from edgead.config import Config
from edgead.store import Store, StoreLimits

if TYPE_CHECKING:
    from edgead.uplink.sync import SyncOutcome


def send_alone(config: Config, outcome: "SyncOutcome") -> Delivered | None:
    """Send what waits; None where there is no server.

    Parameters
    ----------
    config : Config
        With a server or without.
    outcome : SyncOutcome
        Of the sync that was just made: its models are active, nobody had to try them.

    Raises
    ------
    StoreError
        If an agent has the state by now, or the disk fails.
    """
    if not config.uplink.url:
        return None
    settings = config.store
    limits = StoreLimits(
        spool_rows=settings.spool_rows,
        spool_bytes=settings.spool_bytes,
        spool_age_s=settings.spool_age // 10**9,
        drop=settings.drop,
    )
    store = Store.open(Path(config.node.state_dir), limits, now_ns=time.time_ns())
    try:
        updates = [record("update", msgspec.json.encode(each)) for each in _updates(outcome)]
        store.commit(outbox=updates, now_ns=time.time_ns())
        return send(config, store, store.acknowledge_outbox)
    finally:
        store.close()


def _updates(outcome: "SyncOutcome") -> list[Update]:
    now_ms = time.time_ns() // 10**6
    reason = "synced without an agent"
    return [
        Update(id=each.id, event="activated", ts=now_ms, model=each.name, version=each.version, reason=reason)
        for each in outcome.taken
        if each.kind == "model"
    ]
