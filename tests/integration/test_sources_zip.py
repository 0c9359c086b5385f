"""Zips of variables: read within bounds, and every hostile form refused with nothing written outside."""

import io
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgead.recording.variables import read_variables
from edgead.server.sources import SourceError
from edgead.server.sources.tables import MAX_TABLES
from tests.sources import VARIABLE, Place

Fill = Callable[[zipfile.ZipFile], None]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def zipped(fill: Fill, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        fill(archive)
    return out.getvalue()


def files(*names: str, content: str | bytes = VARIABLE) -> Fill:
    def fill(archive: zipfile.ZipFile) -> None:
        for name in names:
            archive.writestr(name, content)

    return fill


def entry(name: str, mode: int, content: str) -> Fill:
    def fill(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)

    return fill


def test_a_zip_of_variables(place: Place):
    data = zipped(
        files("flow.csv", "current.csv", "README.txt", "__MACOSX/._flow.csv", "empty/", "inner.zip")
    )
    (place.root / "many.zip").write_bytes(data)
    found = place.fetch(place.reader(), "many.zip")
    assert sorted(path.name for path in found.iterdir()) == ["current.csv", "flow.csv"]
    assert list(read_variables(found).columns) == ["current", "flow"]
    assert sorted(path.name for path in found.parent.iterdir()) == ["unpacked"]


def test_a_zip_is_known_by_its_bytes(place: Place):
    (place.root / "many.csv").write_bytes(zipped(files("flow.csv"), zipfile.ZIP_STORED))
    assert place.fetch(place.reader(), "many.csv").is_dir()


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    assert len(old) == len(new)
    return data.replace(old, new)


def encrypted(data: bytes) -> bytes:
    data = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    return bytes(data)


def claimed(data: bytes, size: int) -> bytes:
    """A zip whose directory tells another unfolded size."""
    data = bytearray(data)
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, size)
    return bytes(data)


def overlapping(data: bytes, copies: int) -> bytes:
    """A directory whose entries all point at the one file (the bomb of D. Fifield)."""
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    one = data[start:end]
    directory = b"".join(one.replace(b"00000.csv", b"%05d.csv" % number) for number in range(copies))
    last = bytearray(data[end:])
    struct.pack_into("<HHI", last, 8, copies, copies, len(directory))
    return data[:start] + directory + bytes(last)


def huge_directory(data: bytes) -> bytes:
    last = bytearray(data[data.index(b"PK\x05\x06") :])
    struct.pack_into("<I", last, 12, 3_000_000)
    return data[: data.index(b"PK\x05\x06")] + b"\x00" * 3_000_000 + bytes(last)


ZEROS = zipped(files("flow.csv", content=b"\x00" * 50_000_000))
ONE = zipped(files("flow.csv"))
INCOMPRESSIBLE = random.Random(1).randbytes(100_000)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "a bomb": (ZEROS, "ReadingFileError"),
    "a bomb that says to be small": (claimed(ZEROS, 100), "ReadingFileError"),
    "a file that says to be huge": (claimed(ONE, 4_000_000_000), "ReadingFileError"),
    "overlapping": (overlapping(zipped(files("00000.csv", content=INCOMPRESSIBLE)), 50), "ReadingFileError"),
    "together too large": (zipped(files("a.csv", "b.csv", content=INCOMPRESSIBLE * 15)), "FileSizeTooLarge"),
    "a path upwards": (zipped(files("../flow.csv")), "ReadingFileError"),
    "a path upwards of Windows": (zipped(files("x\\..\\flow.csv")), "ReadingFileError"),
    "an absolute path": (zipped(files("/tmp/flow.csv")), "ReadingFileError"),
    "a folder": (zipped(files("data/flow.csv")), "ReadingFileError"),
    "a control character": (zipped(files("fl\now.csv")), "ReadingFileError"),
    "the same name twice": (
        patched(zipped(files("a.csv", "b.csv")), b"b.csv", b"a.csv"),
        "DuplicatedVariables",
    ),
    "the same variable twice": (zipped(files("a.csv", "a.tsv")), "DuplicatedVariables"),
    "a link": (zipped(entry("flow.csv", stat.S_IFLNK | 0o777, "/etc/passwd")), "ReadingFileError"),
    "a device": (zipped(entry("flow.csv", stat.S_IFCHR | 0o666, "")), "ReadingFileError"),
    "encrypted": (encrypted(ONE), "ReadingFileError"),
    "bzip2": (zipped(files("flow.csv"), zipfile.ZIP_BZIP2), "ReadingFileError"),
    "lzma": (zipped(files("flow.csv"), zipfile.ZIP_LZMA), "ReadingFileError"),
    "a wrong checksum": (patched(zipped(files("a.csv"), 0), b"timestamp", b"timestomp"), "ReadingFileError"),
    "cut": (ONE[:-10], "ReadingFileError"),
    "cut early": (ONE[:30], "ReadingFileError"),
    "only a mark": (b"PK\x03\x04", "ReadingFileError"),
    "empty": (zipped(files()), "NoVariablesFound"),
    "no tables": (zipped(files("README.txt")), "NoVariablesFound"),
    "too many": (zipped(files(*(f"{n}.csv" for n in range(MAX_TABLES + 1)), content="")), "DataExceedsLimit"),
    "a huge directory": (huge_directory(ONE), "ReadingFileError"),
    "a long name": (zipped(files("n" * 300 + ".csv")), "ReadingFileError"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused(place: Place, name: str):
    data, code = HOSTILE[name]
    (place.root / "hostile.zip").write_bytes(data)
    before = sorted(place.base.rglob("*"))
    assert (
        place.code(place.reader(max_bytes=2_800_000 if "together" in name else 10**9), "hostile.zip") == code
    )
    beyond = [path for path in place.base.rglob("*") if path not in before and place.into not in path.parents]
    assert beyond == []
    written = sum(path.stat().st_size for path in place.into.rglob("*") if path.is_file())
    assert written < 4 * 10**6


def test_a_constant_column_is_no_bomb(place: Place):
    rows = "".join(f"{1_700_000_000 + second},0.0\n" for second in range(200_000))
    (place.root / "flat.zip").write_bytes(zipped(files("flat.csv", content="timestamp,value\n" + rows)))
    assert place.fetch(place.reader(), "flat.zip").is_dir()


def test_mutations_of_a_zip_are_read_or_refused(place: Place):
    """Only `SourceError` comes out, and nothing is written beside the folder."""
    chance = random.Random(7)
    good = zipped(files("flow.csv", "current.csv"))
    reader, refused = place.reader(max_bytes=10**6), 0
    for _ in range(700):
        data = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.choice(
                (0, 1, 0xFF, ord("/"), ord("."), chance.randrange(256))
            )
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        (place.root / "fuzz.zip").write_bytes(data)
        try:
            place.fetch(reader, "fuzz.zip")
        except SourceError:
            refused += 1
    assert refused > 100
    assert sorted(path.name for path in place.base.iterdir()) == ["data", "job", "secret.csv"]
