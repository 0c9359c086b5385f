"""Model packages on disk: installed beside the active one, activated in one step, rolled back.

One folder a model name::

    models/pump/4f2c...e1.zip     packages by id, at most `KEPT`
    models/pump/active            id of the active package, and before it the id to roll back to
    models/pump/notes             candidate, rejections and watch, see `edgead.registry.shelf`
    models/pump/progress          how far the trial of the candidate is, or the watch

`active` is replaced by a rename, so a device that loses power finds the old model or the new one, never half of
one.  A package reaches the folder only after its trial run.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from edgead.errors import ModelPackageError
from edgead.package import AnyManifest, Package, UnivariatePackage, open_package
from edgead.registry import notes
from edgead.registry.disk import make_folder, read_package_file, write_whole, writing
from edgead.registry.trial import run_trial
from edgead.shipped import shipped

__all__ = ["KEPT", "Damaged", "Installed", "Registry", "read_package_file"]

#: Packages kept of one model: the active one and the one before it (or a new one that waits).
KEPT = 2
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Installed(msgspec.Struct, frozen=True):
    """One package on the device.

    Attributes
    ----------
    manifest : AnyManifest
    active : bool
    size : int
        Bytes of the package.
    """

    manifest: AnyManifest
    active: bool
    size: int


class Damaged(msgspec.Struct, frozen=True):
    """One package on the device that no model can be made of.

    Attributes
    ----------
    name, id : str
        Of its folder and its file.
    active : bool
    reason : str
        In words.
    """

    name: str
    id: str
    active: bool
    reason: str


class Pointer(msgspec.Struct, frozen=True):
    """Content of the file ``active``: ids of the active package and of the one to roll back to."""

    active: str
    previous: str = ""


class Registry:
    """The installed models of one device.

    Parameters
    ----------
    directory : Path
        Created when missing.
    trial : callable, optional
        Runs a package's self-test or raises `ModelPackageError`; by default in a child process.
    """

    def __init__(self, directory: Path, *, trial: Callable[[bytes], None] = run_trial) -> None:
        self._directory = directory
        self._trial = trial

    def install(self, data: bytes) -> AnyManifest:
        """Verify and try a package, and put it beside the active one; the first of a name becomes active.

        Parameters
        ----------
        data : bytes
            The package.

        Returns
        -------
        AnyManifest

        Raises
        ------
        ModelPackageError
            With the reason; the device is as before.
        """
        manifest = open_package(data).manifest
        self._trial(data)
        return self._take(data, manifest)

    def _take(self, data: bytes, manifest: AnyManifest) -> AnyManifest:
        """Put a package that passed its trial beside the active one."""
        folder = self._folder(manifest.name)
        make_folder(folder)
        with writing(folder):
            write_whole(folder / f"{manifest.id}.zip", data)
            if not self.active_id(manifest.name):
                self._point(manifest.name, Pointer(manifest.id))
            self._prune(folder, newest=manifest.id)
        return manifest

    def activate(self, name: str, identity: str) -> AnyManifest:
        """Make an installed package the active one; the one before stays to roll back to.

        Parameters
        ----------
        name : str
            Of the model.
        identity : str
            Id of the package.

        Raises
        ------
        ModelPackageError
            If it is not installed, damaged on disk or fails its trial; the active model stays.
        """
        data = self._bytes(name, identity)
        manifest = named(open_package(data), name, identity)
        self._trial(data)
        with writing(self._folder(name)):
            before = self.active_id(name)
            if before != identity:
                self._point(name, Pointer(identity, before))
        return manifest

    def roll_back(self, name: str) -> AnyManifest:
        """Make the package that was active before the active one again.

        Parameters
        ----------
        name : str
            Of the model.

        Raises
        ------
        ModelPackageError
            If there is none, or it is damaged or fails its trial; the active model stays.
        """
        pointer = self._pointer(name)
        data = self._before(name, pointer)
        manifest = named(open_package(data), name, pointer.previous)
        self._trial(data)
        with writing(self._folder(name)):
            if self._pointer(name) != pointer:
                raise ModelPackageError(
                    f"{name}: another package became active meanwhile; look and ask again"
                )
            self._point(name, Pointer(pointer.previous, pointer.active))
        return manifest

    def _before(self, name: str, pointer: Pointer) -> bytes:
        """The package to roll back to."""
        if not pointer.previous:
            if not pointer.active or not stands_in(name):
                raise ModelPackageError(f"{name}: no package to roll back to")
            return shipped(name)
        return self._bytes(name, pointer.previous)

    def find(self, key: str) -> Installed:
        """The package with this id or beginning of an id, or the active one of this name.

        Raises
        ------
        ModelPackageError
            If there is none, or more than one.
        """
        packages = self.packages()
        found = [one for one in packages if one.active and one.manifest.name == key]
        found = found or [one for one in packages if key and one.manifest.id.startswith(key)]
        if len(found) != 1:
            known = ", ".join(f"{one.manifest.id} ({one.manifest.name})" for one in found or packages)
            raise ModelPackageError(
                f"{key!r}: {'more than one package' if found else 'not installed'}; there is {known or 'none'}"
            )
        return found[0]

    def active(self, name: str) -> Package:
        """The active package, verified again as it is read.

        Raises
        ------
        ModelPackageError
            If none is active or it is damaged on disk.
        """
        identity = self._pointer(name).active
        if not identity:
            raise ModelPackageError(f"{name}: no active package")
        package = open_package(self._bytes(name, identity))
        named(package, name, identity)
        return package

    def read(self, name: str, identity: str) -> bytes:
        """Bytes of an installed package, as they lie on disk.

        Raises
        ------
        ModelPackageError
            If it is not installed or cannot be read.
        """
        return self._bytes(name, identity)

    def is_whole(self, name: str, identity: str) -> bool:
        """Whether an installed package lies on disk as it came."""
        try:
            named(open_package(self._bytes(name, identity)), name, identity)
        except ModelPackageError:
            return False
        return True

    def packages(self) -> list[Installed]:
        """Readable packages, by name and then with the active one first; a damaged file is left out."""
        found = []
        for name in self.names():
            active = self.active_id(name)
            for path in sorted(self._folder(name).glob("*.zip"), key=lambda p: (p.stem != active, p.stem)):
                try:
                    data = self._bytes(name, path.stem)
                    manifest = named(open_package(data), name, path.stem)
                except ModelPackageError:
                    continue
                found.append(Installed(manifest, path.stem == active, len(data)))
        return found

    def damaged(self) -> list[Damaged]:
        """What `packages` leaves out, by name: files that cannot be read, and an active package that is gone."""
        found = []
        for name in self.names():
            active = self.active_id(name)
            paths = {path.stem for path in self._folder(name).glob("*.zip")} | ({active} if active else set())
            for identity in sorted(paths):
                try:
                    named(open_package(self._bytes(name, identity)), name, identity)
                except ModelPackageError as error:
                    found.append(Damaged(name, identity, identity == active, str(error)))
        return found

    def names(self) -> list[str]:
        """Names of the models that have a folder here."""
        return sorted(path.name for path in self._directory.glob("*/") if _NAME.fullmatch(path.name))

    def active_id(self, name: str) -> str:
        """Id of the active package of a model, unverified; "" when there is none, or the file that says so is damaged:
        the next installation or activation writes it anew.
        """
        with suppress(ModelPackageError):
            return self._pointer(name).active
        return ""

    def went_back(self, name: str) -> bool:
        """Whether no package is active because somebody went back to the shipped one."""
        with suppress(ModelPackageError):
            pointer = self._pointer(name)
            return not pointer.active and bool(pointer.previous)
        return False

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ModelPackageError(f"model name {name!r} is not a plain name")
        return self._directory / name

    def _bytes(self, name: str, identity: str) -> bytes:
        path = self._folder(name) / f"{identity}.zip"
        if not _NAME.fullmatch(identity):
            raise ModelPackageError(f"package id {identity!r} is not a plain name")
        if not path.exists():
            raise ModelPackageError(f"{name}: package {identity} is not installed")
        return read_package_file(path)

    def _pointer(self, name: str) -> Pointer:
        path = self._folder(name) / "active"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Pointer)
        except FileNotFoundError:
            return Pointer("")
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ModelPackageError(f"{path} cannot be read: {error}") from error

    def _point(self, name: str, pointer: Pointer) -> None:
        if pointer.active and not (self._folder(name) / f"{pointer.active}.zip").exists():
            raise ModelPackageError(f"{name}: package {pointer.active} was removed meanwhile")
        write_whole(self._folder(name) / "active", msgspec.json.encode(pointer))

    def _prune(self, folder: Path, *, newest: str) -> None:
        """Keep the active package, the newest, the previous one while there is room or an activation is watched, and
        the candidate; no half file stays.
        """
        pointer, noted = self._pointer(folder.name), notes.read_notes(folder)
        kept = list(dict.fromkeys(key for key in (pointer.active, newest, pointer.previous) if key))[:KEPT]
        if noted.candidate is not None:
            kept.append(noted.candidate.id)
        if noted.watch is not None and noted.watch.id == pointer.active:
            kept.append(noted.watch.previous)
        names = {f"{key}.zip" for key in kept} | {"active", notes.FILE, notes.PROGRESS}
        for path in folder.iterdir():
            if path.name not in names:
                with suppress(OSError):  # what stays harms nothing, and the next installation tries again
                    path.unlink()


def stands_in(name: str) -> bool:
    """Whether an installed model of this name takes the place of one that is at work without: a shipped network."""
    try:
        return isinstance(open_package(shipped(name)), UnivariatePackage)
    except ModelPackageError:
        return False


def named(package: Package, name: str, identity: str) -> AnyManifest:
    """The manifest of a package; ModelPackageError when it is not the one that was asked for ("" = the shipped one)."""
    manifest = package.manifest
    if manifest.name != name or (identity and manifest.id != identity):
        raise ModelPackageError(f"{name}: package {identity} says it is {manifest.name} {manifest.id}")
    return manifest
