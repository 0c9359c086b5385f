"""``edgead publish``: release models to devices by signing a repository of plain files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgead.uplink.publish import Keyring, Publisher, RepositoryStatus

ROLES = ("root", "targets", "snapshot", "timestamp")


class Share(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A part of the devices: ``10%`` or ``0.1``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A number above 0, at most 1."""
        text = str(value)
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            self.fail(f"{value!r}: expected a part of the devices such as 10%", param, ctx)
        return share


_keys = click.option(
    "--keys",
    metavar="DIR",
    multiple=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of private keys; repeat it for each stick. New keys go to the first.",
)
_repo = click.option(
    "--repo",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The repository: metadata and targets.",
)
_passphrases = click.option(
    "--passphrase-file",
    metavar="FILE",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the passphrase of keys; or the environment's EDGEAD_KEY_PASSPHRASE. Repeat it for several.",
)
_groups = click.option(
    "--group", "groups", metavar="G", multiple=True, help="Group of devices; none means all."
)


@click.group(short_help="Release signed models to devices.")
def publish() -> None:
    """Release models to devices by signing a repository of plain files (TUF).

    Any static server, CDN or stick can carry the repository.  Root and targets keys stay offline; snapshot and
    timestamp keys lie where it is served from.  docs/operations.md has the ceremony step by step.

    \b
    Examples:
      edgead publish init --repo repo --keys keys         keys, and the root.json that devices get
      edgead publish add pump.zip --group presses --share 10% --repo repo --keys keys
      edgead publish rollout pump --share 100% --repo repo --keys keys
      edgead publish revoke pump --repo repo --keys keys
      edgead publish refresh --repo repo --keys online    every day, by a timer
      edgead publish rotate timestamp --repo repo --keys keys
      edgead publish status --repo repo --keys keys
    """


@publish.command(short_help="Make keys and an empty repository.")
@_repo
@_keys
@_passphrases
@click.option(
    "--root-keys", type=click.IntRange(1, 16), default=3, show_default=True, help="Root keys to make."
)
@click.option(
    "--root-key",
    "root_files",
    metavar="PUB",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Public half of a root key its holder has made (`publish key root`); repeat it. None is made then.",
)
@click.option("--root-threshold", type=int, help="Root keys that must sign.  [default: 2, or 1 of 1]")
@click.option(
    "--targets-keys", type=click.IntRange(1, 16), default=1, show_default=True, help="Targets keys to make."
)
@click.option(
    "--targets-threshold", type=int, default=1, show_default=True, help="Targets keys that must sign."
)
@click.option(
    "--timestamp-days",
    type=click.IntRange(1, 3650),
    default=30,
    show_default=True,
    help="How long a timestamp lasts.",
)
def init(
    repo: Path,
    keys: tuple[Path, ...],
    passphrase_file: tuple[Path, ...],
    root_keys: int,
    root_files: tuple[Path, ...],
    root_threshold: int | None,
    targets_keys: int,
    targets_threshold: int,
    timestamp_days: int,
) -> None:
    """Make keys and an empty repository; print what devices need to begin to trust it."""
    import hashlib

    from edgead.uplink.publish import create, read_public
    from edgead.uplink.signed import DAYS

    given = [read_public(path) for path in root_files]
    count = len(given) or root_keys
    root = create(
        repo,
        _keyring(keys, passphrase_file),
        root_keys=given or root_keys,
        root_threshold=root_threshold if root_threshold is not None else min(2, count),
        targets_keys=targets_keys,
        targets_threshold=targets_threshold,
        days={**DAYS, "timestamp": timestamp_days},
    )
    click.echo(f"root of trust: {repo / 'metadata' / '1.root.json'}")
    click.echo(f"sha256 {hashlib.sha256(root).hexdigest()}")
    click.echo("now take the root and targets keys out of the folder, to where their holders keep them")


@publish.command(short_help="Make one key, on the machine of its holder.")
@click.argument("role", type=click.Choice(ROLES))
@_keys
@_passphrases
def key(role: str, keys: tuple[Path, ...], passphrase_file: tuple[Path, ...]) -> None:
    """Make a key for a ROLE: a private file (.pem) that stays here, and a public one (.pub) to pass on."""
    signer = _keyring(keys, passphrase_file).create(role)
    keyid = signer.public_key.keyid
    click.echo(f"{keys[0] / f'{role}-{keyid[:8]}.pub'}")
    click.echo(f"key id {keyid}")


@publish.command(short_help="Release a model package or a config fragment.")
@click.argument("file", metavar="PACKAGE", type=click.Path(dir_okay=False, path_type=Path))
@_repo
@_keys
@_passphrases
@_groups
@click.option("--share", type=Share(), default="100%", show_default=True, help="Part of the devices.")
@click.option("--minimum-edgead", metavar="VERSION", default="", help="Oldest edgead that may take it.")
def add(
    file: Path,
    repo: Path,
    keys: tuple[Path, ...],
    passphrase_file: tuple[Path, ...],
    groups: tuple[str, ...],
    share: float,
    minimum_edgead: str,
) -> None:
    """Release a model PACKAGE (.zip), or a config fragment (.toml: [[series]] and [[group]] blocks)."""
    from edgead.config.loading import check_fragment
    from edgead.errors import UplinkError
    from edgead.uplink.disk import read_bounded

    data = read_bounded(file, 2**25)
    if data is None:
        raise UplinkError(f"{file}: no such file")
    name = file.stem if file.suffix == ".toml" else ""
    if name:
        check_fragment(data, name)
    release = _publisher(repo, keys, passphrase_file).add(
        data, name=name, groups=groups, share=share, minimum_edgead=minimum_edgead
    )
    click.echo(f"released {release.target} to {_who(release.terms)}")
    _remind(repo)


@publish.command(short_help="Change which devices get a release.")
@click.argument("release")
@_repo
@_keys
@_passphrases
@_groups
@click.option("--share", type=Share(), help="Part of the devices; a larger one holds all of a smaller one.")
@click.option("--all-groups", is_flag=True, help="Release it to every group.")
def rollout(
    release: str,
    repo: Path,
    keys: tuple[Path, ...],
    passphrase_file: tuple[Path, ...],
    groups: tuple[str, ...],
    share: float | None,
    all_groups: bool,
) -> None:
    """Change which devices get a RELEASE: its path, name, name and version, or the beginning of its id."""
    wanted = () if all_groups else groups or None
    changed = _publisher(repo, keys, passphrase_file).rollout(release, share=share, groups=wanted)
    click.echo(f"{changed.target} goes to {_who(changed.terms)}")
    _remind(repo)


@publish.command(short_help="Take a release back.")
@click.argument("release")
@_repo
@_keys
@_passphrases
def revoke(release: str, repo: Path, keys: tuple[Path, ...], passphrase_file: tuple[Path, ...]) -> None:
    """Take a RELEASE back; devices that have it go to the newest one that is left for them."""
    gone = _publisher(repo, keys, passphrase_file).revoke(release)
    click.echo(f"{gone.target} is not released any more")
    _remind(repo)


@publish.command(short_help="Sign the timestamp anew, with the online keys.")
@_repo
@_keys
@_passphrases
def refresh(repo: Path, keys: tuple[Path, ...], passphrase_file: tuple[Path, ...]) -> None:
    """Sign the timestamp anew; release what was signed elsewhere; complete a rotation that was cut short."""
    publisher = _publisher(repo, keys, passphrase_file)
    publisher.refresh()
    ends = next(role.expires for role in publisher.status().roles if role.name == "timestamp")
    click.echo(f"signed until {ends}")


@publish.command(short_help="Replace keys by a new root.")
@click.argument("role", type=click.Choice(ROLES))
@_repo
@_keys
@_passphrases
@click.option(
    "--add",
    "added",
    metavar="PUB",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Public half of a key that was made elsewhere; otherwise one is made for each one removed.",
)
@click.option(
    "--remove", "removed", metavar="KEYID", multiple=True, help="Key to remove; none means all of the role."
)
@click.option("--threshold", type=int, help="How many keys must sign from now on.")
def rotate(
    role: str,
    repo: Path,
    keys: tuple[Path, ...],
    passphrase_file: tuple[Path, ...],
    added: tuple[Path, ...],
    removed: tuple[str, ...],
    threshold: int | None,
) -> None:
    """Replace keys of a ROLE by a new root that the root keys sign."""
    from edgead.uplink.publish import read_public

    now = _publisher(repo, keys, passphrase_file).rotate(
        role, add=[read_public(path) for path in added], remove=removed or None, threshold=threshold
    )
    click.echo(f"{role} is signed by {', '.join(keyid[:8] for keyid in now)} from now on")


@publish.command(short_help="Show releases, keys, and what ends soon.")
@_repo
@click.option(
    "--keys",
    metavar="DIR",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of private keys: shows which of them are here.",
)
@_passphrases
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
def status(repo: Path, keys: tuple[Path, ...], passphrase_file: tuple[Path, ...], as_json: bool) -> int:
    """Show releases, who may sign, and what ends soon; exit code 3 when something should be done."""
    found = _publisher(repo, keys, passphrase_file).status()
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        for line in _lines(found):
            click.echo(line)
    return 3 if found.notes else 0


def _keyring(keys: tuple[Path, ...], files: tuple[Path, ...]) -> "Keyring":
    from edgead.uplink.publish import Keyring, passphrases_from

    return Keyring(keys, passphrases_from(os.environ, files))


def _publisher(repo: Path, keys: tuple[Path, ...], files: tuple[Path, ...]) -> "Publisher":
    from edgead.uplink.publish import Publisher

    return Publisher(repo, _keyring(keys, files))


def _who(terms: Any) -> str:
    share = f"{terms.share_ppm / 10_000:g} % of the devices"
    return f"{share} of {', '.join(terms.groups)}" if terms.groups else share


def _remind(repo: Path) -> None:
    """Where the online keys were not here, the server has something to do."""
    for note in _publisher(repo, (), ()).status().notes:
        click.echo(f"note: {note}")


def _lines(found: "RepositoryStatus") -> list[str]:
    from edgead.cli.results import aligned

    roles = [("role", "version", "ends", "signatures", "keys (* = here)")]
    for role in found.roles:
        keys = " ".join(f"{each.id[:8]}{'*' if each.here else ''}" for each in role.keys)
        ends = f"{role.expires[:10]} (in {role.days_left:.0f} d)"
        roles.append((role.name, str(role.version), ends, f"{role.threshold} of {len(role.keys)}", keys))
    releases = [("release", "for", "share", "edgead", "bytes", "target")]
    for each in found.releases:
        terms = each.terms
        who = ", ".join(terms.groups) or "all"
        share = f"{terms.share_ppm / 10_000:g} %"
        releases.append((each.title, who, share, f">= {terms.minimum_edgead}", str(each.length), each.target))
    notes = [f"note: {note}" for note in found.notes]
    return [*aligned(roles), "", *(aligned(releases) if found.releases else ["no releases"]), *notes]
