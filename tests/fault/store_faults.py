"""A disk that can be cut off at any change: compiles the shim, runs the worker, rebuilds what would be left."""

import contextlib
import os
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOAK = bool(os.environ.get("EDGEAD_SOAK"))
INDEX = "state.db-shm"
SECTOR = 512  # a disk writes whole sectors, in any order, until told to flush

CREATE, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, SYNC_DIRECTORY = range(1, 8)
_RECORD = struct.Struct("<IIQQ")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: what a disk does to unsynced writes is played here, not waited for."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="edgead-store-", dir=memory) as folder:
        yield Path(folder)


def build(folder: Path) -> Path:
    """Compile the shim."""
    target = folder / "store_faults.so"
    source = Path(__file__).with_name("store_faults.c")
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([os.environ.get("CC", "gcc").split()[0], *flags, source, "-o", target, "-ldl"], check=True)
    return target


def run_worker(
    shim: Path, *arguments: object, directory: Path, **environment: object
) -> subprocess.CompletedProcess:
    """Run tests/fault/store_worker.py on `directory` under the shim."""
    mode, *rest = arguments
    return subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests/fault/store_worker.py"),
            str(mode),
            str(directory),
            *map(str, rest),
        ],
        env=os.environ
        | {"LD_PRELOAD": str(shim), "STORE_FAULTS_PREFIX": f"{directory}/state.db", "PYTHONPATH": str(ROOT)}
        | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=280 if not SOAK else None,
    )


class Change(NamedTuple):
    kind: int
    name: str
    offset: int
    data: bytes


def read_trace(path: Path) -> list[Change]:
    raw, position, changes = path.read_bytes(), 0, []
    while position < len(raw):
        kind, name_len, offset, data_len = _RECORD.unpack_from(raw, position)
        position += _RECORD.size
        name = raw[position : position + name_len].decode().rpartition("/")[2]
        position += name_len
        changes.append(Change(kind, name, offset, raw[position : position + data_len]))
        position += data_len
    return changes


class File:
    """Contents as the process sees them, as they surely are on the disk, and the writes between the two."""

    def __init__(self, made: int) -> None:
        self.made = made  # number of the change that made it
        self.seen = bytearray()
        self.safe = b""
        self.pending: list[Change] = []


class Disk:
    """Names and files, fed with changes one by one."""

    def __init__(self) -> None:
        self.fed = 0
        self.seen: dict[str, File] = {}
        self.safe: dict[str, File] = {}

    def feed(self, change: Change) -> None:
        kind, name, _, data = change
        self.fed += 1
        if kind == SYNC_DIRECTORY:
            self.safe = dict(self.seen)
        elif kind == CREATE:
            self.seen[name] = File(self.fed)
        elif kind == UNLINK:
            self.seen.pop(name, None)
        elif kind == RENAME:
            self.seen[data.decode().rpartition("/")[2]] = self.seen.pop(name)
        elif kind == SYNC:
            file = self.seen[name]
            file.safe, file.pending = bytes(file.seen), []
            self.safe[name] = file  # syncing a new file makes its name safe as well
        else:
            file = self.seen[name]
            _apply(file.seen, change)
            file.pending.append(change)

    def after_kill(self) -> dict[str, bytes]:
        """The process is gone, the kernel lives: everything it wrote is there."""
        return {name: bytes(file.seen) for name, file in self.seen.items()}

    def after_power_cut(self, rng: random.Random | None) -> dict[str, bytes]:
        """Only what was flushed; with `rng`, and any sectors of what was not, and new names or not.

        The log's index is mapped, not written: for it, the number of the change that made the file.
        """
        names = self.safe if rng is None or rng.random() < 0.5 else self.seen
        return {
            name: str(file.made).encode() if name == INDEX else _cut(file, rng)
            for name, file in names.items()
        }

    def torn(self, change: Change, rng: random.Random) -> dict[str, bytes]:
        """A cut in the middle of one write, at the edge of a sector."""
        files = self.after_kill()
        first = SECTOR - change.offset % SECTOR
        edges = range(first, len(change.data), SECTOR)
        if change.kind == WRITE and change.name in files and edges:
            content = bytearray(files[change.name])
            _apply(content, change._replace(data=change.data[: rng.choice(edges)]))
            files[change.name] = bytes(content)
        return files


def _apply(content: bytearray, change: Change) -> None:
    if change.kind == TRUNCATE:
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
    else:
        content.extend(bytes(max(0, change.offset - len(content))))
        content[change.offset : change.offset + len(change.data)] = change.data


def _cut(file: File, rng: random.Random | None) -> bytes:
    if rng is None:
        return file.safe
    content = bytearray(file.safe)
    share = rng.random()
    for change in file.pending:
        if change.kind == TRUNCATE:
            if rng.random() < share:
                _apply(content, change)
            continue
        start = change.offset
        while start < change.offset + len(change.data):
            end = min((start // SECTOR + 1) * SECTOR, change.offset + len(change.data))
            if rng.random() < share:
                part = change.data[start - change.offset : end - change.offset]
                _apply(content, Change(WRITE, change.name, start, part))
            start = end
    return bytes(content)


def lay_out(directory: Path, files: dict[str, bytes]) -> None:
    """Write files into a fresh state directory."""
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)


def part(items: Sequence[int], rng: random.Random, share: int = 10) -> list[int]:
    """All of them in a soak, else a seeded tenth."""
    return list(items) if SOAK else sorted(rng.sample(items, max(1, len(items) // share)))
