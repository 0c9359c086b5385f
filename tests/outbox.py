"""A store's outbox as the forwarder sees it."""

from collections.abc import Sequence

from edgead.store import OutboxRow, Store


class Outbox:
    """What `edgead.uplink.forward.Source` wants of a `Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def last_seq(self) -> int:
        return self._store.outbox_stats().last_seq

    def peek(self, *, after: int, through: int, limit: int) -> Sequence[OutboxRow]:
        return self._store.peek_outbox(after=after, through=through, limit=limit)
