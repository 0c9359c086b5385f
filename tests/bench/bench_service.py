"""Univariate detection against the reference package, interleaved: `make bench-peer`.

    python tests/bench/bench_service.py --peer .venv-peer/bin/python [--quick]

The reference runs as a worker in its own environment; both get the same requests in turn, and each measures the
processor time of its own thread, so that other work on the machine does not count.  Ratios are medians over medians.
"""

import argparse
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (60, 288, 1440, 2880, 8640)
STEPS = {"hourly": 3600, "minutely": 60, "none": 60}
SEASONS = {"hourly": 24, "minutely": 288, "none": 288}

#: (what, holds for (n, seasonal), least median ratio, least ratio)
GOALS = (
    ("seasonal, n >= 1440", lambda n, seasonal: seasonal and n >= 1440, 300, 120),
    ("other, n >= 288", lambda n, seasonal: n >= 288 and not (seasonal and n >= 1440), 60, 30),
    ("n = 60", lambda n, seasonal: n == 60, 20, 20),
)

#: Seconds and calls that the reference may take for one case.
PATIENCE_S, MOST_CALLS = 4.0, 5

FOOTPRINT = """
import json, time
def rss():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmRSS"))
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
print(json.dumps({{"seconds": seconds, "rss_mb": rss()}}))
"""


def request(granularity, n, seasonal):
    """A series of n points with a spike in it and one at its end."""
    import numpy as np

    r, t = np.random.default_rng(n), np.arange(n)
    v = (
        10
        + 3 * np.sin(2 * np.pi * t / SEASONS[granularity]) * seasonal
        + (0.3 if seasonal else 1.0) * r.normal(size=n)
    )
    v[n // 3] += 6
    v[-1] += 4
    start, step = datetime(2020, 1, 1), STEPS[granularity]
    times = [(start + timedelta(seconds=step * i)).strftime("%Y-%m-%dT%H:%M:%SZ") for i in range(n)]
    series = [{"timestamp": moment, "value": float(x)} for moment, x in zip(times, v)]
    body = {"series": series, "granularity": granularity, "boundaryVersion": "V1", "sensitivity": 95}
    return body if seasonal else body | {"period": 0}


def timed(call):
    start = time.thread_time()
    result = call()
    return time.thread_time() - start, result


# ---------------------------------------------------------------- the reference, in its own environment


def worker():
    """Answer requests on stdin with seconds on stdout."""
    import warnings

    warnings.filterwarnings("ignore")
    import pandas as pd
    from anomaly_detector.univariate.univariate_anomaly_detection import UnivariateAnomalyDetector
    from anomaly_detector.univariate.util.fields import DetectType

    kinds = {"entire": DetectType.ENTIRE, "last": DetectType.LATEST}
    for line in sys.stdin:
        query = json.loads(line)
        body = query["request"]
        params = {k: v for k, v in body.items() if k != "series"}
        frame = pd.DataFrame(body["series"])
        detector = UnivariateAnomalyDetector(kinds[query["mode"]])
        seconds, _ = timed(lambda d=detector, f=frame, p=params: d.predict(None, f, params=p))
        print(json.dumps({"seconds": seconds}), flush=True)


class Peer:
    """The worker process."""

    def __init__(self, python):
        self.process = subprocess.Popen(
            [python, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def seconds(self, mode, body):
        self.process.stdin.write(json.dumps({"mode": mode, "request": body}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith('{"seconds"'):
                return json.loads(line)["seconds"]
        raise SystemExit("the reference's worker ended early")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---------------------------------------------------------------- ours, and the comparison


def compare(peer, mode, body):
    """(our median seconds, the reference's, our answer) of interleaved calls."""
    import edgead

    ours, theirs = [], []
    edgead.detect(mode, body)
    while len(theirs) < MOST_CALLS and (len(theirs) < 2 or sum(theirs) < PATIENCE_S):
        theirs.append(peer.seconds(mode, body))
        for _ in range(3):
            seconds, answer = timed(lambda: edgead.detect(mode, body))
            ours.append(seconds)
    return statistics.median(ours), statistics.median(theirs), answer


def footprint(python, module):
    done = subprocess.run(
        [python, "-c", FOOTPRINT.format(module=module)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return json.loads(done.stdout.splitlines()[-1])


def profile(mode, body):
    """The ten calls of ours that take most of their own time."""
    import edgead

    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(5):
        edgead.detect(mode, body)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(10)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--peer", default=str(ROOT / ".venv-peer/bin/python"), help="Python of the reference's environment"
    )
    parser.add_argument("--quick", action="store_true", help="without n = 2880 and 8640")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker()
        return
    sys.path.insert(0, str(ROOT))
    peer, rows = Peer(options.peer), []
    print(
        f"{'granularity':12}{'n':>6} {'mode':7}{'period':>7}{'ours ms':>10}{'reference ms':>14}{'ratio':>8}"
    )
    for granularity in STEPS:
        for n in LENGTHS[: 3 if options.quick else None]:
            for seasonal in (True, False):
                body = request(granularity, n, seasonal)
                for mode in ("entire", "last"):
                    ours, theirs, answer = compare(peer, mode, body)
                    rows.append((theirs / ours, n, answer["period"] > 1, mode, body))
                    cells = f"{answer['period']:7}{1e3 * ours:10.3f}{1e3 * theirs:14.1f}{theirs / ours:8.0f}"
                    print(f"{granularity:12}{n:6} {mode:7}{cells}", flush=True)
    peer.close()
    for what, holds, median, least in GOALS:
        ratios = sorted(row[0] for row in rows if holds(row[1], row[2]))
        figures = f"median {statistics.median(ratios):.0f}x (goal {median}x), least {ratios[0]:.0f}x (goal {least}x)"
        print(f"{what}: {figures}, {len(ratios)} cases")
    for name, python, module in (
        ("edgead", sys.executable, "edgead.univariate.rest"),
        ("reference", options.peer, "anomaly_detector.univariate.univariate_anomaly_detection"),
    ):
        cost = footprint(python, module)
        print(f"import of {name}: {cost['seconds']:.2f} s, resident memory {cost['rss_mb']:.0f} MB")
    ratio, n, _, mode, body = min(rows, key=lambda row: row[0])
    print(f"least ratio, {ratio:.0f}x: {body['granularity']}, n = {n}, {mode}; where its time goes:")
    profile(mode, body)


if __name__ == "__main__":
    main()
