"""Object stores through fsspec: a driver as it is installed by a user, and one that is not."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from edgead.server.sources import SourceError
from tests.sources import TABLE, VARIABLE, Place


class Bucket(MemoryFileSystem):
    """fsspec's memory file system under the names of the object stores; some objects misbehave."""

    protocol = ("s3", "abfs", "abfss")
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    hostile: dict[str, Any] = {}  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        for protocol in cls.protocol:
            path = path.removeprefix(f"{protocol}://")
        return super()._strip_protocol(path)

    def info(self, path: str, **kwargs: Any) -> Any:
        if error := self.hostile.get(path):
            return error()
        return super().info(path, **kwargs)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        return self.hostile["ls"]() if "ls" in self.hostile else super().ls(path, detail, **kwargs)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryFileSystem:
    """The driver, registered as an installed one would be."""
    for name in Bucket.protocol:
        monkeypatch.setitem(_registry, name, Bucket)
    Bucket.store.clear()
    Bucket.hostile.clear()
    return Bucket()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


S3, ABFS = "s3://plant/data", "abfss://c@acc.dfs.core.windows.net/data"


@pytest.mark.parametrize("prefix", [S3, ABFS])
def test_an_object_and_a_folder_of_objects(place: Place, bucket: MemoryFileSystem, prefix: str):
    reader = place.reader(prefix)
    bucket.pipe(f"{prefix}/one table.csv", TABLE.encode())
    for name in ("flow", "current"):
        bucket.pipe(f"{prefix}/many/{name}.csv", VARIABLE.encode())
    bucket.pipe(f"{prefix}/many/README.txt", b"no variable")
    reader.check(f"{prefix}/one%20table.csv")
    assert place.fetch(reader, f"{prefix}/one%20table.csv").read_text() == TABLE
    found = place.fetch(reader, f"{prefix}/many")
    assert sorted(path.name for path in found.iterdir()) == ["current.csv", "flow.csv"]
    assert place.code(reader, f"{prefix}/missing.csv") == "FileNotExist"


def test_only_below_the_listed_prefix_and_never_through_a_chain(place: Place, bucket: MemoryFileSystem):
    reader = place.reader(S3)
    assert place.code(reader, "s3://plant/other/one.csv") == "StorageReadError"
    assert place.code(reader, "s3://plan/data/one.csv") == "StorageReadError"
    assert place.code(reader, "abfs://plant/data/one.csv") == "StorageReadError"
    assert place.code(reader, f"{S3}/../other/one.csv") == "InvalidBlobURL"
    assert place.code(reader, f"{S3}/x::file://{place.base}/secret.csv") == "InvalidBlobURL"
    assert place.code(reader, f"{S3}/x%3A%3Afile%3A//{place.base}/secret.csv") == "InvalidBlobURL"
    assert place.code(reader, f"memory://{place.base}/secret.csv") == "InvalidBlobURL"
    assert place.code(reader, "gs://plant/data/one.csv") == "InvalidBlobURL"


def test_a_large_object(place: Place, bucket: MemoryFileSystem):
    bucket.pipe(f"{S3}/x.csv", b"y" * 1001)
    assert place.code(place.reader(S3, max_bytes=1000), f"{S3}/x.csv") == "FileSizeTooLarge"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError("Access Denied"), "StorageReadError"),
        (FileNotFoundError("NoSuchKey"), "FileNotExist"),
        (ConnectionError("no route"), "GetDataError"),
        (KeyError("driver's own fault"), "GetDataError"),
    ],
)
def test_errors_of_a_driver_become_codes(place: Place, bucket: MemoryFileSystem, error: Exception, code: str):
    def raising() -> None:
        raise error

    Bucket.hostile["/plant/data/x.csv"] = raising
    assert place.code(place.reader(S3), f"{S3}/x.csv") == code


def test_a_driver_that_hangs_is_left_at_the_deadline(place: Place, bucket: MemoryFileSystem):
    let_go = threading.Event()
    Bucket.hostile["/plant/data/x.csv"] = lambda: let_go.wait(20)
    started = time.monotonic()
    assert place.code(place.reader(S3), f"{S3}/x.csv", seconds=0.5) == "GetDataError"
    assert time.monotonic() - started < 5
    let_go.set()


@pytest.mark.parametrize("name", ["../secret.csv", "/etc/x.csv", "a\nb.csv", "x" * 300 + ".csv"])
def test_names_that_a_store_tells_lead_nowhere(place: Place, bucket: MemoryFileSystem, name: str):
    """A store may call its objects what it likes; the copy is named by the last part, if that is plain."""
    bucket.pipe(f"{S3}/many/flow.csv", VARIABLE.encode())
    Bucket.hostile["ls"] = lambda: [{"name": f"/plant/data/many/{name}", "type": "file", "size": 3}]
    with pytest.raises(SourceError):
        place.fetch(place.reader(S3), f"{S3}/many")
    assert sorted(path.name for path in place.base.iterdir()) == ["data", "job", "secret.csv"]


MISSING = """
import sys, time
from pathlib import Path
sys.modules["s3fs"] = sys.modules["adlfs"] = None   # as where they are not installed
from edgead.server.sources import Reader, SourceError, SourceSettings
reader = Reader(SourceSettings(allowed=("s3://plant/", "abfs://c@acc.dfs.core.windows.net/")))
for source in ("s3://plant/x.csv", "abfs://c@acc.dfs.core.windows.net/x.csv"):
    try:
        reader.fetch(source, Path(sys.argv[1]), time.monotonic() + 20)
    except SourceError as error:
        print(error.code, error.message)
"""


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-c", MISSING, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    s3, abfs = run.stdout.splitlines()
    assert s3.startswith("StorageReadError s3://plant/x.csv: s3:// needs a driver, pip install s3fs")
    assert abfs.startswith("StorageReadError")
    assert "pip install adlfs" in abfs
