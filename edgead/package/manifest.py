"""`manifest.json`: what a package is, what is in it, and what it needs."""

import hashlib
import math
import re
from typing import Literal

import msgspec

from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import ModelSpec, check_spec

FORMAT_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})")
_FEATURES = re.compile(r"[a-z0-9-]{1,64}@[0-9]{1,4}")
#: Of a model of one variable: rows it looks at, numbers of its embedding, channels and constants it may have.
UNIVARIATE_WINDOW, EMBEDDING, MAX_CHANNELS, MAX_CONSTANTS = (8, 512), (1, 64), 16, 64


class FileEntry(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 (hex) of one file of the package."""

    sha256: str
    size: int


class Training(msgspec.Struct, frozen=True):
    """Where the model comes from.

    Attributes
    ----------
    start, end : str
        First and last time of the normal rows, ISO 8601 UTC.
    rows : int
    data_sha256 : str
        Hash of the aligned rows.
    seed : int
    trainer : str
        Name and version of the trainer.
    created : str
        Time of training; the one field that differs when the same data and seed are trained again.
    """

    start: str
    end: str
    rows: int
    data_sha256: str
    seed: int
    trainer: str
    created: str


class Manifest(ModelSpec, frozen=True, kw_only=True):
    """`manifest.json`.

    Attributes
    ----------
    format_version : int
        1; a package of a newer format is refused.
    id : str
        `identity` of the manifest, and through the hashes in it of the whole package.
    name, version : str
        What the operator calls the model, and which one.
    kind : "multivariate"
    minimum_edgead : str
        Oldest edgead that can run the package.
    training : Training
    files : dict of str to FileEntry
        Every other file of the package.
    """

    format_version: int
    id: str
    name: str
    version: str
    kind: Literal["multivariate"]
    minimum_edgead: str
    training: Training
    files: dict[str, FileEntry]


class Origin(msgspec.Struct, frozen=True):
    """Where a model of one variable comes from.

    Attributes
    ----------
    recipe, recipe_sha256 : str
        Name of the recipe, and the hash of its text.
    sources : tuple of str
        What it learned from, with the licence of each.
    series, rows : int
        Series it learned from, and their rows.
    data_sha256 : str
        Hash of all rows.
    seed : int
    trainer : str
        Name and version of the trainer.
    created : str
        Time of training; the one field that differs when the same recipe is trained again.
    """

    recipe: str
    recipe_sha256: str
    sources: tuple[str, ...]
    series: int
    rows: int
    data_sha256: str
    seed: int
    trainer: str
    created: str


class UnivariateManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json` of a model of one variable.

    Attributes
    ----------
    features : str
        Name and version of the rows that the detector's C core makes; a model of other rows is refused.
    channels : tuple of str
        Numbers of a row, in the order of the network's input.
    window : int, 8..512
        Rows the network looks at.
    embedding : int, 1..64
        Numbers of its second output.
    constants : dict of str to float
        Numbers that the detector takes from training.
    training : Origin
    format_version, id, name, version, minimum_edgead, files
        As of `Manifest`.
    """

    format_version: int
    id: str
    name: str
    version: str
    kind: Literal["univariate"]
    features: str
    channels: tuple[str, ...]
    window: int
    embedding: int
    constants: dict[str, float]
    minimum_edgead: str
    training: Origin
    files: dict[str, FileEntry]


#: A manifest of any kind.
AnyManifest = Manifest | UnivariateManifest


class _Format(msgspec.Struct):
    format_version: int
    kind: str = ""


def version_of(text: str) -> tuple[int, ...]:
    """``"1.2.3"`` as numbers."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ModelPackageError(
            f"version {text[:40]!r}: expected three numbers of at most 9 digits, as 1.2.0"
        )
    return tuple(int(part) for part in match.groups())


def check_univariate(spec: UnivariateManifest) -> None:
    """Refuse a model of one variable that cannot be.

    Raises
    ------
    InvalidInput
        Names the field, the value and what was expected.
    """
    if not 1 <= len(spec.channels) <= MAX_CHANNELS or len(set(spec.channels)) < len(spec.channels):
        raise InvalidInput(f"channels = {spec.channels!r}: expected 1 to {MAX_CHANNELS} different names")
    for field, names in (("channels", spec.channels), ("constants", tuple(spec.constants))):
        for name in names:
            if not _NAME.fullmatch(name):
                raise InvalidInput(f"{field}: {name!r} is not a plain name")
    for field, (low, high) in (("window", UNIVARIATE_WINDOW), ("embedding", EMBEDDING)):
        value = getattr(spec, field)
        if not low <= value <= high:
            raise InvalidInput(f"{field} = {value}: expected {low} to {high}")
    if not _FEATURES.fullmatch(spec.features):
        raise InvalidInput(f"features = {spec.features!r}: expected a name and a version, as edgead-rows@1")
    if len(spec.constants) > MAX_CONSTANTS or not all(map(math.isfinite, spec.constants.values())):
        raise InvalidInput(f"constants: expected at most {MAX_CONSTANTS} finite numbers")


def decode_manifest(data: bytes, *, edgead_version: str) -> AnyManifest:
    """Read `manifest.json`.

    Parameters
    ----------
    data : bytes
        JSON.
    edgead_version : str
        Of this device.

    Returns
    -------
    Manifest or UnivariateManifest
        By the ``kind`` it tells.

    Raises
    ------
    ModelPackageError
        If it is no manifest, of a newer format, changed, for a newer edgead, or names an impossible model.
    """
    try:
        found = msgspec.json.decode(data, type=_Format)
        if found.format_version != FORMAT_VERSION:
            raise ModelPackageError(
                f"manifest.json: format {found.format_version}, this edgead reads {FORMAT_VERSION}"
            )
        manifest, told = _of_kind(found.kind, data), identity(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidInput) as error:
        raise ModelPackageError(f"manifest.json: {error}") from error
    for key in ("id", "name"):
        if not _NAME.fullmatch(getattr(manifest, key)):
            raise ModelPackageError(f"manifest.json: {key} {getattr(manifest, key)!r} is not a plain name")
    version_of(manifest.version)
    if manifest.id != told:
        raise ModelPackageError(f"manifest.json was changed: its id is {manifest.id}, not {told}")
    if version_of(manifest.minimum_edgead) > version_of(edgead_version):
        raise ModelPackageError(f"needs edgead {manifest.minimum_edgead}, this is {edgead_version}")
    return manifest


def _of_kind(kind: str, data: bytes) -> AnyManifest:
    if kind == "multivariate":
        manifest = msgspec.json.decode(data, type=Manifest)
        check_spec(manifest)
        return manifest
    if kind == "univariate":
        univariate = msgspec.json.decode(data, type=UnivariateManifest)
        check_univariate(univariate)
        return univariate
    raise ModelPackageError(f"manifest.json: kind {kind!r}, expected multivariate or univariate")


def identity(manifest: bytes) -> str:
    """Sixteen hex digits over all of `manifest.json` but the id itself and the time of training.

    Keys this edgead does not know are counted too, whatever their order.
    """
    found = msgspec.json.decode(manifest)
    found.pop("id", None)
    found.get("training", {}).pop("created", None)
    return hashlib.sha256(msgspec.json.encode(found, order="deterministic")).hexdigest()[:16]


def encode_manifest(manifest: AnyManifest) -> bytes:
    """`manifest.json`, indented for people, keys in the order of the struct."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
