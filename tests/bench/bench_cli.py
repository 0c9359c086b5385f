"""What the commands cost: start of ``edgead --help``, ``edgead detect`` on 100 000 rows, reading a recording.

CPU seconds of whole processes, as ratios to a bare Python doing the least that the work needs; medians of interleaved
rounds.  ``python tests/bench/bench_cli.py [--rounds N]``.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = 100_000

BARE_START = "import click"
BARE_READ = """
import csv, sys
import numpy as np
with open(sys.argv[1]) as file:
    rows = list(csv.reader(file))[1:]
times = np.array([row[0] for row in rows], "datetime64[ns]")
values = np.array([float(row[1]) for row in rows])
"""
READ = "import sys; from edgead.recording import read_recording; read_recording(sys.argv[1])"


def cost(*arguments: str) -> tuple[float, float]:
    """CPU seconds (user and system) and wall seconds of one Python process."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after, end = os.times(), time.perf_counter()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, end - start


def write_recording(path: Path) -> None:
    """A day and a bit of one reading a second: noise about a slow swing."""
    with open(path, "w") as file:
        file.write("timestamp,value\n")
        for row in range(ROWS):
            days, rest = divmod(row, 86_400)
            clock = f"2024-01-{days + 1:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
            file.write(f"{clock},{20 + row % 3600 / 1800 + row * 7919 % 1000 / 1e4:.6f}\n")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.csv"
        write_recording(path)
        work = {
            "python and click": ("-c", BARE_START),
            "edgead --help": ("-m", "edgead", "--help"),
            "csv module and numpy, 100 000 rows": ("-c", BARE_READ, str(path)),
            "read_recording, 100 000 rows": ("-c", READ, str(path)),
            "edgead detect, 100 000 rows": ("-m", "edgead", "detect", str(path)),
            "edgead detect --format json": ("-m", "edgead", "detect", str(path), "--format", "json"),
        }
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
        for _ in range(rounds):
            for name, arguments in work.items():
                figures[name].append(cost(*arguments))
    base = {}
    print(f"{'':40}{'CPU s':>8}{'wall s':>8}{'ratio':>8}   medians of {rounds} interleaved rounds")
    for name, measured in figures.items():
        used, wall = (statistics.median(column) for column in zip(*measured, strict=True))
        against = "python and click" if "help" in name else "csv module and numpy, 100 000 rows"
        base.setdefault(name, used)
        ratio = f"{used / base[against]:8.2f}" if name != against and against in base else ""
        print(f"{name:40}{used:8.3f}{wall:8.3f}{ratio}")


if __name__ == "__main__":
    main()
