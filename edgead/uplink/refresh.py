"""From what a device trusts to what the repository says now, or why it is not believed.

python-tuf does the work of the TUF specification.  Around it: its files live for this time only, a floor under the
clock is checked, jumps of the versions are bounded, and each of its exceptions gets a name.
"""

import contextlib
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Signed, TargetFile, Targets
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater, UpdaterConfig

from edgead.errors import UplinkError
from edgead.uplink.fetch import BASE, Fetcher
from edgead.uplink.reasons import Reason, Refused, Unreachable
from edgead.uplink.signed import ROLES, show, signed_at
from edgead.uplink.trust import MAX_ROOT_BYTES, Trust, parse_root

#: How far a version may rise from one sync to the next: a timestamp every ten minutes for nearly two years.
MAX_STEP = 100_000
#: Roots taken in one refresh; a device that slept longer goes on at its next one.
MAX_ROOTS = 64
MAX_TARGETS_BYTES = 5_000_000
#: What signed nonsense (a stolen key signs anything) makes of code that trusts its types.
_ODD = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
_ENDED = re.compile(r"(root|timestamp|snapshot|targets)\b")


class Session:
    """One look at the repository.

    Parameters
    ----------
    trust : Trust
        What this device trusts.
    fetcher : Fetcher
    work : Path
        Folder for python-tuf's files; emptied before and after.
    now : datetime
        This device's clock, UTC.

    Attributes
    ----------
    trust : Trust
        After `refresh`, what is to be trusted from now on; after a refusal, with the newest verified root.
    """

    def __init__(self, trust: Trust, fetcher: Fetcher, work: Path, *, now: datetime) -> None:
        self.trust = trust
        self._before = trust
        self._fetcher = fetcher
        self._work = work
        self._now = now
        self._updater: Updater | None = None

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._work, ignore_errors=True)

    def refresh(self) -> Targets:
        """Bring the metadata up to date.

        Raises
        ------
        Refused
            With the reason.
        Unreachable
            If it could not be read.
        UplinkError
            If the disk refuses.
        """
        self._lay_out()
        try:
            with self._told():
                self._updater = Updater(
                    str(self._work),
                    f"{BASE}metadata/",
                    target_base_url=f"{BASE}targets/",
                    fetcher=self._fetcher,
                    config=UpdaterConfig(
                        max_root_rotations=MAX_ROOTS,
                        root_max_length=MAX_ROOT_BYTES,
                        targets_max_length=MAX_TARGETS_BYTES,
                    ),
                    bootstrap=self.trust.root.encode(),
                )
                self._updater.refresh()
                new = self._taken()
                self._check(new)
        except (Refused, Unreachable):
            self._keep_root()
            raise
        self.trust = new
        targets = new.parsed()["targets"]
        assert isinstance(targets, Targets)
        return targets

    def download(self, target: str, path: Path) -> bytes:
        """A target, verified.

        Parameters
        ----------
        target : str
            Its path in the repository.
        path : Path
            File to use meanwhile.

        Raises
        ------
        Refused, Unreachable, UplinkError
            As `refresh`.
        """
        assert self._updater is not None
        with self._told(target):
            info = self._updater.get_targetinfo(target)
            assert info is not None
            name = f"targets/{next(iter(info.get_prefixed_paths()))}"
            again = self._fetcher.started(name)
            try:
                return self._whole(info, path)
            except LengthOrHashMismatchError:
                self._fetcher.forget(name)
                if not again:
                    raise
            # the part that lay here may be what a power cut left of it: once more from the beginning
            try:
                return self._whole(info, path)
            except LengthOrHashMismatchError:
                self._fetcher.forget(name)
                raise
        raise AssertionError("unreachable")

    def _whole(self, info: TargetFile, path: Path) -> bytes:
        assert self._updater is not None
        self._updater.download_target(info, str(path))
        return path.read_bytes()

    def _lay_out(self) -> None:
        """python-tuf's files, as it would have left them."""
        try:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir(mode=0o700)
            for role in ROLES[1:]:
                if text := getattr(self.trust, role):
                    (self._work / f"{role}.json").write_text(text, encoding="utf-8")
        except OSError as error:
            raise UplinkError(f"{self._work} cannot be written: {error.strerror}") from error

    def _taken(self) -> Trust:
        """What python-tuf verified."""
        texts = {role: (self._work / f"{role}.json").read_text(encoding="utf-8") for role in ROLES}
        return replace(self._rooted(texts["root"]), **{role: texts[role] for role in ROLES[1:]})

    def _rooted(self, root: str) -> Trust:
        if root == self._before.root:
            return self._before
        chain = [
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(
                (self._work / "root_history").iterdir(), key=lambda path: int(path.name.split(".")[0])
            )
        ]
        return replace(self._before, root=root, anchors=tuple(dict.fromkeys([*self._before.anchors, *chain])))

    def _keep_root(self) -> None:
        """A root that is newer was signed by the old one's keys: it counts, whatever else was wrong."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            trust = self._rooted((self._work / "root.json").read_text(encoding="utf-8"))
            if trust.root != self._before.root:
                self.trust = trust

    def _check(self, new: Trust) -> None:
        """What TUF leaves to us: a clock that may be wrong, and jumps that would lock out what follows."""
        old, roles = self._before_under(new), new.parsed()
        floor = max([new.floor(), *filter(None, map(signed_at, old.values()))])
        root_ends = roles["root"].expires
        for role in ROLES:
            signed = roles[role]
            if signed.expires <= floor:
                reason: Reason = "freeze" if role == "timestamp" else "expired"
                raise Refused(
                    reason,
                    f"{role} ended on {show(signed.expires)}, and something was signed on {show(floor)} already",
                    f"{role}.json",
                )
            when = signed_at(signed)
            if when is not None and when > min(signed.expires, root_ends):
                raise Refused(
                    "bad-metadata",
                    f"{role} says it was signed on {show(when)}, after its end",
                    f"{role}.json",
                )
            if role in old and role != "root" and signed.version > old[role].version + MAX_STEP:
                raise Refused(
                    "fast-forward",
                    f"{role} went from version {old[role].version} to {signed.version}",
                    f"{role}.json",
                )

    def _before_under(self, new: Trust) -> Mapping[str, Signed]:
        """What was trusted before, as far as the new root's keys still vouch for it."""
        return replace(self._before, root=new.root).parsed()

    @contextlib.contextmanager
    def _told(self, target: str = "") -> Iterator[None]:
        """Exceptions of python-tuf, each by its name."""
        try:
            yield
        except DownloadHTTPError as error:
            raise Unreachable(str(error)) from error
        except DownloadError as error:
            raise Unreachable(f"{self._fetcher.role}: {error.__cause__ or error}") from error
        except OSError as error:
            raise UplinkError(
                f"{error.filename or self._work} cannot be written: {error.strerror}"
            ) from error
        except (RepositoryError, DeserializationError, *_ODD) as error:
            reason = _target_reason(error) if target else self._reason(error)
            ended = _ENDED.search(str(error)) if isinstance(error, ExpiredMetadataError) else None
            file = target or (f"{ended[1]}.json" if ended else self._fetcher.role)
            raise Refused(reason, f"{file}: {' '.join(str(error).split())[:300]}", file) from error

    def _reason(self, error: Exception) -> Reason:
        """The name of what python-tuf refuses about metadata."""
        role = self._fetcher.role.removesuffix(".json").rpartition(".")[2]
        if isinstance(error, ExpiredMetadataError):
            return "freeze" if "timestamp" in str(error) else "expired"
        if isinstance(error, UnsignedMetadataError):
            return self._signature_reason(role) or "unknown-key"
        if isinstance(error, LengthOrHashMismatchError):  # what came was signed once, or never
            return "changed-bytes" if self._signature_reason(role) else "mix-and-match"
        if isinstance(error, BadVersionNumberError):
            return "rollback" if role == "timestamp" or self._older(role) else "mix-and-match"
        if isinstance(error, RepositoryError) and "missing info" in str(error):
            return "rollback"
        return "bad-metadata"

    def _signature_reason(self, role: str) -> Reason | None:
        """What is wrong with the signatures of the metadata read last; None = nothing."""
        try:
            root = parse_root((self._work / "root.json").read_bytes())
            metadata: Metadata[Any] = Metadata.from_bytes(self._fetcher.metadata)
            roots = [root, metadata.signed] if isinstance(metadata.signed, Root) else [root]
            results = [
                each.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
                for each in roots
            ]
        except (OSError, Refused, DeserializationError, RepositoryError, ValueError):
            return "changed-bytes"
        if all(results):
            return None
        if all(result.signed for result in results):
            return "below-threshold"
        known = root.roles[role].keyids
        return "changed-bytes" if any(keyid in known for keyid in metadata.signatures) else "unknown-key"

    def _older(self, role: str) -> bool:
        """Whether the snapshot that came knows of less than the one there was."""
        with contextlib.suppress(DeserializationError, RepositoryError, ValueError, Refused):
            came: Metadata[Any] = Metadata.from_bytes(self._fetcher.metadata)
            old = self._before.parsed().get(role)
            return old is not None and came.signed.version <= old.version
        return False


def _target_reason(error: Exception) -> Reason:
    if isinstance(error, LengthOrHashMismatchError):
        return "wrong-length" if "length" in str(error) else "changed-bytes"
    return "bad-metadata"
