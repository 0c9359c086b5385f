"""A bounded zip: what is read was announced, small enough and named plainly, or it is refused."""

import io
import re
import zipfile
from collections.abc import Mapping

from edgead.errors import ModelPackageError

#: A whole package, one file of it, all files unfolded, and how far one may unfold.
MAX_PACKAGE_BYTES = 16 * 2**20
MAX_FILE_BYTES = 16 * 2**20
MAX_UNFOLDED_BYTES = 24 * 2**20
MAX_FILES = 8
MAX_RATIO = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: The time of every entry: the same content gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def _refuse_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if not _NAME.fullmatch(name) or ".." in name:
        raise ModelPackageError(f"file name {name!r}: letters, digits, '_', '.' and '-' alone, no folders")
    if entry.flag_bits & 0x1:
        raise ModelPackageError(f"{name} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelPackageError(f"{name}: compression {entry.compress_type}, expected stored or deflated")
    if entry.file_size > MAX_FILE_BYTES:
        raise ModelPackageError(f"{name} unfolds to {entry.file_size} bytes, at most {MAX_FILE_BYTES}")
    if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise ModelPackageError(f"{name} unfolds more than {MAX_RATIO} times: a zip bomb")


def unzip(data: bytes) -> dict[str, bytes]:
    """Files of a zip.

    Parameters
    ----------
    data : bytes
        The zip.

    Returns
    -------
    dict of str to bytes
        By name, in the zip's order.

    Raises
    ------
    ModelPackageError
        If the zip is damaged, too large, unfolds too far, or a name is doubled or not plain.
    """
    if len(data) > MAX_PACKAGE_BYTES:
        raise ModelPackageError(f"{len(data)} bytes, at most {MAX_PACKAGE_BYTES}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_FILES:
                raise ModelPackageError(f"{len(entries)} files, at most {MAX_FILES}")
            for entry in entries:
                _refuse_entry(entry)
            unfolded = sum(entry.file_size for entry in entries)
            if unfolded > MAX_UNFOLDED_BYTES:
                raise ModelPackageError(f"it unfolds to {unfolded} bytes, at most {MAX_UNFOLDED_BYTES}")
            if len({entry.filename for entry in entries}) < len(entries):
                raise ModelPackageError("a file name occurs twice")
            return {entry.filename: _read(archive, entry) for entry in entries}
    except ModelPackageError:
        raise
    except Exception as error:  # zipfile lets zlib, struct, EOF and others through
        raise ModelPackageError(f"not a readable zip: {error}") from error


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as source:
        content = source.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise ModelPackageError(
            f"{entry.filename}: {len(content)} bytes, its directory says {entry.file_size}"
        )
    return content


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of `files`; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, compresslevel=9)
    return out.getvalue()
