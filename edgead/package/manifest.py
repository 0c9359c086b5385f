"""`manifest.json`: what a package is, what is in it, and what it needs."""

import hashlib
import re
from typing import Literal

import msgspec

from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import ModelSpec, check_spec

FORMAT_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


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


class _Format(msgspec.Struct):
    format_version: int


def version_of(text: str) -> tuple[int, ...]:
    """``"1.2.3"`` as numbers."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ModelPackageError(f"version {text!r}: expected three numbers, as 1.2.0")
    return tuple(int(part) for part in match.groups())


def decode_manifest(data: bytes, *, edgead_version: str) -> Manifest:
    """Read `manifest.json`.

    Parameters
    ----------
    data : bytes
        JSON.
    edgead_version : str
        Of this device.

    Returns
    -------
    Manifest

    Raises
    ------
    ModelPackageError
        If it is no manifest, of a newer format, changed, for a newer edgead, or names an impossible model.
    """
    try:
        found = msgspec.json.decode(data, type=_Format).format_version
        if found != FORMAT_VERSION:
            raise ModelPackageError(f"manifest.json: format {found}, this edgead reads {FORMAT_VERSION}")
        manifest = msgspec.json.decode(data, type=Manifest)
        check_spec(manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidInput) as error:
        raise ModelPackageError(f"manifest.json: {error}") from error
    for key in ("id", "name"):
        if not _NAME.fullmatch(getattr(manifest, key)):
            raise ModelPackageError(f"manifest.json: {key} {getattr(manifest, key)!r} is not a plain name")
    version_of(manifest.version)
    if manifest.id != identity(data):
        raise ModelPackageError(f"manifest.json was changed: its id is {manifest.id}, not {identity(data)}")
    if version_of(manifest.minimum_edgead) > version_of(edgead_version):
        raise ModelPackageError(f"needs edgead {manifest.minimum_edgead}, this is {edgead_version}")
    return manifest


def identity(manifest: bytes) -> str:
    """Sixteen hex digits over all of `manifest.json` but the id itself and the time of training.

    Keys this edgead does not know are counted too, whatever their order.
    """
    found = msgspec.json.decode(manifest)
    found.pop("id", None)
    found.get("training", {}).pop("created", None)
    return hashlib.sha256(msgspec.json.encode(found, order="deterministic")).hexdigest()[:16]


def encode_manifest(manifest: Manifest) -> bytes:
    """`manifest.json`, indented for people, keys in the order of the struct."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
