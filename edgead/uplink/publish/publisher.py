"""Releases, rollouts and rotations: each command reads the repository, signs anew, and writes in an order that is
valid at every moment.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from tuf.api.metadata import Key, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from edgead.errors import UplinkError
from edgead.package import open_package
from edgead.uplink.publish.current import (
    Current,
    KeyState,
    RepositoryStatus,
    RoleStatus,
    behind,
    find,
    releases_of,
    verifies,
)
from edgead.uplink.publish.files import held
from edgead.uplink.publish.keys import Keyring
from edgead.uplink.publish.repository import Repository
from edgead.uplink.release import ALL_PPM, NAME, Release, Terms
from edgead.uplink.signed import DAYS, LASTS, ROLES, SIGNED_AT, show, signed_at


def _now() -> datetime:
    return datetime.now(UTC)


def create(
    folder: Path,
    keyring: Keyring,
    *,
    root_keys: Sequence[Key] | int = 3,
    root_threshold: int = 2,
    targets_keys: Sequence[Key] | int = 1,
    targets_threshold: int = 1,
    days: Mapping[str, int] = DAYS,
    now: Callable[[], datetime] = _now,
) -> bytes:
    """Make a repository, with new keys where a number is given.

    Parameters
    ----------
    folder : Path
        Made when missing; must not hold a repository.
    keyring : Keyring
        Where new keys go, and where those that sign the first root are.
    root_keys, targets_keys : sequence of Key, or int
        Public halves, or how many keys to make.
    root_threshold, targets_threshold : int
        How many of them must sign.
    days : mapping of str to int, optional
        How long a signature of each role lasts.
    now : callable, optional
        Time, UTC.

    Returns
    -------
    bytes
        The first root.json: what devices must be given.

    Raises
    ------
    UplinkError
        If there is a repository, or keys for the first signature are missing.
    """
    repository = Repository(folder)
    repository.make()
    with held(folder):
        if repository.exists:
            raise UplinkError(f"{folder}: there is a repository already")
        root = Root(
            consistent_snapshot=True, unrecognized_fields={LASTS: {role: days[role] for role in ROLES}}
        )
        wanted: dict[str, tuple[Sequence[Key] | int, int]] = {
            "root": (root_keys, root_threshold),
            "targets": (targets_keys, targets_threshold),
            "snapshot": (1, 1),
            "timestamp": (1, 1),
        }
        for role, (keys, threshold) in wanted.items():
            made = [keyring.create(role).public_key for _ in range(keys)] if isinstance(keys, int) else keys
            for key in made:
                root.add_key(key, role)
            root.roles[role].threshold = threshold
            _check_role(root, role)
        publisher = Publisher(folder, keyring, now=now)
        publisher._begin(root)
        return repository.root_bytes(1)


class Publisher:
    """A repository and the keys that can be reached now.

    Parameters
    ----------
    folder : Path
        Of the repository.
    keyring : Keyring
    now : callable, optional
        Time, UTC.
    """

    def __init__(self, folder: Path, keyring: Keyring, *, now: Callable[[], datetime] = _now) -> None:
        self._repository = Repository(folder)
        self._folder = folder
        self._keyring = keyring
        self._now = now

    def add(
        self,
        data: bytes,
        *,
        name: str = "",
        groups: Iterable[str] = (),
        share: float = 1.0,
        minimum_edgead: str = "",
    ) -> Release:
        """Release a model package, or with a name a config fragment.

        Parameters
        ----------
        data : bytes
            The package, verified here; or TOML.
        name : str, optional
            Of a config fragment; "" = `data` is a package.
        groups : iterable of str, optional
            Groups of devices; none = all.
        share : float, optional
            Part of the devices, above 0 and at most 1.
        minimum_edgead : str, optional
            Oldest edgead that may take it; "" = what the package says.

        Raises
        ------
        UplinkError, ModelPackageError
            If a device would refuse it, it is released already, or a key is missing; nothing has changed.
        """
        with held(self._folder):
            now = self._load()
            terms = _terms(data, name, now.targets.signed.version + 1, minimum_edgead)
            terms = _offered(terms, groups, share)
            suffix = ".zip" if terms.kind == "model" else ".toml"
            stem = f"{terms.name}-{terms.version}-{terms.id}" if terms.version else f"{terms.name}-{terms.id}"
            target = f"{'models' if terms.kind == 'model' else 'config'}/{stem}{suffix}"
            if target in now.targets.signed.targets:
                raise UplinkError(
                    f"{target} is released already; `edgead publish rollout` changes who gets it"
                )
            file = TargetFile.from_data(target, data, ["sha256"])
            file.unrecognized_fields["custom"] = msgspec.to_builtins(terms)
            self._signers(now.root.signed, "targets")  # before anything is written
            self._repository.write_target(target, file.hashes["sha256"], data)
            now.targets.signed.targets[target] = file
            self._release(now, targets=True)
            return Release(target, terms, file.length, file.hashes["sha256"])

    def rollout(
        self, target: str, *, share: float | None = None, groups: Iterable[str] | None = None
    ) -> Release:
        """Change who gets a release.

        Parameters
        ----------
        target : str
            Its path, or the name, version or id of one release.
        share : float, optional
            Above 0 and at most 1; a larger share holds all devices of a smaller one.
        groups : iterable of str, optional
            Groups instead of those it has.

        Raises
        ------
        UplinkError
            If there is none, more than one, or a key is missing.
        """
        with held(self._folder):
            now = self._load()
            release = find(now, target)
            terms = _offered(
                release.terms,
                release.terms.groups if groups is None else groups,
                release.terms.share_ppm / ALL_PPM if share is None else share,
            )
            now.targets.signed.targets[release.target].unrecognized_fields["custom"] = msgspec.to_builtins(
                terms
            )
            self._release(now, targets=True)
            return msgspec.structs.replace(release, terms=terms)

    def revoke(self, target: str) -> Release:
        """Take a release back: devices that have it go to the newest one left for them.

        Parameters
        ----------
        target : str
            As for `rollout`.

        Raises
        ------
        UplinkError
            If there is none, more than one, or a key is missing.
        """
        with held(self._folder):
            now = self._load()
            release = find(now, target)
            del now.targets.signed.targets[release.target]
            self._release(now, targets=True)
            return release

    def refresh(self) -> None:
        """Sign the timestamp anew, and what it names where that is needed: what the online keys are for.

        It releases targets that were signed elsewhere, signs the snapshot in the second half of its time, and
        completes a rotation that was cut short.

        Raises
        ------
        UplinkError
            If a key is missing.
        """
        with held(self._folder):
            now = self._load()
            root = now.root.signed
            targets, snapshot = (not verifies(root, role, now) for role in ("targets", "snapshot"))
            half = timedelta(days=self._days(root, "snapshot") / 2)
            snapshot = snapshot or behind(now) or now.snapshot.signed.expires - self._now() < half
            self._release(now, targets=targets, snapshot=snapshot)

    def rotate(
        self,
        role: str,
        *,
        add: Sequence[Key] = (),
        remove: Sequence[str] | None = None,
        threshold: int | None = None,
    ) -> list[str]:
        """Replace keys of a role by a new root.

        While the old keys are still there, everything is signed by both before the new root appears, so that no
        device meets metadata its root does not know, not even when this process dies in between.

        Parameters
        ----------
        role : str
            root, targets, snapshot or timestamp.
        add : sequence of Key, optional
            Public halves that were passed on; none = a new key is made for each one removed.
        remove : sequence of str, optional
            Ids (or their beginnings) of keys that must not sign any more; None = all the role has.
        threshold : int, optional
            How many keys must sign from now on.

        Returns
        -------
        list of str
            Ids of the role's keys now.

        Raises
        ------
        UplinkError
            If keys for the signatures are missing, or the threshold cannot be met.
        """
        if role not in ROLES:
            raise UplinkError(f"role {role!r}: expected one of {', '.join(ROLES)}")
        with held(self._folder):
            now = self._load()
            old = now.root.signed
            gone = _matching(old, role, remove)
            self._signers(old, "root")  # before a key is made
            made = list(add) or [self._keyring.create(role).public_key for _ in gone]
            new = _changed(old, role, made, gone, threshold)
            self._sign_over(now, old, new, role)
            return list(new.roles[role].keyids)

    def status(self) -> RepositoryStatus:
        """What the repository holds, who may sign, and what ends soon."""
        now = self._load()
        roles, notes = [], []
        for role in ROLES:
            signed = getattr(now, role).signed
            keys = now.root.signed.roles[role]
            left = (signed.expires - self._now()).total_seconds() / 86_400
            here = {signer.public_key.keyid for signer in self._keyring.signers(keys.keyids)}
            states = [KeyState(keyid, keyid in here) for keyid in keys.keyids]
            roles.append(
                RoleStatus(role, signed.version, show(signed.expires), round(left, 2), keys.threshold, states)
            )
            if not verifies(now.root.signed, role, now):
                notes.append(
                    f"{role} is not signed by its keys: edgead publish refresh completes the rotation"
                )
            if role == "targets" and behind(now):
                notes.append(f"targets {signed.version} is signed but not released: edgead publish refresh")
            if left < self._days(now.root.signed, role) / 3:
                notes.append(
                    f"{role} {'has ended' if left < 0 else 'ends'} on {show(signed.expires)}: {_remedy(role)}"
                )
        releases = sorted(releases_of(now), key=lambda release: -release.terms.release)
        return RepositoryStatus(roles, releases, notes)

    def _begin(self, root: Root) -> None:
        """First metadata of a repository."""
        first = Current(Metadata(root), Metadata(Targets()), Metadata(Snapshot()), Metadata(Timestamp()))
        for role in ("targets", "snapshot", "timestamp"):
            self._signers(root, role)
        data = self._sign(root, first.root)
        self._write_down(first, (root,), ("targets", "snapshot", "timestamp"))
        self._repository.write(first.root, data)

    def _load(self) -> Current:
        repository = self._repository
        root, timestamp = repository.root(), repository.timestamp()
        snapshot = repository.snapshot(timestamp.signed.snapshot_meta.version)
        released = snapshot.signed.meta["targets.json"].version
        now = Current(root, repository.targets(released), snapshot, timestamp)
        for version in repository.targets_versions(above=released):  # signed elsewhere, not released yet
            newer = Current(root, repository.targets(version), snapshot, timestamp)
            now = newer if verifies(root.signed, "targets", newer) else now
        latest = max(
            filter(None, (signed_at(getattr(now, role).signed) for role in ROLES)), default=self._now()
        )
        if self._now() < latest - timedelta(minutes=5):
            raise UplinkError(
                f"this machine's clock says {show(self._now())}, and the repository was signed at {show(latest)}: "
                "set the clock"
            )
        return now

    def _release(self, now: Current, *, targets: bool = False, snapshot: bool = True) -> None:
        """Sign anew what changed and what names it; without online keys, the targets alone."""
        if targets and not all(self._reachable(now.root.signed, role) for role in ("snapshot", "timestamp")):
            now.targets.signed.version += 1
            self._repository.write(now.targets, self._sign(now.root.signed, now.targets))
            return
        roles = (
            (("targets",) if targets else ())
            + (("snapshot",) if targets or snapshot else ())
            + ("timestamp",)
        )
        for role in roles:
            getattr(now, role).signed.version += 1
        self._write_down(now, (now.root.signed,), roles)

    def _sign_over(self, now: Current, old: Root, new: Root, role: str) -> None:
        """From one root to the next: what it changes is signed for both, then the root appears, then the rest."""
        metadata = Metadata(new)
        data = self._sign(new, metadata, also=old)
        below = (
            ()
            if role == "root"
            else {"targets": ("targets", "snapshot", "timestamp")}.get(role, ("snapshot", "timestamp"))
        )
        both = bool(below) and all(self._reachable(old, each) for each in below)
        for each in below:
            self._signers(new, each)
            getattr(now, each).signed.version += 1
        if both:
            self._write_down(now, (old, new), below)
        self._repository.write(metadata, data)
        if below and not both:
            self._write_down(now, (new,), below)

    def _write_down(self, now: Current, roots: Sequence[Root], roles: Sequence[str]) -> None:
        """Sign and write these roles in the order that keeps the repository valid, each naming the one before."""
        if "targets" in roles:
            data = self._sign(roots[-1], now.targets, also=roots[0])
            self._repository.write(now.targets, data)
        if "snapshot" in roles:
            version = now.targets.signed.version
            now.snapshot.signed.meta["targets.json"] = _named(
                version, self._repository.targets_bytes(version)
            )
            data = self._sign(roots[-1], now.snapshot, also=roots[0])
            self._repository.write(now.snapshot, data)
            now.timestamp.signed.snapshot_meta = _named(now.snapshot.signed.version, data)
        if "timestamp" in roles:
            self._repository.write(now.timestamp, self._sign(roots[-1], now.timestamp, also=roots[0]))

    def _sign(self, root: Root, metadata: Metadata[Any], *, also: Root | None = None) -> bytes:
        """Sign with every key of the role that is here, for one root or for two."""
        signed, now = metadata.signed, self._now().replace(microsecond=0)
        role = signed.type
        signed.unrecognized_fields[SIGNED_AT] = show(now)
        signed.expires = now + timedelta(days=self._days(root, role))
        signers = self._signers(root, role)
        if also is not None and also is not root:
            signers += self._signers(also, role)
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def _signers(self, root: Root, role: str) -> list[Any]:
        keys = root.roles[role]
        found = self._keyring.signers(keys.keyids)
        if len(found) < keys.threshold:
            wanted = ", ".join(keyid[:8] for keyid in keys.keyids)
            places = ", ".join(map(str, self._keyring.folders))
            raise UplinkError(
                f"{role} needs {keys.threshold} of the keys {wanted}, and {len(found)} of them lie in {places}"
            )
        return found

    def _reachable(self, root: Root, role: str) -> bool:
        keys = root.roles[role]
        return len(self._keyring.signers(keys.keyids)) >= keys.threshold

    def _days(self, root: Root, role: str) -> int:
        days = root.unrecognized_fields.get(LASTS, {})
        return int(days.get(role, DAYS[role])) if isinstance(days, dict) else DAYS[role]


def _named(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


def _check_role(root: Root, role: str) -> None:
    count, threshold = len(root.roles[role].keyids), root.roles[role].threshold
    if not 1 <= threshold <= count:
        raise UplinkError(f"{role}: threshold {threshold}: expected 1 to {count}, the number of its keys")


def _matching(root: Root, role: str, beginnings: Sequence[str] | None) -> list[str]:
    """The keys of a role with these beginnings of their ids; None = all."""
    keyids = root.roles[role].keyids
    if beginnings is None:
        return list(keyids)
    found = []
    for beginning in beginnings:
        hits = [keyid for keyid in keyids if beginning and keyid.startswith(beginning)]
        if len(hits) != 1:
            known = ", ".join(keyid[:8] for keyid in keyids)
            raise UplinkError(f"key {beginning!r}: expected the beginning of one of {known}")
        found += hits
    return found


def _changed(old: Root, role: str, add: Sequence[Key], gone: Sequence[str], threshold: int | None) -> Root:
    """The next root."""
    new = Metadata[Root].from_bytes(Metadata(old).to_bytes()).signed
    new.version += 1
    for key in add:
        new.add_key(key, role)
    for keyid in gone:
        new.revoke_key(keyid, role)
    if threshold is not None:
        new.roles[role].threshold = threshold
    _check_role(new, role)
    return new


def _terms(data: bytes, name: str, release: int, minimum_edgead: str) -> Terms:
    if not name:
        manifest = open_package(data).manifest
        return Terms(
            kind="model",
            name=manifest.name,
            id=manifest.id,
            release=release,
            version=manifest.version,
            minimum_edgead=minimum_edgead or manifest.minimum_edgead,
        )
    if not NAME.fullmatch(name):
        raise UplinkError(f"name {name!r}: expected 1 to 64 of letters, digits, _ . -")
    digest = hashlib.sha256(data).hexdigest()[:16]
    return Terms(
        kind="config", name=name, id=digest, release=release, minimum_edgead=minimum_edgead or "0.0.0"
    )


def _offered(terms: Terms, groups: Iterable[str], share: float) -> Terms:
    groups = sorted(set(groups))
    for group in groups:
        if not NAME.fullmatch(group):
            raise UplinkError(f"group {group!r}: expected 1 to 64 of letters, digits, _ . -")
    if not 0 < share <= 1:
        raise UplinkError(
            f"share {share:g}: expected more than 0 % and at most 100 %; revoke takes a release back"
        )
    return msgspec.structs.replace(terms, groups=groups, share_ppm=max(1, round(share * ALL_PPM)))


def _remedy(role: str) -> str:
    if role in ("snapshot", "timestamp"):
        return "edgead publish refresh"
    return "edgead publish rollout" if role == "targets" else "edgead publish rotate root"
