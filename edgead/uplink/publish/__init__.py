"""The publisher: releases models to devices by signing a repository of plain files.  Needs no server.

Who may sign what is in the root; root and targets keys are offline (a stick, a safe), snapshot and timestamp keys are
where the repository is served from.  docs/operations.md has the ceremony.
"""

from edgead.uplink.publish.current import KeyState, RepositoryStatus, RoleStatus
from edgead.uplink.publish.keys import Keyring, passphrases_from, read_public
from edgead.uplink.publish.publisher import Publisher, create

__all__ = [
    "KeyState",
    "Keyring",
    "Publisher",
    "RepositoryStatus",
    "RoleStatus",
    "create",
    "passphrases_from",
    "read_public",
]
