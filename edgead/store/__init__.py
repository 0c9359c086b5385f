"""The state directory in SQLite: spool, journal, snapshots.  The only place that imports sqlite3."""

from edgead.store.records import Committed, OutboxRow, SpoolRow, SpoolStats, StoreLimits
from edgead.store.store import Store
from edgead.store.view import StoreView

__all__ = ["Committed", "OutboxRow", "SpoolRow", "SpoolStats", "Store", "StoreLimits", "StoreView"]
