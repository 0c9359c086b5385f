"""Packages that come by themselves: they wait as candidates until somebody accepts or rejects them.

A candidate was verified and tried and lies beside the active package.  It is accepted by the same rename as every
activation, so a cut anywhere leaves the old model active or the new one.  What was rejected, or rolled back, is
remembered by its id and not taken again.
"""

import hashlib
from contextlib import suppress

from msgspec.structs import replace

from edgead.errors import ModelPackageError
from edgead.package import AnyManifest, open_package
from edgead.registry import Pointer, Registry, named, stands_in
from edgead.registry.disk import make_folder, write_whole, writing
from edgead.registry.notes import (
    PROGRESS,
    REJECTIONS_KEPT,
    Candidate,
    Notes,
    Progress,
    Rejection,
    Watch,
    read_notes,
    read_progress,
    write_notes,
    write_progress,
)

__all__ = ["Candidate", "Progress", "Rejection", "Shelf", "Watch"]


class Shelf(Registry):
    """A `Registry` with candidates."""

    # ------------------------------------------------------------------ candidates

    def propose(self, data: bytes, *, note: str = "") -> AnyManifest:
        """Verify and try a package, and leave it waiting as the candidate of its name.

        The first package of a name becomes active, since there is nothing to compare it with, unless a shipped one of
        the name is at work.  Nothing changes for one that is active or waiting already.  A candidate that waits is
        replaced.

        Parameters
        ----------
        data : bytes
            The package.
        note : str
            Where it came from, in words.

        Raises
        ------
        ModelPackageError
            With the reason; the device is as before.
        """
        manifest = open_package(data).manifest
        name, identity = manifest.name, manifest.id
        folder = self._folder(name)
        notes, active = read_notes(folder), self.active_id(name)
        for rejection in notes.rejected:
            if rejection.id == identity:
                raise ModelPackageError(f"{name} {manifest.version} was rejected here: {rejection.reason}")
        if identity == active or (notes.candidate is not None and identity == notes.candidate.id):
            return manifest
        self._trial(data)
        if not active and not stands_in(name):
            return self._take(data, manifest)
        make_folder(folder)
        with writing(folder):
            write_whole(folder / f"{identity}.zip", data)
            digest = hashlib.sha256(data).hexdigest()
            candidate = Candidate(name=name, version=manifest.version, id=identity, sha256=digest, note=note)
            write_notes(folder, replace(read_notes(folder), candidate=candidate))
            if not active:
                self._point(name, Pointer("", self._previous(name)))  # it may be damaged
            self._prune(folder, newest=active)
        return manifest

    def _previous(self, name: str) -> str:
        with suppress(ModelPackageError):
            return self._pointer(name).previous
        return ""

    def mend(self, data: bytes) -> AnyManifest:
        """Put a package in the place of its damaged self, the active one or the one that waits.

        Raises
        ------
        ModelPackageError
            With the reason; the device is as before.
        """
        manifest = open_package(data).manifest
        self._trial(data)
        folder = self._folder(manifest.name)
        with writing(folder):
            write_whole(folder / f"{manifest.id}.zip", data)
        return manifest

    def candidates(self) -> list[Candidate]:
        """What waits, by name."""
        found = []
        for name in self.names():
            candidate = read_notes(self._folder(name)).candidate
            if candidate is not None and candidate.id != self.active_id(name):
                found.append(candidate)
        return found

    def accept(self, name: str, identity: str, *, watch: Watch | None = None) -> AnyManifest:
        """Make the candidate the active package; the one before stays to roll back to.

        Parameters
        ----------
        name, identity : str
            Of the candidate.
        watch : Watch, optional
            Written down before the package becomes active.

        Raises
        ------
        ModelPackageError
            If it does not wait, or is damaged on disk; the active model stays.
        """
        folder = self._folder(name)
        self._need_candidate(name, identity)
        manifest = named(open_package(self._bytes(name, identity)), name, identity)
        with writing(folder):
            notes, before = self._need_candidate(name, identity), self.active_id(name)
            if watch is not None:
                write_notes(folder, replace(notes, watch=watch))
            if before != identity:
                self._point(name, Pointer(identity, before))
            write_notes(folder, replace(notes, candidate=None, watch=watch))
        return manifest

    def _need_candidate(self, name: str, identity: str) -> Notes:
        """The notes of a model for which this package waits."""
        notes = read_notes(self._folder(name))
        if notes.candidate is None or notes.candidate.id != identity:
            raise ModelPackageError(f"{name}: package {identity} does not wait")
        return notes

    def reject(self, name: str, identity: str, reason: str, *, at_ns: int = 0) -> None:
        """Forget a candidate, and do not take it again.

        Raises
        ------
        ModelPackageError
            If the disk refuses to remember it.
        """
        folder = self._folder(name)
        with writing(folder):
            notes = read_notes(folder)
            if notes.candidate is None or notes.candidate.id != identity:
                return
            rejection = Rejection(id=identity, version=notes.candidate.version, reason=reason, at_ns=at_ns)
            watch = notes.watch if notes.watch is not None and notes.watch.id != identity else None
            write_notes(folder, replace(_rejecting(notes, rejection), candidate=None, watch=watch))
            self._prune(folder, newest=self._pointer(name).active)

    def forget(self, name: str, identity: str) -> None:
        """Forget a candidate that nobody judged; it may come again.

        Raises
        ------
        ModelPackageError
            If the disk refuses.
        """
        folder = self._folder(name)
        with writing(folder):
            notes = read_notes(folder)
            if notes.candidate is not None and notes.candidate.id == identity:
                write_notes(folder, replace(notes, candidate=None))
                self._prune(folder, newest=self._pointer(name).active)

    def rejections(self, name: str) -> tuple[Rejection, ...]:
        """What was rejected or rolled back of a model, newest first."""
        return read_notes(self._folder(name)).rejected

    def forgive(self, name: str) -> None:
        """Take what was rejected of a model again: somebody asked for it."""
        folder = self._folder(name)
        if read_notes(folder).rejected:
            with writing(folder):
                write_notes(folder, replace(read_notes(folder), rejected=()))

    # ------------------------------------------------------------------ after an activation

    def withdraw(self, name: str, reason: str, *, at_ns: int = 0) -> AnyManifest:
        """Make the package before the active one active again, and do not take the present one again.

        Without another trial: it was at work here.

        Raises
        ------
        ModelPackageError
            If there is none, or it is damaged; the active model stays.
        """
        pointer = self._pointer(name)
        manifest = named(open_package(self._before(name, pointer)), name, pointer.previous)
        version = self._version(name, pointer.active)
        folder = self._folder(name)
        with writing(folder):
            rejection = Rejection(id=pointer.active, version=version, reason=reason, at_ns=at_ns)
            # first, and the watch stays until then: after a cut or a full disk it is tried again, and remembered
            write_notes(folder, _rejecting(read_notes(folder), rejection))
            self._point(name, Pointer(pointer.previous))
            with suppress(ModelPackageError):  # over what is not active a watch says nothing
                write_notes(folder, replace(read_notes(folder), watch=None))
            self._prune(folder, newest=pointer.previous)
        return manifest

    def _version(self, name: str, identity: str) -> str:
        """Of a package that may be why this is asked: damaged, or gone."""
        with suppress(ModelPackageError):
            return open_package(self._bytes(name, identity)).manifest.version
        return ""

    def watch(self, name: str) -> Watch | None:
        """The watch over the active package of a model, or over its candidate; None when there is none."""
        notes = read_notes(self._folder(name))
        watched = {self.active_id(name), notes.candidate.id if notes.candidate is not None else ""}
        return notes.watch if notes.watch is not None and notes.watch.id in watched else None

    def note(self, name: str, watch: Watch | None) -> None:
        """Write down how the watch over a model stands; None ends it.

        Raises
        ------
        ModelPackageError
            If the disk refuses.
        """
        folder = self._folder(name)
        with writing(folder):
            write_notes(folder, replace(read_notes(folder), watch=watch))

    def progress(self, name: str) -> Progress | None:
        """How far the trial of a model is, as far as it was written down; None where nothing was.

        Raises
        ------
        ModelPackageError
            If that is damaged.
        """
        return read_progress(self._folder(name))

    def keep(self, name: str, progress: Progress) -> None:
        """Write down how far the trial of a model is.

        Raises
        ------
        ModelPackageError
            If the disk refuses.
        """
        folder = self._folder(name)
        with writing(folder):
            write_progress(folder, progress)

    def end_progress(self, name: str) -> None:
        """The trial of a model is over; what stays on a disk that refuses is of no other package."""
        with suppress(OSError):
            (self._folder(name) / PROGRESS).unlink()


def _rejecting(notes: Notes, rejection: Rejection) -> Notes:
    others = [each for each in notes.rejected if each.id != rejection.id]
    return replace(notes, rejected=tuple([rejection, *others][:REJECTIONS_KEPT]))
