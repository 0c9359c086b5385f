"""What the store costs: CPU and bytes of a commit, flushes, and the way back after a restart.

CPU as a ratio to the least that any store must do with the same bytes (append them to a file, flush), in interleaved
rounds; wall time is the disk's and is told apart.  Bytes by the kernel's own account (whole pages sent to the disk).
``python tests/bench/bench_store.py [--rounds N] [--directory DIR]``; the directory should lie on the disk in question.
"""

import argparse
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from edgead.store import Store, StoreLimits  # noqa: E402
from edgead.store.meter import written_by_thread  # noqa: E402
from edgead.store.spool import encode_event  # noqa: E402
from tests.store_model import make_event  # noqa: E402

SNAPSHOT_BYTES = 30_000  # of a series with a window of 1440
READING_BYTES = 21  # key, time, value, quality
BATCH_BYTES = 60
READINGS_AN_EVENT = 1000
YEAR_S = 365 * 86_400
SERIES = 1000
JOURNAL_READINGS = 200_000


class Cost:
    """What one piece of work took: CPU and wall seconds, bytes, flushes."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0
        self.bytes = self.fsyncs = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        start, usage, written = (
            time.perf_counter(),
            resource.getrusage(resource.RUSAGE_THREAD),
            written_by_thread(),
        )
        yield
        after, end, ended = (
            resource.getrusage(resource.RUSAGE_THREAD),
            written_by_thread(),
            time.perf_counter(),
        )
        self.cpu_s += after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        self.wall_s += ended - start
        self.bytes += (end or 0) - (written or 0)


def bare(directory: Path, batch: int, commits: int) -> Cost:
    """Append the same bytes to a file and flush it after each batch."""
    cost, entry = Cost(), random.Random(1).randbytes(READING_BYTES * batch + BATCH_BYTES)
    event, readings = encode_event(make_event(1)), 0
    with open(directory / "bare", "wb", buffering=0) as file, cost.taken():
        for _ in range(commits):
            readings += batch
            told, readings = divmod(readings, READINGS_AN_EVENT)
            file.write(entry + event * told)
            os.fdatasync(file.fileno())
    cost.fsyncs = commits
    (directory / "bare").unlink()
    return cost


def commits_of(directory: Path, batch: int, commits: int, snapshots: int) -> Cost:
    """Journal, events (one in 1000 readings, delivered at once), snapshots of so many series with each commit."""
    cost, rng = Cost(), random.Random(1)
    entry, blob = rng.randbytes(READING_BYTES * batch + BATCH_BYTES), rng.randbytes(SNAPSHOT_BYTES)
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        store = Store.open(Path(folder), StoreLimits(), now_ns=1)
        for first in range(0, SERIES, 50):
            store.commit(snapshots={f"s{n}": blob for n in range(first, first + 50)}, now_ns=1)
        store.close()
        store = Store.open(Path(folder), StoreLimits(), now_ns=1)
        fsyncs, readings, turn = store.fsyncs, 0, 0
        with cost.taken():
            for _ in range(commits):
                readings += batch
                told, readings = divmod(readings, READINGS_AN_EVENT)
                taken = {f"s{n % SERIES}": blob for n in range(turn, turn + snapshots)}
                turn += snapshots
                done = store.commit(
                    journal=[entry],
                    events=[make_event(number) for number in range(told)],
                    snapshots=taken,
                    forget_through=max(0, store.journal_seq - 100) if snapshots else 0,
                    now_ns=1,
                )
                store.acknowledge(done.spool_seqs)
        cost.fsyncs = store.fsyncs - fsyncs
        store.close()
    return cost


def median(costs: list[Cost], figure: Callable[[Cost], float]) -> float:
    return statistics.median(figure(cost) for cost in costs)


def bench_commits(directory: Path, rounds: int) -> None:
    """One line for each batch size."""
    print(
        f"{'readings a commit':24} {'CPU/bare':>9} {'us CPU':>8} {'us wall':>8} {'KiB/1000':>9} {'flushes/1000':>13}"
    )
    for batch, commits, snapshots in (
        (1, 1000, 0),
        (64, 500, 0),
        (1000, 200, 0),
        (1000, 100, 1),
        (1000, 100, 10),
    ):
        bares, ours = [], []
        for _ in range(rounds):
            bares.append(bare(directory, batch, commits))
            ours.append(commits_of(directory, batch, commits, snapshots))
        thousands = batch * commits / 1000
        print(
            f"{f'{batch} + {snapshots} snapshots':24}"
            f" {median(ours, lambda cost: cost.cpu_s) / median(bares, lambda cost: cost.cpu_s):9.2f}"
            f" {median(ours, lambda cost: cost.cpu_s) / commits * 1e6:8.0f}"
            f" {median(ours, lambda cost: cost.wall_s) / commits * 1e6:8.0f}"
            f" {median(ours, lambda cost: cost.bytes) / thousands / 1024:9.1f}"
            f" {median(ours, lambda cost: cost.fsyncs) / thousands:13.1f}"
            f" {median(ours, lambda cost: cost.bytes) / commits * YEAR_S / 1e9:22.0f}"
        )


def bench_restart(directory: Path, rounds: int) -> None:
    """Open after a kill, read all snapshots and the whole journal; against reading a file of that size."""
    rng = random.Random(1)
    blobs = [rng.randbytes(SNAPSHOT_BYTES) for _ in range(20)]
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = Path(folder)
        store = Store.open(path, StoreLimits(), now_ns=1)
        for first in range(0, SERIES, 50):
            snapshots = {f"line.machine{n}.temperature": blobs[n % 20] for n in range(first, first + 50)}
            store.commit(snapshots=snapshots, now_ns=1)
        for _ in range(JOURNAL_READINGS // 64):
            store.commit(journal=[rng.randbytes(64 * READING_BYTES + BATCH_BYTES)], now_ns=1)
        store.close()
        size = (path / "state.db").stat().st_size
        ratios, walls = [], []
        for _ in range(rounds):
            reading, opening = Cost(), Cost()
            with reading.taken():
                (path / "state.db").read_bytes()
            with opening.taken():
                store = Store.open(path, StoreLimits(), now_ns=1)
                held = sum(1 for _ in store.snapshots()), sum(1 for _ in store.journal())
            store.close()
            ratios.append(opening.wall_s / reading.wall_s)
            walls.append(opening.wall_s)
    print(
        f"restart, {held[0]} states of {SNAPSHOT_BYTES} bytes, {JOURNAL_READINGS} readings in {held[1]} entries,"
        f" {size / 2**20:.0f} MiB: {statistics.median(ratios):.1f} times reading the file,"
        f" {statistics.median(walls) * 1000:.0f} ms"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        bench_commits(Path(folder), arguments.rounds)
        bench_restart(Path(folder), arguments.rounds)


if __name__ == "__main__":
    main()
