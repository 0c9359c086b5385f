"""What a device trusts: the verified metadata of its last sync, in one file that is whole or the one before.

python-tuf keeps its metadata in a folder of files that it does not flush, so a power cut could leave empty ones and
with them no protection against old metadata (docs/adr/0080).  Here the files live for the time of a refresh only.
"""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed
from tuf.api.serialization import DeserializationError

from edgead._version import RELEASED
from edgead.uplink.disk import read_bounded, write_whole
from edgead.uplink.reasons import Refused
from edgead.uplink.signed import ROLES, signed_at

TRUST = "trust.json"
#: The root an operator gave by hand.
GIVEN_ROOT = "root.json"
MAX_ROOT_BYTES = 512_000
_MAX_BYTES = 16 * 2**20
#: When this edgead was released; no clock that is right says less.
BUILT = datetime.fromisoformat(RELEASED).replace(tzinfo=UTC)


class Trust(msgspec.Struct, frozen=True):
    """Verified metadata, as it was signed.

    Attributes
    ----------
    root : str
        Newest root.
    anchors : tuple of str
        SHA-256 of every root that led to it, oldest first.
    timestamp, snapshot, targets : str
        "" = none yet.
    """

    root: str
    anchors: tuple[str, ...]
    timestamp: str = ""
    snapshot: str = ""
    targets: str = ""

    def parsed(self) -> dict[str, Signed]:
        """The roles there are that the root vouches for.

        Raises
        ------
        Refused
            If the root is none.
        """
        root = parse_root(self.root.encode())
        found: dict[str, Signed] = {"root": root}
        for role in ROLES[1:]:
            try:
                metadata: Metadata[Any] = Metadata.from_bytes(getattr(self, role).encode())
                root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
            except (DeserializationError, RepositoryError, ValueError):
                continue  # none, or signed by keys that were rotated away: it binds nobody any more
            found[role] = metadata.signed
        return found

    def floor(self) -> datetime:
        """The time it is at least: the newest signed one there is, or when this edgead was released."""
        times = [signed_at(signed) for signed in self.parsed().values()]
        return max([BUILT, *filter(None, times)])

    def versions(self) -> dict[str, int]:
        """Version of each role there is."""
        return {role: signed.version for role, signed in self.parsed().items()}


def parse_root(data: bytes) -> Root:
    """A root that is signed by itself.

    Raises
    ------
    Refused
        If it is none.
    """
    try:
        metadata = Metadata[Root].from_bytes(data)
        if not isinstance(metadata.signed, Root):
            raise Refused("no-root", f"expected a root, got {metadata.signed.type}")
        metadata.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    except (DeserializationError, RepositoryError, ValueError) as error:
        raise Refused("no-root", f"no root of trust ({error})") from error
    return metadata.signed


def anchored(root: bytes) -> Trust:
    """The beginning of trust: a root that came by a way of its own."""
    parse_root(root)
    return Trust(root.decode(), (hashlib.sha256(root).hexdigest(),))


def load_trust(folder: Path, root_file: str) -> Trust:
    """What this device trusts.

    Parameters
    ----------
    folder : Path
        ``uplink`` of the state directory.
    root_file : str
        Root of the configuration; "" = the one that was given by hand.

    Returns
    -------
    Trust
        That of the last sync, unless the device was given another root since: then it begins there.

    Raises
    ------
    Refused
        ``no-root``, if there is no root to begin with.
    UplinkError
        If a file cannot be read.
    """
    path = Path(root_file) if root_file else folder / GIVEN_ROOT
    given = read_bounded(path, MAX_ROOT_BYTES)
    if given is None:
        raise Refused(
            "no-root",
            f"{path}: no root of trust; edgead sync -c FILE --init-root root.json --sha256 HEX gives one",
        )
    start = anchored(given)
    stored = read_bounded(folder / TRUST, _MAX_BYTES)
    if stored is None:
        return start
    try:
        trust = msgspec.json.decode(stored, type=Trust)
        trust.parsed()
    except (msgspec.MsgspecError, UnicodeDecodeError, Refused):
        # damaged on disk: set aside, and begun again with the root; the way from there is verified anew
        with suppress(OSError):
            (folder / TRUST).replace(folder / f"{TRUST}.corrupt")
        return start
    if start.anchors[0] in trust.anchors:
        return trust
    # another root was put on this device: it counts, and what the old one vouched for counts where both do
    return msgspec.structs.replace(trust, root=start.root, anchors=start.anchors)


def save_trust(folder: Path, trust: Trust) -> None:
    """Replace what this device trusts, in one step.

    Raises
    ------
    UplinkError
        If the disk refuses.
    """
    write_whole(folder / TRUST, msgspec.json.encode(trust))


def give_root(folder: Path, data: bytes, sha256: str) -> Root:
    """Begin anew with a root that came by a way of its own.

    Parameters
    ----------
    folder : Path
        ``uplink`` of the state directory.
    data : bytes
        ``root.json``.
    sha256 : str
        What its hash must be, by another way than the file itself.

    Raises
    ------
    Refused
        ``no-root``, if it is another file or no root.
    UplinkError
        If the disk refuses.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.strip().lower():
        raise Refused("no-root", f"its SHA-256 is {found}, expected {sha256[:80]}")
    root = parse_root(data)
    write_whole(folder / GIVEN_ROOT, data)
    save_trust(folder, anchored(data))
    return root
