"""One sync: refresh what is trusted, choose, download, verify, try, hand over.

A cut anywhere leaves the device with the model it had, or the new one.  Order: what is trusted is on the disk before a
target is asked for; a package is on the shelf before the record says so, and one that is there is not fetched again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from msgspec.structs import replace
from tuf.api.metadata import Targets

from edgead.config import UplinkConfig
from edgead.errors import ConfigError, ModelPackageError, UplinkError
from edgead.package import AnyManifest, open_package
from edgead.package.archive import MAX_PACKAGE_BYTES
from edgead.uplink.disk import alone, folder_in
from edgead.uplink.fetch import Fetcher
from edgead.uplink.reasons import Refusal, Refused, Unreachable
from edgead.uplink.record import (
    DETAIL_CHARS,
    LEFT_TOLD,
    REFUSALS_KEPT,
    RETRY_S,
    TARGET_CHARS,
    State,
    Taken,
    read_record,
    write_record,
)
from edgead.uplink.refresh import Session
from edgead.uplink.release import TARGET, Device, Release, chosen, not_for, read_release
from edgead.uplink.signed import show
from edgead.uplink.sources import FolderSource, Source, WebSource
from edgead.uplink.trust import Trust, load_trust, save_trust
from edgead.uplink.web import Web

#: Seconds for all metadata of one sync.
REFRESH_S = 60.0
#: Bytes of a config fragment.
MAX_FRAGMENT_BYTES = 256 * 1024
EXIT_CODES: dict[State, int] = {"refused": 3, "unreachable": 4, "failed": 1}


class _Waiting(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def note(self) -> str: ...


class Shelf(Protocol):
    """Where models go: `edgead.registry.shelf.Shelf`."""

    def propose(self, data: bytes, *, note: str = "") -> AnyManifest:
        """Verify, try, and leave waiting; the first of a name becomes active."""

    def is_whole(self, name: str, identity: str) -> bool:
        """Whether a package lies there as it came."""

    def mend(self, data: bytes) -> AnyManifest:
        """Verify, try, and put it in the place of its damaged self."""

    def candidates(self) -> Sequence[_Waiting]:
        """What waits."""

    def accept(self, name: str, identity: str) -> object:
        """Make what waits active."""

    def forget(self, name: str, identity: str) -> None:
        """Forget what waits; it may come again."""

    def rejections(self, name: str) -> Sequence[object]:
        """What this device turned down."""

    def active_id(self, name: str) -> str:
        """Id of the active package, or ""."""

    def went_back(self, name: str) -> bool:
        """Whether none is active because somebody went back to the shipped one."""


class Fragments(Protocol):
    """Where config fragments go: `edgead.uplink.fragments.FragmentFolder`."""

    def take(self, name: str, data: bytes) -> None:
        """Check a fragment against the device's own file, and put it beside."""

    def id_of(self, name: str) -> str:
        """Id of the fragment there is, or ""."""

    def keep(self, names: set[str]) -> None:
        """Remove the others."""


class SyncOutcome(msgspec.Struct, frozen=True):
    """How a sync ended.

    Attributes
    ----------
    state : str
        ``current`` nothing new, ``offered``, ``installed``, ``refused``, ``unreachable``.
    detail : str
        A sentence.
    taken : list of Taken
    refused : list of Refusal
    expired : bool
        Whether what is trusted has ended: models keep running, new ones do not come.
    versions : dict of str to int
        Of the roles that are trusted now.
    requests, received : int
        Asked of the network, and bytes that came as bodies.
    took_s : float
    """

    state: State
    detail: str
    taken: list[Taken]
    refused: list[Refusal]
    expired: bool
    versions: dict[str, int]
    requests: int
    received: int
    took_s: float

    @property
    def exit_code(self) -> int:
        """0 nothing new or taken, 3 refused, 4 unreachable."""
        return EXIT_CODES.get(self.state, 0)


def _silent(sentence: str) -> None:
    """Nobody watches."""


def run_sync(
    config: UplinkConfig,
    shelf: Shelf,
    *,
    device: str,
    state_dir: Path,
    activate: bool,
    source: Path | None = None,
    only: str = "",
    fragments: Fragments | None = None,
    now: Callable[[], float] = time.time,
    progress: Callable[[str], None] = _silent,
    refresh_s: float = REFRESH_S,
) -> SyncOutcome:
    """Bring this device's models up to date with the repository, once.

    Parameters
    ----------
    config : UplinkConfig
        Where the repository lies, and how to get there.
    shelf : Shelf
        Takes the models.
    device : str
        Id of this device.
    state_dir : Path
        Its state directory.
    activate : bool
        Make new models active at once; otherwise they wait for the agent's shadow run.
    source : Path, optional
        A folder with the repository, in place of the network.
    only : str, optional
        Name of the one model wanted, whatever the share of its rollout.
    fragments : Fragments, optional
        Takes config fragments; without it they are left alone.
    now : callable, optional
        This device's clock, epoch seconds; believed no further than the newest signed time.
    progress : callable, optional
        Gets a sentence now and then.
    refresh_s : float, optional
        Seconds for all metadata.

    Returns
    -------
    SyncOutcome
        Also when the network or the repository failed.

    Raises
    ------
    UplinkError
        For what is wrong on this device: a full disk, another sync running, no address in the configuration.
    """
    if source is None and not config.models_url:
        raise UplinkError("no address: [uplink] url or repository in the configuration, or --from DIR")
    with alone(folder_in(state_dir)):
        sync = _Sync(config, shelf, device, state_dir, activate, only, fragments, now, progress)
        return sync.run(source, refresh_s)


@contextmanager
def _opened(config: UplinkConfig, folder: Path | None) -> Iterator[Source]:
    """The repository, and its connections closed afterwards."""
    if folder is not None:
        yield FolderSource(folder)
        return
    web = Web(config)
    try:
        yield WebSource(web, config.models_url)
    finally:
        web.close()


class _Sync:
    """The steps of one sync and what they leave behind."""

    def __init__(
        self,
        config: UplinkConfig,
        shelf: Shelf,
        device: str,
        state_dir: Path,
        activate: bool,
        only: str,
        fragments: Fragments | None,
        now: Callable[[], float],
        progress: Callable[[str], None],
    ) -> None:
        self._config = config
        self._shelf = shelf
        self._device = Device(device, config.group)
        self._state_dir = state_dir
        self._folder = folder_in(state_dir)
        self._activate = activate
        self._only = only
        self._fragments = fragments
        self._now = now
        self._progress = progress
        self._record = read_record(state_dir)
        self._trust: Trust | None = None
        self._taken: list[Taken] = []
        self._refused: list[Refusal] = []
        self._unreachable = ""
        self._requests = self._received = 0

    def run(self, folder: Path | None, refresh_s: float) -> SyncOutcome:
        """All steps; the record tells how they ended, whatever happens."""
        began = time.monotonic()
        where = str(folder or self._config.models_url)
        self._record = replace(self._record, attempt_ms=self._now_ms(), source=where)
        try:
            with _opened(self._config, folder) as source:
                try:
                    self._steps(source, refresh_s)
                finally:
                    self._requests, self._received = source.requests, source.received
        except Refused as error:
            self._refuse(error)
        except Unreachable as error:
            self._unreachable = str(error)
        except UplinkError as error:
            with suppress(UplinkError):  # the disk may be what failed
                write_record(self._state_dir, replace(self._record, state="failed", detail=str(error)))
            raise
        state, detail = self._end()
        self._write(state, detail)
        return SyncOutcome(
            state=state,
            detail=detail,
            taken=self._taken,
            refused=self._refused,
            expired=any(end <= show(self._clock()) for end in self._record.ends.values()),
            versions=self._record.versions,
            requests=self._requests,
            received=self._received,
            took_s=round(time.monotonic() - began, 3),
        )

    def _steps(self, source: Source, refresh_s: float) -> None:
        trust = self._trust = load_trust(self._folder, self._config.root)
        fetcher = Fetcher(
            source, self._folder / "partial", refresh_s=refresh_s, bandwidth=self._config.bandwidth
        )
        session = Session(trust, fetcher, self._folder / "work", now=self._clock())
        try:
            self._progress("refreshing what is trusted")
            try:
                targets = session.refresh()
            finally:
                if session.trust is not trust:
                    save_trust(self._folder, session.trust)
                    self._trust = session.trust
            rooted = [each for each in self._record.refused if each.reason != "no-root"]  # there is one now
            self._record = replace(self._record, success_ms=self._now_ms(), refused=rooted)
            self._take_all(targets, session, fetcher)
        finally:
            session.close()

    def _take_all(self, targets: Targets, session: Session, fetcher: Fetcher) -> None:
        releases = []
        for path, file in targets.targets.items():
            read = read_release(path, file.length, file.hashes.get("sha256", ""), file.custom)
            if isinstance(read, Release):
                releases.append(read)
            else:
                self._note_refusal(read)
        self._leave(releases)
        self._withdraw({release.target for release in releases})
        wanted = chosen(releases, self._device, usable=self._usable, only=self._only)
        pending = []
        for release in wanted:
            fetcher.progress = self._percent(release)
            try:
                self._take(release, session)
            except Refused as error:
                self._refuse(error)
                if error.reason in ("package", "trial", "fragment"):
                    self._remember_failure(release)
                elif error.reason == "slow":
                    pending.append(release)
            except Unreachable as error:
                self._unreachable = f"{release.title}: {error}"
                pending.append(release)
        fetcher.keep_only([f"targets/{release.file}" for release in pending])
        if self._fragments is not None and not self._only:
            self._fragments.keep({release.terms.name for release in wanted if release.terms.kind == "config"})

    def _leave(self, releases: list[Release]) -> None:
        """Tell what is not for this device; an operator who asked for it by name gets a refusal."""
        why = [(each, not_for(each, self._device, everywhere=bool(self._only))) for each in releases]
        left = [f"{each.title}: {reason}"[:DETAIL_CHARS] for each, reason in why if reason][:LEFT_TOLD]
        self._record = replace(self._record, left=left)
        named = [(each, reason) for each, reason in why if self._only and each.terms.name == self._only]
        if self._only and all(reason for _, reason in named):
            told = [f"{each.title}: {reason}" for each, reason in named]
            target = named[0][0].target if named else ""
            raise Refused("not-for-us", "; ".join(told) or f"no release is called {self._only}", target)

    def _withdraw(self, released: set[str]) -> None:
        """What waits for the agent and was taken back meanwhile must not become active."""
        for one in self._shelf.candidates():
            if TARGET.fullmatch(one.note) and one.note not in released:
                try:
                    self._shelf.forget(one.name, one.id)
                    self._unhandle(one)
                except ModelPackageError as error:
                    raise UplinkError(str(error)) from error

    def _usable(self, release: Release) -> bool:
        """Whether this device has not turned a release down before."""
        terms = release.terms
        if terms.kind == "config":
            return self._fragments is not None and not self._failed_lately(terms.id)
        turned_down = {getattr(each, "id", "") for each in self._shelf.rejections(terms.name)}
        return terms.id not in turned_down and not self._failed_lately(terms.id)

    def _failed_lately(self, identity: str) -> bool:
        at_ms = self._record.failed.get(identity)
        return at_ms is not None and 0 <= self._now_ms() - at_ms < RETRY_S * 1000

    def _take(self, release: Release, session: Session) -> None:
        if release.terms.kind == "config":
            self._take_fragment(release, session)
        else:
            self._take_model(release, session)

    def _take_model(self, release: Release, session: Session) -> None:
        terms = release.terms
        active = self._shelf.active_id(terms.name)
        waiting = any((each.name, each.id) == (terms.name, terms.id) for each in self._shelf.candidates())
        damaged = (waiting or active == terms.id) and not self._shelf.is_whole(terms.name, terms.id)
        decided = active or self._shelf.went_back(terms.name)
        settled = active == terms.id or (decided and not self._only and self._handled(release))
        if settled and not waiting and not damaged:
            self._handle(release)
            return
        if damaged or not waiting:
            data = self._download(release, session, MAX_PACKAGE_BYTES)
            _check_package(release, data)
            self._progress(f"trying {release.title}")
            try:
                self._shelf.mend(data) if damaged else self._shelf.propose(data, note=release.target)
            except ModelPackageError as error:
                raise _told(error, release) from error
        self._handle(release)
        if self._shelf.active_id(terms.name) == terms.id:
            self._taken.append(_taken(release, "installed"))
        elif self._activate:
            try:
                self._shelf.accept(terms.name, terms.id)
            except ModelPackageError as error:
                raise _told(error, release) from error
            self._taken.append(_taken(release, "installed"))
        elif not waiting:
            self._taken.append(_taken(release, "offered"))

    def _take_fragment(self, release: Release, session: Session) -> None:
        assert self._fragments is not None
        if self._fragments.id_of(release.terms.name) == release.terms.id:
            return
        data = self._download(release, session, MAX_FRAGMENT_BYTES)
        try:
            self._fragments.take(release.terms.name, data)
        except ConfigError as error:
            raise Refused("fragment", error.mistakes[0], release.target) from error
        self._handle(release)
        self._taken.append(_taken(release, "installed"))

    def _download(self, release: Release, session: Session, limit: int) -> bytes:
        if release.length > limit:
            raise Refused(
                "package", f"{release.title} has {release.length} bytes, at most {limit}", release.target
            )
        self._progress(f"downloading {release.title}")
        return session.download(release.target, self._folder / "work" / "target")

    def _percent(self, release: Release) -> Callable[[int, int], None]:
        def told(done: int, of: int) -> None:
            self._progress(f"downloading {release.title} {100 * done // max(of, 1)} %")

        return told

    def _handled(self, release: Release) -> bool:
        """Whether it was taken before: if it is not active now, somebody here decided so."""
        return self._record.handled.get(f"{release.terms.kind}/{release.terms.name}") == release.terms.id

    def _handle(self, release: Release) -> None:
        key = f"{release.terms.kind}/{release.terms.name}"
        self._record = replace(self._record, handled={**self._record.handled, key: release.terms.id})

    def _unhandle(self, one: _Waiting) -> None:
        """Nobody here decided about it: released again, it is taken again."""
        gone = (f"model/{one.name}", one.id)
        handled = {key: each for key, each in self._record.handled.items() if (key, each) != gone}
        self._record = replace(self._record, handled=handled)

    def _refuse(self, error: Refused) -> None:
        self._note_refusal(Refusal(error.reason, error.detail, error.target))

    def _note_refusal(self, refusal: Refusal) -> None:
        """What is signed may be long, and many; what is kept of it must not keep the next sync from its record."""
        if len(self._refused) < REFUSALS_KEPT:
            detail, target = refusal.detail[:DETAIL_CHARS], refusal.target[:TARGET_CHARS]
            self._refused.append(Refusal(refusal.reason, detail, target, self._now_ms()))

    def _remember_failure(self, release: Release) -> None:
        self._record = replace(self._record, failed={**self._record.failed, release.terms.id: self._now_ms()})

    def _end(self) -> tuple[State, str]:
        if self._refused:
            return "refused", "; ".join(f"{each.reason}: {each.detail}" for each in self._refused)
        if self._unreachable:
            return "unreachable", self._unreachable
        if any(each.state == "installed" for each in self._taken):
            return "installed", ", ".join(f"{each.name} {each.version}".strip() for each in self._taken)
        if self._taken:
            return "offered", ", ".join(f"{each.name} {each.version}".strip() for each in self._taken)
        return "current", "nothing new"

    def _write(self, state: State, detail: str) -> None:
        record = replace(self._record, state=state, detail=detail, taken=self._taken or self._record.taken)
        if self._trust is not None:
            with suppress(Refused):
                parsed = self._trust.parsed()
                ends = {role: f"{show(signed.expires)}" for role, signed in parsed.items()}
                record = replace(
                    record, versions=self._trust.versions(), ends=ends, signed=show(self._trust.floor())
                )
        old = [key for key, at in record.failed.items() if not 0 <= self._now_ms() - at < RETRY_S * 1000]
        record = replace(record, failed={key: at for key, at in record.failed.items() if key not in old})
        self._record = record.with_refusals(self._refused)
        write_record(self._state_dir, self._record)

    def _clock(self) -> datetime:
        """This device's clock, not before what was signed already."""
        told = datetime.fromtimestamp(min(max(self._now(), 0.0), 4e9), UTC)
        return max(told, self._trust.floor()) if self._trust is not None else told

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _check_package(release: Release, data: bytes) -> None:
    """Whether the package is sound, and the one its terms speak of."""
    terms = release.terms
    try:
        manifest = open_package(data).manifest
    except ModelPackageError as error:
        raise Refused("package", f"{release.title}: {error}", release.target) from error
    if (manifest.name, manifest.version, manifest.id) != (terms.name, terms.version, terms.id):
        raise Refused(
            "package",
            f"{release.target} is {manifest.name} {manifest.version} ({manifest.id}), and was released as "
            f"{terms.name} {terms.version} ({terms.id})",
            release.target,
        )


def _told(error: ModelPackageError, release: Release) -> UplinkError:
    """A refusal of the package, or trouble with the disk."""
    if isinstance(error.__cause__ or error.__context__, OSError):
        return UplinkError(str(error))
    return Refused("trial", f"{release.title}: {error}", release.target)


def _taken(release: Release, state: Literal["offered", "installed"]) -> Taken:
    terms = release.terms
    return Taken(terms.kind, terms.name, terms.version, terms.id, release.target, state)
