"""The repository as files: ``metadata/`` and ``targets/``, as any static server, CDN or stick can carry them.

Order makes every moment valid: files with a version or a hash in their name first, `timestamp.json`, which names them,
last.  What a publisher that died has left over is named by nobody, and the next one writes over it.
"""

import re
from pathlib import Path
from typing import TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from edgead.errors import UplinkError
from edgead.uplink.publish.files import make_folder, write_whole

_Role = TypeVar("_Role", Root, Timestamp, Snapshot, Targets)
_TYPES: dict[type[Signed], str] = {
    Root: "root",
    Timestamp: "timestamp",
    Snapshot: "snapshot",
    Targets: "targets",
}


class Repository:
    """Files of one repository.

    Parameters
    ----------
    folder : Path
        Holds ``metadata`` and ``targets``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """Whether there is a root."""
        return bool(self.root_versions())

    def make(self) -> None:
        """Make the folders."""
        for name in ("metadata", "targets"):
            make_folder(self.folder / name)

    def root_versions(self) -> list[int]:
        """Versions of the roots there are, rising."""
        return self._versions("root")

    def targets_versions(self, *, above: int) -> list[int]:
        """Versions of the lists of targets above one, rising."""
        return [version for version in self._versions("targets") if version > above]

    def _versions(self, role: str) -> list[int]:
        pattern = re.compile(rf"([1-9][0-9]{{0,8}})\.{role}\.json")
        names = [pattern.fullmatch(path.name) for path in (self.folder / "metadata").glob(f"*.{role}.json")]
        return sorted(int(name[1]) for name in names if name)

    def root_bytes(self, version: int) -> bytes:
        """One root as it is served."""
        return _bytes(self.folder / "metadata" / f"{version}.root.json")

    def root(self) -> Metadata[Root]:
        """The newest root.

        Raises
        ------
        UplinkError
            If there is none.
        """
        versions = self.root_versions()
        if not versions:
            raise UplinkError(f"{self.folder}: no repository; `edgead publish init` makes one")
        return _parse(self.root_bytes(versions[-1]), Root, self.folder)

    def timestamp(self) -> Metadata[Timestamp]:
        """What devices see first."""
        return _parse(_bytes(self.folder / "metadata" / "timestamp.json"), Timestamp, self.folder)

    def snapshot(self, version: int) -> Metadata[Snapshot]:
        """A snapshot by its version."""
        return _parse(_bytes(self.folder / "metadata" / f"{version}.snapshot.json"), Snapshot, self.folder)

    def targets(self, version: int) -> Metadata[Targets]:
        """The list of targets by its version."""
        return _parse(self.targets_bytes(version), Targets, self.folder)

    def targets_bytes(self, version: int) -> bytes:
        """The same as it is served."""
        return _bytes(self.folder / "metadata" / f"{version}.targets.json")

    def write(self, metadata: "Metadata[_Role]", data: bytes) -> None:
        """Write metadata under the name devices ask for."""
        role = _TYPES[type(metadata.signed)]
        name = f"{role}.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        write_whole(self.folder / "metadata" / name, data, mode=0o644)

    def write_target(self, target: str, sha256: str, data: bytes) -> None:
        """Write a target under the name devices ask for: its hash before its file name."""
        folder, _, name = target.rpartition("/")
        make_folder(self.folder / "targets" / folder)
        write_whole(self.folder / "targets" / folder / f"{sha256}.{name}", data, mode=0o644)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UplinkError(f"{path}: {error.strerror}") from error


def _parse(data: bytes, kind: "type[_Role]", folder: Path) -> "Metadata[_Role]":
    try:
        metadata = Metadata[_Role].from_bytes(data)
    except (DeserializationError, RepositoryError, ValueError) as error:
        raise UplinkError(f"{folder}: damaged metadata ({error})") from error
    if not isinstance(metadata.signed, kind):
        raise UplinkError(f"{folder}: {metadata.signed.type} where {_TYPES[kind]} was expected")
    return metadata
