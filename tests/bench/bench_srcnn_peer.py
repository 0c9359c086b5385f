"""The streaming detectors against those people use today: cost a reading, memory a series, quality: `make bench-peer`.

    python tests/bench/bench_srcnn_peer.py --peer .venv-peer/bin/python [--quality] [--limit MINUTES]

Peers: river's HalfSpaceTrees, rrcf (robust random cut forest) and stumpy's left matrix profile (`stumpi`), each as its
own documentation streams.  They run as a worker in their own environment.  All methods judge the same readings in turns
within one run; each measures the processor time of its own thread, so that other work on the machine does not count.
Of a method that would take more memory or setting up than the limits below, fewer series are made and told.

``--quality`` judges KPI and NAB with the recordings' own harness; a peer that needs more than the limit of processor
time for a set is told as not finished.
"""

import argparse
import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DATA = ROOT.parent / "shared" / "data"

#: Readings a detector looks back on; rows of a subsequence of the matrix profile; trees and leaves of the forest, and
#: readings side by side in a point of it (as in rrcf's own streaming example).
WINDOW, SUBSEQUENCE, TREES, LEAVES, SHINGLE = 1440, 24, 40, 256, 4
SERIES = (1, 100, 10_000)
ROUNDS = 3
#: Bounds of one method at one number of series: seconds to set up, bytes, readings of a round and its seconds.
SETUP_S, MEMORY_BYTES, READINGS, ROUND_S = 20.0, 3 * 2**30, 2000, 4.0


def resident() -> int:
    """Bytes of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def series_values(count: int) -> list[float]:
    """A day that repeats, with noise: what every method judges."""
    rng = np.random.default_rng(1)
    at = np.arange(count)
    return (10.0 + 3.0 * np.sin(2 * np.pi * at / 288.0) + 0.3 * rng.standard_normal(count)).tolist()


# ---------------------------------------------------------------- the peers, each one series


class HalfSpaceTrees:
    """river's, on the value and its change, scaled to 0..1 as its documentation asks."""

    def __init__(self) -> None:
        from river import anomaly, preprocessing

        self.scaler, self.trees = preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=42)
        self.before = 0.0

    def judge(self, value: float) -> float:
        """Score of a reading, then learn it."""
        x = {"value": value, "change": value - self.before}
        self.before = value
        self.scaler.learn_one(x)
        x = self.scaler.transform_one(x)
        score = self.trees.score_one(x)
        self.trees.learn_one(x)
        return float(score)


class RandomCutForest:
    """rrcf's, on shingles; the oldest point of every tree makes room for the newest."""

    def __init__(self) -> None:
        import rrcf

        self.forest = [rrcf.RCTree(random_state=number) for number in range(TREES)]
        self.last: list[float] = []
        self.count = 0

    def judge(self, value: float) -> float:
        """Mean collusive displacement of the newest shingle."""
        self.last = [*self.last, value][-SHINGLE:]
        if len(self.last) < SHINGLE:
            return 0.0
        point, total = tuple(self.last), 0.0
        for tree in self.forest:
            if self.count >= LEAVES:
                tree.forget_point(self.count - LEAVES)
            tree.insert_point(point, index=self.count)
            total += tree.codisp(self.count)
        self.count += 1
        return total / TREES


class LeftMatrixProfile:
    """stumpy's, over the window: distance of the newest subsequence to its nearest earlier one."""

    def __init__(self) -> None:
        self.head: list[float] = []
        self.stream = None

    def judge(self, value: float) -> float:
        """The newest value of the left matrix profile; 0 until the window is full."""
        if self.stream is None:
            self.head.append(value)
            if len(self.head) == WINDOW:
                import stumpy

                self.stream = stumpy.stumpi(np.array(self.head), m=SUBSEQUENCE, egress=True)
            return 0.0
        self.stream.update(value)
        score = float(self.stream.left_P_[-1])
        return score if np.isfinite(score) else 0.0


PEERS = {"HalfSpaceTrees": HalfSpaceTrees, "rrcf": RandomCutForest, "left matrix profile": LeftMatrixProfile}


def _scores(peer, train, test):
    """Of a recording; of several columns the highest."""
    out = np.zeros(len(test))
    for column in np.concatenate([train, test]).T:
        detector = peer()
        scores = np.array([detector.judge(value) for value in column.tolist()])
        out = np.maximum(out, scores[len(train) :])
    return out


def half_space_trees(train, test, sampling_seconds):
    """Adapter of the harness."""
    return _scores(HalfSpaceTrees, train, test)


def random_cut_forest(train, test, sampling_seconds):
    """Adapter of the harness."""
    return _scores(RandomCutForest, train, test)


def left_matrix_profile(train, test, sampling_seconds):
    """Adapter of the harness."""
    return _scores(LeftMatrixProfile, train, test)


ADAPTERS = {
    "HalfSpaceTrees": "half_space_trees",
    "rrcf": "random_cut_forest",
    "left matrix profile": "left_matrix_profile",
}


# ---------------------------------------------------------------- many series of one method


class Many:
    """So many copies of a detector that has seen a window, judged in turns; what does not fit is not made."""

    def __init__(self, make, count: int) -> None:
        began, first = time.perf_counter(), make()
        for value in series_values(WINDOW + 100):
            first.judge(value)
        self.all, before, self.refused = [first], resident(), ""
        while len(self.all) < count:
            self.all.append(copy.deepcopy(first))
            if len(self.all) % 10 == 0 or count <= 100:
                grown = resident() - before
                if grown > MEMORY_BYTES or time.perf_counter() - began > SETUP_S:
                    self.refused = (
                        f"{grown / 2**20:.0f} MiB, {time.perf_counter() - began:.0f} s for {len(self.all)}"
                    )
                    break
        self.bytes = (resident() - before) / max(len(self.all) - 1, 1) if len(self.all) > 1 else 0.0
        self.at, self.values = 0, series_values(4096)

    def round(self) -> float:
        """Microseconds of processor time a reading."""
        began, done = time.thread_time(), 0
        while done < READINGS and time.thread_time() - began < ROUND_S:
            for detector in self.all[:READINGS]:
                detector.judge(self.values[self.at % 4096])
                done += 1
            self.at += 1
        return 1e6 * (time.thread_time() - began) / done


def worker() -> None:
    """Peers on request: {"make": name, "series": n} or {"round": key} or {"drop": key}."""
    import warnings

    warnings.filterwarnings("ignore")
    held: dict[str, Many] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "make" in asked:
            made = Many(PEERS[asked["make"]], asked["series"])
            held[asked["key"]] = made
            answer = {"bytes": made.bytes, "refused": made.refused}
        elif "drop" in asked:
            held.pop(asked["drop"])
            answer = {}
        else:
            answer = {"us": held[asked["round"]].round()}
        print(json.dumps(answer), flush=True)


class Peer:
    """The worker process."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        )

    def ask(self, **asked):
        """One question, one answer."""
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit("the peers' worker ended early")


# ---------------------------------------------------------------- ours


class Ours:
    """So many series of one detector in an engine; each begins as the first was after a window."""

    def __init__(self, detector: str, count: int) -> None:
        from edgead.records import Reading
        from edgead.stream import Engine, EngineSettings, SeriesSettings
        from edgead.univariate import make_detector

        self.reading = Reading
        settings = SeriesSettings(detector=detector, allowed_lateness_ns=0)
        first = make_detector(detector, settings.judging)
        for value in series_values(WINDOW + 100):
            first.judge(value, 0)
        state, before = first.dump(), resident()
        self.engine = Engine(EngineSettings(max_series=count, memory_budget_bytes=2**62))
        self.ids = [f"s{number}" for number in range(count)]
        for series_id in self.ids:
            self.engine.add(series_id, "t", settings, 0)
            series = self.engine.series[series_id]
            series.detector.load(state)
            series.ready = True
        self.engine.settle(0)
        self.bytes = (resident() - before) / count if count > 1 else 0.0
        self.at, self.values = 0, series_values(4096)

    def round(self) -> float:
        """Microseconds of processor time a reading, fed 256 at a time as the agent does."""
        spent, done, ids = 0.0, 0, self.ids[:READINGS]
        while done < READINGS:
            rows = max(1, 256 // len(ids))
            batch = [
                self.reading(series_id, 10**18 + (self.at + row) * 10**9, self.values[(self.at + row) % 4096])
                for row in range(rows)
                for series_id in ids
            ]
            self.at += rows
            for first in range(0, len(batch), 256):
                part = batch[first : first + 256]
                before = time.thread_time()
                self.engine.feed(part, 10**18)
                spent += time.thread_time() - before
                done += len(part)
            self.engine.settle(0)
        return 1e6 * spent / done


OURS = ("srcnn", "spectral-residual")


def cost(peer: Peer) -> None:
    """The table of costs."""
    print("| series | " + " | ".join([*OURS, *PEERS]) + " |")
    print("|---:|" + "---|" * (len(OURS) + len(PEERS)))
    for count in SERIES:
        mine = {name: Ours(name, count) for name in OURS}
        theirs = {name: peer.ask(make=name, series=count, key=name) for name in PEERS}
        spent: dict[str, list[float]] = {name: [] for name in (*OURS, *PEERS)}
        for _ in range(ROUNDS):
            for name, ours in mine.items():
                spent[name].append(ours.round())
            for name in theirs:
                spent[name].append(peer.ask(round=name)["us"])
        sizes = {name: ours.bytes for name, ours in mine.items()} | {
            name: m["bytes"] for name, m in theirs.items()
        }
        cells = []
        for name, each in spent.items():
            few = theirs.get(name, {}).get("refused", "")
            memory = f", {sizes[name] / 1024:.0f} KiB" if count >= 1000 or few else ""
            cells.append(f"{statistics.median(each):.3g} us{memory}{few and f' (no more than {few})'}")
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)
        for name in PEERS:
            peer.ask(drop=name)


def quality(python: str, limit_s: float) -> None:
    """The peers on KPI and NAB, by the recordings' own harness."""
    for name, adapter in ADAPTERS.items():
        for chosen in ("KPI", "NAB"):
            command = [
                python,
                str(DATA / "evaluate.py"),
                "--impl",
                f"bench_srcnn_peer:{adapter}",
                "--set",
                chosen,
            ]
            environment = os.environ | {
                "PYTHONPATH": str(HERE),
                "OMP_NUM_THREADS": "1",
                "NUMBA_NUM_THREADS": "1",
            }
            bound = f"ulimit -t {int(limit_s)}; exec " + " ".join(f"'{part}'" for part in command)
            done = subprocess.run(
                ["bash", "-c", bound], capture_output=True, text=True, env=environment, cwd=HERE
            )
            if done.returncode:
                print(
                    f"{name} on {chosen}: not finished within {limit_s / 60:.0f} minutes of processor time",
                    flush=True,
                )
            else:
                print(f"{name} on {chosen}:\n{done.stdout}", flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--peer", default=str(ROOT / ".venv-peer/bin/python"), help="Python of the peers' environment"
    )
    parser.add_argument("--quality", action="store_true", help="KPI and NAB as well (an hour)")
    parser.add_argument("--only-quality", action="store_true", help="KPI and NAB alone")
    parser.add_argument(
        "--limit", type=float, default=10.0, help="minutes of processor time of a peer on a set"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker()
        return
    sys.path.insert(0, str(ROOT))
    if not options.only_quality:
        cost(Peer(options.peer))
    if options.quality or options.only_quality:
        quality(options.peer, 60 * options.limit)


if __name__ == "__main__":
    main()
