"""The multivariate model against the service team's own detector, interleaved: `make bench-peer`.

    python tests/bench/bench_multivariate_peer.py [--peer .venv-peer/bin/python] [--quick]

The reference (`MultivariateAnomalyDetector`, graph attention + GRU + VAE) runs as a worker in its own environment.
Both learn the same rows with a window of 300, then judge new rows in turn: the reference by `predict` on one window,
ours as a group of an agent does, from the readings of one row to its verdict.  Each measures the processor time of
its own process with one thread of computation, so that other work on the machine does not count.  Nothing passes or
fails.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SIZES, ROWS, WINDOW = (8, 32, 128), 3000, 300
#: Least times faster than the reference; most of a bare run of the network.
GOAL_FASTER, GOAL_BARE = 50, 1.5
#: Epochs that are run when the reference's own number would take too long, and the number.
REFERENCE_EPOCHS = 100

RESIDENT = """
import sys
sys.path.insert(0, {here!r})
from bench_multivariate_peer import {load} as load, resident_mb
base = resident_mb()
models = [load({path!r}) for _ in range({count})]
print(base, resident_mb())
"""


def resident_mb():
    """Resident memory of this process, MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def coupled(variables, rows=ROWS):
    """Normal operation: slow common causes, a cycle each, noise."""
    rng, t = np.random.default_rng(variables), np.arange(rows)[:, None]
    causes = np.sin(
        t / rng.uniform(15, 60, max(2, variables // 4)) + rng.uniform(0, 6, max(2, variables // 4))
    )
    mixed = causes @ rng.standard_normal((causes.shape[1], variables))
    return 10.0 + mixed + 0.3 * rng.standard_normal((rows, variables))


def spent(call):
    """Processor seconds of this process, and what the call gave."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


# ---------------------------------------------------------------- the reference, in its own environment


def _frame(rows):
    import pandas as pd

    names = [f"v{at:03d}" for at in range(rows.shape[1])]
    return pd.DataFrame(rows, columns=names)


def load_reference(path):
    """A detector with a trained model, after one judgement."""
    import torch
    from anomaly_detector.multivariate.model import MultivariateAnomalyDetector

    torch.set_num_threads(1)
    detector = MultivariateAnomalyDetector()
    detector.load_checkpoint(path)
    rows = coupled(len(detector.pct_weight), WINDOW)
    detector.predict(None, _frame(rows), params={"sliding_window": WINDOW})
    return detector


def worker():
    """Answer requests on stdin: fit, then predictions."""
    import warnings

    warnings.filterwarnings("ignore")
    import torch
    from anomaly_detector.multivariate.model import MultivariateAnomalyDetector

    torch.set_num_threads(1)
    detector, rows = None, None
    for line in sys.stdin:
        query = json.loads(line)
        if query["do"] == "fit":
            detector, rows = MultivariateAnomalyDetector(), coupled(query["variables"])
            params = {"sliding_window": WINDOW, "epochs": query["epochs"], "save": query["folder"]}
            seconds, _ = spent(lambda d=detector, r=rows, p=params: d.fit(_frame(r), params=p))
            detector.save_checkpoint()
        else:
            window = _frame(rows[query["at"] : query["at"] + WINDOW])
            params = {"sliding_window": WINDOW}
            seconds, told = spent(lambda d=detector, w=window, p=params: d.predict(None, w, params=p))
            assert len(told) == 1
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

    def seconds(self, **query):
        self.process.stdin.write(json.dumps(query) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith('{"seconds"'):
                return json.loads(line)["seconds"]
        raise SystemExit("the reference's worker ended early")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---------------------------------------------------------------- ours


def load_ours(path):
    """A model of an agent with its window, after one judgement."""
    from edgead.agent.models import Model, Windowed
    from edgead.package import read_package

    model = Model(read_package(Path(path).read_bytes()))
    windowed = Windowed(model, top=5)
    for row in coupled(len(windowed.variables), WINDOW).tolist():
        windowed.judge(tuple(row))
    return windowed


def train(rows):
    """(package, seconds) of the same rows."""
    import torch

    from edgead.multivariate import Table
    from edgead.training import Options
    from edgead.training import train as run

    torch.set_num_threads(1)
    names = tuple(f"v{at:03d}" for at in range(rows.shape[1]))
    table = Table(names, np.arange(len(rows), dtype=np.int64) * 10**9, rows, ())
    options = Options(name="bench", window=WINDOW)
    seconds, trained = spent(lambda: run(table, options, created="2026-01-01T00:00:00Z"))
    return trained.package, seconds


class Ours:
    """A group fed reading by reading, and its bare network."""

    def __init__(self, package, rows):
        from edgead.agent.models import Model, Windowed
        from edgead.package import read_package
        from edgead.stream.group import Group
        from edgead.stream.outcome import Outcome
        from edgead.stream.settings import GroupSettings

        model = Model(read_package(package))
        names = model.spec.names
        self.rows, self.outcome, self.time_ns = [tuple(row) for row in rows.tolist()], Outcome, 0
        settings = GroupSettings(variables={name: name for name in names})
        self.group = Group("bench", settings, Windowed(model, top=5), "bench")
        self.scaled = np.array([model.scale(row) for row in self.rows])
        self.session = model.session
        for at in range(WINDOW):
            self.judge(at)

    def judge(self, at):
        """From the readings of one row to its verdict."""
        self.time_ns += 10**9
        out = self.outcome()
        for variable, value in enumerate(self.rows[at]):
            self.group.take(variable, self.time_ns, value, out)
        return out.verdicts

    def bare(self, at):
        """The network alone."""
        return self.session.run(self.scaled[at : at + WINDOW])


def judgements(peer, ours, rounds):
    """Median seconds of a judgement of the reference, of ours, and of the bare network, interleaved."""
    theirs, whole, bare = [], [], []
    for round_ in range(rounds):
        theirs.append(peer.seconds(do="predict", at=round_))
        for at in range(10 * round_, 10 * round_ + 10):
            bare.append(spent(lambda at=at: ours.bare(at))[0])
            seconds, verdicts = spent(lambda at=at: ours.judge(WINDOW + at))
            assert len(verdicts) == 1
            whole.append(seconds)
    return statistics.median(theirs), statistics.median(whole), statistics.median(bare)


def resident(python, load, path, count):
    """MB of a process before and with so many models, each judged once."""
    code = RESIDENT.format(here=str(Path(__file__).parent), load=load, path=str(path), count=count)
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    before, after = map(float, done.stdout.splitlines()[-1].split())
    return before, after


def compare(peer_python, variables, epochs, rounds):
    """Print the figures of one size."""
    rows = coupled(variables)
    package, ours_s = train(rows)
    ours, peer = Ours(package, rows), Peer(peer_python)
    with tempfile.TemporaryDirectory() as folder:
        fit_s = peer.seconds(do="fit", variables=variables, epochs=epochs, folder=folder)
        theirs, whole, bare = judgements(peer, ours, rounds)
        peer.close()
        print(
            f"{variables} variables: a row {1e3 * whole:.2f} ms, reference {1e3 * theirs:.0f} ms, "
            f"{theirs / whole:.0f}x faster (goal {GOAL_FASTER}x); bare network {1e3 * bare:.2f} ms, "
            f"ratio {whole / bare:.2f} (goal {GOAL_BARE})"
        )
        print(
            f"  training on {ROWS} rows: {ours_s:.1f} s, reference {fit_s:.0f} s "
            f"({epochs} of its {REFERENCE_EPOCHS} epochs): {fit_s / ours_s:.0f}x"
        )
        path, checkpoint = Path(folder) / "bench.zip", Path(folder) / "best_multi_ad_model.pt"
        path.write_bytes(package)
        for label, python, load, file in (
            ("ours", sys.executable, "load_ours", path),
            ("reference", peer_python, "load_reference", checkpoint),
        ):
            (before, one), (_, ten) = (resident(python, load, file, count) for count in (1, 10))
            print(
                f"  resident memory, {label}: {before:.0f} MB, one model {one:.0f} MB, ten {ten:.0f} MB",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--peer", default=str(ROOT / ".venv-peer/bin/python"), help="Python of the reference's environment"
    )
    parser.add_argument("--quick", action="store_true", help="10 epochs of the reference, fewer rounds")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker()
        return
    sys.path.insert(0, str(ROOT))
    for variables in SIZES:
        compare(
            options.peer,
            variables,
            10 if options.quick else REFERENCE_EPOCHS,
            5 if options.quick else 15,
        )


if __name__ == "__main__":
    main()
