"""Whether a new network of single series would be turned down: beside the shipped one, on the public recordings.

Columns of recordings are the series; the shipped network has judged 1500 rows of each when the new one begins, cold, as
in a shadow run.  Then sets of 1 to 32 of them are drawn, and the rule of the trial asked.
``python tests/bench/trials_of_networks.py PACKAGE.zip [--shadow 1000]``.
"""

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from edgead.agent.updates import Tally
from edgead.package import open_package
from edgead.univariate import networks
from edgead.univariate.srcnn import SrcnnDetector
from edgead.univariate.streaming import DetectorSettings
from tests.recordings import DATA, evaluate

WARM, COLD = 1500, 88
COLUMNS, SERIES, DRAWS, SEED = 3, 120, 300, 4
SETTINGS = DetectorSettings(window=1440)


def columns(rows: int) -> list[np.ndarray[Any, Any]]:
    """At most `COLUMNS` columns of each public recording that is long enough and moves, in drawn order."""
    harness, found = evaluate(), []
    for entry in json.loads((DATA / "index.json").read_text())["series"]:
        if str(entry.get("file", "")).startswith("public/"):
            values = np.asarray(harness.load(entry)["x"], float)[:, :COLUMNS]
            found += [
                each for each in values.T if len(each) > rows and np.isfinite(each).all() and each.std()
            ]
    random.Random(SEED).shuffle(found)
    return found[:SERIES]


def flags(detector: SrcnnDetector, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which readings are abnormal."""
    histories = np.empty((len(values), *detector.network.shape), np.float32)
    tickets = [detector.prepare(float(value), 0, histories[at]) for at, value in enumerate(values)]
    scores, embeddings = detector.network.judge(histories)
    judged = map(detector.conclude, tickets, scores, embeddings)
    return np.array([each[5] for each in judged])


def trial(values: np.ndarray[Any, Any], other: networks.Network, shadow: int) -> np.ndarray[Any, Any]:
    """Abnormal readings so far of the new network and of the shipped one; shape (2, shadow)."""
    heard, beside = SrcnnDetector(SETTINGS, networks.in_use()), SrcnnDetector(SETTINGS, other)
    flags(heard, values[:WARM])
    beside.load(heard.dump())
    return np.cumsum([flags(each, values[WARM:])[-shadow:] for each in (beside, heard)], axis=1)


def main() -> None:
    """Print the alarms, and the shares of sets that would turn the network down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--shadow", type=int, default=1000)
    parser.add_argument("--ratio", type=float, default=3.0)
    options = parser.parse_args()
    rng, rows = random.Random(SEED), WARM + COLD + options.shadow
    other = networks.load(open_package(options.package.read_bytes()))
    trials = []
    for values in columns(rows):
        at = rng.randrange(len(values) - rows)
        trials.append(trial(values[at : at + rows], other, options.shadow))
    new, old = (sum(int(each[which, -1]) for each in trials) for which in (0, 1))
    print(f"{len(trials)} series of {options.shadow} readings: {other.name} {new} abnormal, shipped {old}")
    for count in (1, 2, 4, 8, 16, 32):
        refused = 0
        for _ in range(DRAWS):
            alarms = sum(rng.sample(trials, count)).T.tolist()
            tallies = (Tally(n, a, n, b) for n, (a, b) in enumerate(alarms, 1))
            refused += any(each.explosion(options.shadow, options.ratio) for each in tallies)
        print(f"{count:4d} series: {refused} of {DRAWS} sets turn it down")


if __name__ == "__main__":
    main()
