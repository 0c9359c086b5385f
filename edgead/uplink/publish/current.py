"""The repository as it is now: who may sign, what is released, and what a look at it tells."""

from typing import Any

import msgspec
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from edgead.errors import UplinkError
from edgead.uplink.release import Release, read_release


class KeyState(msgspec.Struct, frozen=True):
    """A key of a role, and whether its private half can be reached now."""

    id: str
    here: bool


class RoleStatus(msgspec.Struct, frozen=True):
    """One role of the repository.

    Attributes
    ----------
    name : str
    version : int
    expires : str
        ISO 8601 UTC.
    days_left : float
    threshold : int
    keys : list of KeyState
    """

    name: str
    version: int
    expires: str
    days_left: float
    threshold: int
    keys: list[KeyState]


class RepositoryStatus(msgspec.Struct, frozen=True):
    """A look at a repository.

    Attributes
    ----------
    roles : list of RoleStatus
    releases : list of Release
        Newest first.
    notes : list of str
        What should be done soon.
    """

    roles: list[RoleStatus]
    releases: list[Release]
    notes: list[str]


class Current(msgspec.Struct):
    """The repository as devices see it."""

    root: Metadata[Root]
    targets: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]


def verifies(root: Root, role: str, now: Current) -> bool:
    """Whether a role is signed by enough of the keys that a root names."""
    metadata: Metadata[Any] = getattr(now, role)
    try:
        root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except RepositoryError:
        return False
    return True


def behind(now: Current) -> bool:
    """Whether there are targets that no snapshot names yet."""
    return now.snapshot.signed.meta["targets.json"].version < now.targets.signed.version


def releases_of(now: Current) -> list[Release]:
    """What is released; a target of somebody else's tool is left out."""
    read = [
        read_release(path, file.length, file.hashes.get("sha256", ""), file.custom)
        for path, file in now.targets.signed.targets.items()
    ]
    return [each for each in read if isinstance(each, Release)]


def find(now: Current, key: str) -> Release:
    """The release of this path, id or beginning of an id, name and version, or name."""
    releases = releases_of(now)
    found = [each for each in releases if key == each.target]
    found = found or [each for each in releases if key in (each.title, each.terms.name)]
    found = found or [each for each in releases if len(key) >= 4 and each.terms.id.startswith(key)]
    if len(found) != 1:
        known = ", ".join(each.target for each in found or releases) or "none"
        raise UplinkError(f"{key!r}: {'more than one release' if found else 'no release'}; there is {known}")
    return found[0]
