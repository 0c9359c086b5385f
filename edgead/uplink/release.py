"""What the repository says of a target, and which targets a device takes."""

import re
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from edgead._version import VERSION
from edgead.errors import ModelPackageError
from edgead.package.manifest import version_of
from edgead.uplink.reasons import Refusal
from edgead.uplink.schedule import fraction_of

#: Path of a target: a kind's folder and a plain file name.
TARGET = re.compile(r"(?:models|config)/[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
#: Millionths of all devices that are all of them.
ALL_PPM = 1_000_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """``custom`` of a target: who may take it.

    Attributes
    ----------
    kind : {"model", "config"}
    name, version, id : str
        Of the package; a config fragment has a name and an id only.
    release : int
        Rises with every release of the repository: of two of one name the higher counts.
    groups : list of str
        Groups of devices; none = all.
    share_ppm : int
        Part of the devices in millionths (signed JSON has no fractions): those whose place is below it.
    minimum_edgead : str
        Oldest edgead that may take it.
    """

    kind: Literal["model", "config"]
    name: str
    id: str
    release: int
    version: str = ""
    groups: list[str] = []
    share_ppm: int = ALL_PPM
    minimum_edgead: str = "0.0.0"


class Release(msgspec.Struct, frozen=True):
    """A target with its terms.

    Attributes
    ----------
    target : str
        Path in the repository.
    terms : Terms
    length : int
        Bytes.
    sha256 : str
    """

    target: str
    terms: Terms
    length: int
    sha256: str

    @property
    def file(self) -> str:
        """Path of its bytes below ``targets``: the hash stands before the file name."""
        folder, _, name = self.target.rpartition("/")
        return f"{folder}/{self.sha256}.{name}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.terms.name} {self.terms.version or self.terms.id[:8]}"


class Device(msgspec.Struct, frozen=True):
    """What decides which releases a device takes.

    Attributes
    ----------
    id, group : str
    edgead : str
        Its version.
    """

    id: str
    group: str = ""
    edgead: str = VERSION


def place_of(device: str) -> float:
    """Place of a device in every rollout, 0 <= place < 1: it takes what is released to a larger share.

    The same for each release, so 10 % stays the same 10 %, and 20 % holds them all.
    """
    return fraction_of(device, "rollout")


def read_release(target: str, length: int, sha256: str, custom: object) -> Release | Refusal:
    """A target of verified metadata as a release, or why it is none."""
    if not TARGET.fullmatch(target):
        return Refusal(
            "target-name", f"target name {target[:100]!r}: expected models/NAME or config/NAME", target
        )
    try:
        terms = msgspec.convert(custom, Terms)
        version_of(terms.minimum_edgead)
    except (msgspec.ValidationError, ModelPackageError) as error:
        return Refusal("bad-metadata", f"{target}: {error}", target)
    folder = {"model": "models", "config": "config"}[terms.kind]
    if not target.startswith(f"{folder}/") or not NAME.fullmatch(terms.name) or not NAME.fullmatch(terms.id):
        return Refusal("target-name", f"{target}: its kind, name or id does not fit", target)
    return Release(target, terms, length, sha256)


def not_for(release: Release, device: Device, *, everywhere: bool = False) -> str:
    """Why a device leaves a release alone; "" when it takes it.

    Parameters
    ----------
    release : Release
        What is offered.
    device : Device
        Who asks.
    everywhere : bool, optional
        Leave the share out: an operator asked for it here.
    """
    terms = release.terms
    if terms.groups and device.group not in terms.groups:
        return f"for {', '.join(terms.groups)}, and this device is in {device.group or 'no group'}"
    if version_of(terms.minimum_edgead) > version_of(device.edgead):
        return f"needs edgead {terms.minimum_edgead}, this is {device.edgead}"
    if not everywhere and place_of(device.id) * ALL_PPM >= terms.share_ppm:
        return f"released to {terms.share_ppm / ALL_PPM:.3%} of the devices, and this one is not among them"
    return ""


def chosen(
    releases: Iterable[Release], device: Device, *, usable: Callable[[Release], bool], only: str = ""
) -> list[Release]:
    """The newest release of each name that a device may take, config fragments first.

    Parameters
    ----------
    releases : iterable of Release
        What is offered.
    device : Device
        Who asks.
    usable : callable
        Whether this device has not turned the release down before.
    only : str, optional
        Name of the one model wanted, whatever its share.
    """
    best: dict[tuple[str, str], Release] = {}
    for release in releases:
        terms = release.terms
        if only and (terms.kind, terms.name) != ("model", only):
            continue
        if not_for(release, device, everywhere=bool(only)) or not usable(release):
            continue
        key = (terms.kind, terms.name)
        if key not in best or terms.release > best[key].terms.release:
            best[key] = release
    return [best[key] for key in sorted(best)]
