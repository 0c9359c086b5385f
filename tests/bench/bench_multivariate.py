"""The multivariate model: cost of one judgement, and whether it names causes.

Without arguments the shipped package judges the simulated pump.  With ``--train`` (extra `train`) networks of 8, 32
and 128 variables are timed too, and faults of 3 to 6 sigma are put into normal rows of the labelled recordings.
Nothing here passes or fails.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT.parent / "shared" / "data")]

from edgead.multivariate import AlignPolicy, Judgement, Scorer, Table  # noqa: E402
from edgead.onnx import Session  # noqa: E402
from edgead.package import read_package  # noqa: E402
from edgead.simulate import PUMP, Column, Fault, inject, simulate  # noqa: E402

FloatArray = NDArray[np.float64]
WATCHED = 20  # rows after its start in which a fault counts as found


def pump_scorer() -> Scorer:
    """The shipped package, loaded."""
    package = read_package((ROOT / "models" / "pump.zip").read_bytes())
    return Scorer(package.manifest, Session(package.model))


def table_of(scorer: Scorer, columns: dict[str, Column]) -> FloatArray:
    """Rows in the model's order."""
    return np.stack([columns[name].values for name in scorer.spec.names], axis=1)


def cost(scorer: Scorer, rounds: int) -> tuple[float, float]:
    """CPU microseconds of one judgement and of the bare session, the least of interleaved rounds."""
    window = np.random.default_rng(0).standard_normal((scorer.spec.window, len(scorer.spec.variables)))
    window = window * np.array(scorer.spec.scaler.scale) + np.array(scorer.spec.scaler.center)
    network, single = scorer.network, window.astype(np.float32)
    best = [np.inf, np.inf]
    for _ in range(rounds):
        for place, call in enumerate((lambda: scorer.judge(window), lambda: network.run(single))):
            start = time.process_time()
            for _ in range(10):
                call()
            best[place] = min(best[place], (time.process_time() - start) / 10)
    return best[0] * 1e6, best[1] * 1e6


def best_of(judged: list[Judgement]) -> Judgement:
    """The judgement with the highest score."""
    return max(judged, key=lambda j: j.score)


def hit_rate(judgement: Judgement, names: tuple[str, ...], faulty: list[str]) -> float:
    """Share of the faulty variables among as many greatest contributors (HitRate@100 %, OmniAnomaly, KDD 2019)."""
    told = [c.variable for c in _interpreted(judgement, names, len(faulty))]
    return len(set(told) & set(faulty)) / len(faulty)


def _interpreted(judgement: Judgement, names: tuple[str, ...], top: int) -> list[object]:
    from edgead.multivariate import interpretation

    return list(interpretation(names, judgement.contributions, judgement.correlation_change, top))


def simulated_causes(scorer: Scorer, seeds: int) -> tuple[float, float]:
    """Hit rate and share found of steps of 3 to 6 sigma in one or two variables of the pump."""
    names, hits, found = scorer.spec.names, [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        columns = simulate(PUMP, 360, seed=2000 + seed)
        faulty = [str(name) for name in rng.choice(names, int(rng.integers(1, 3)), replace=False)]
        for name in faulty:
            size = float(rng.choice([-1, 1]) * rng.uniform(3.0, 6.0))
            columns[name] = inject(columns[name], Fault("step", 330, 30, size))
        judged = best_of(list(scorer.judge_table(table_of(scorer, columns)[: 330 + WATCHED]))[31:])
        hits.append(hit_rate(judged, names, faulty))
        found.append(judged.is_anomaly)
    return float(np.mean(hits)), float(np.mean(found))


def normal_scores(scorer: Scorer, runs: int) -> FloatArray:
    """Scores of fresh normal runs of the pump."""
    scores = []
    for seed in range(runs):
        rows = table_of(scorer, simulate(PUMP, 800, seed=9000 + seed))
        scores += [judged.score for judged in scorer.judge_table(rows)]
    return np.array(scores)


def broken_correlations(scorer: Scorer, seeds: int) -> list[tuple[float, bool]]:
    """A variable taken from another run of the pump: the highest score in a minute, and whether it was named."""
    names, told = scorer.spec.names, []
    for seed in range(seeds):
        columns, other = simulate(PUMP, 420, seed=1000 + seed), simulate(PUMP, 420, seed=5000 + seed)
        name = names[seed % 4]  # the temperature is too slow to break within a minute
        table = table_of(scorer, columns)
        table[360:, names.index(name)] = other[name].values[360:]
        worst = best_of(list(scorer.judge_table(table))[61:])
        told.append((worst.score, hit_rate(worst, names, [name]) == 1.0))
    return told


def coupled(variables: int, rows: int, seed: int, memory: float, noise: float) -> FloatArray:
    """Variables with a quarter as many common causes: AR(1) of this memory, and white noise of this size beside 1."""
    mix = np.random.default_rng(1).standard_normal((max(2, variables // 4), variables))
    rng = np.random.default_rng(seed)
    causes = np.zeros((rows + 500, len(mix)))
    shocks = np.sqrt(1.0 - memory**2) * rng.standard_normal(causes.shape)
    for at in range(1, len(causes)):
        causes[at] = memory * causes[at - 1] + shocks[at]
    mixed = causes[500:] @ (mix / np.linalg.norm(mix, axis=0))
    return mixed + noise * rng.standard_normal(mixed.shape)


def coupled_breaks(
    variables: int, memory: float, noise: float, seeds: int
) -> tuple[FloatArray, list[tuple[float, bool]]]:
    """Scores of fresh normal rows; of each break the highest score in a minute, and whether it was named."""
    scorer = trained_scorer(coupled(variables, 5000, 0, memory, noise))
    fresh = coupled(variables, 10_300, 99, memory, noise)
    normal = np.array([judged.score for judged in scorer.judge_table(fresh)])
    names, told = scorer.spec.names, []
    for seed in range(seeds):
        at = seed % variables
        rows = coupled(variables, 420, 1000 + seed, memory, noise)
        rows[360:, at] = coupled(variables, 420, 5000 + seed, memory, noise)[360:, at]
        worst = best_of(list(scorer.judge_table(rows[61:])))
        told.append((worst.score, hit_rate(worst, names, [names[at]]) == 1.0))
    return normal, told


def _tell_breaks(what: str, normal: FloatArray, told: list[tuple[float, bool]]) -> None:
    """At the model's own threshold, and at the one that gives one false alarm in 1000 rows."""
    for label, edge in (("model's threshold", 1.0), ("1 in 1000", float(np.quantile(normal, 0.999)))):
        found = [named for score, named in told if score >= edge]
        rate = 1000.0 * float((normal >= edge).mean())
        print(
            f"broken correlations, {what}, {label}: {len(found)} of {len(told)} found, {sum(found)} named, "
            f"{rate:.2f} alarms per 1000 of {len(normal)} normal rows",
            flush=True,
        )


def trained_scorer(rows: FloatArray) -> Scorer:
    """Train on rows (extra `train`)."""
    from edgead.training import Options, train

    table = Table(
        tuple(f"v{i:03d}" for i in range(rows.shape[1])),
        np.arange(len(rows), dtype=np.int64) * 1_000_000_000,
        rows,
        (),
    )
    window = min(300, len(rows) // 4)
    options = Options(name="bench", window=window, epochs=4, align=AlignPolicy())
    package = read_package(train(table, options, created="2026-01-01T00:00:00Z").package)
    return Scorer(package.manifest, Session(package.model))


def normal_rows(set_name: str, most: int) -> Iterator[tuple[str, FloatArray]]:
    """Training parts of labelled recordings."""
    harness = importlib.import_module("evaluate")
    for entry in [e for e in harness.index() if e["set"] == set_name][:most]:
        loaded = harness.load(entry)
        yield entry["series"], loaded["x"][: loaded["n_train"]]


def recorded_causes(rows: FloatArray, trials: int) -> tuple[float, float, float]:
    """Offsets of 3 to 6 sigma in one or two variables of rows that were not trained on.

    Returns
    -------
    (float, float, float)
        Hit rate, share of the faults that alarm, and share of the untouched rows that do.
    """
    cut = int(0.75 * len(rows))
    scorer = trained_scorer(rows[:cut])
    window, names = scorer.spec.window, scorer.spec.names
    spread = rows[:cut].std(0)
    quiet = [judged.is_anomaly for judged in scorer.judge_table(rows[cut - window + 1 :][: window + 1000])]
    moving, rng, hits, found = np.flatnonzero(spread > 1e-8), np.random.default_rng(0), [], []
    for _ in range(trials):
        faulty = rng.choice(moving, int(rng.integers(1, 3)), replace=False)
        start = int(rng.integers(cut, len(rows) - WATCHED))
        part = rows[start - window + 1 : start + WATCHED].copy()
        for column in faulty:
            part[window - 1 :, column] += rng.choice([-1, 1]) * rng.uniform(3.0, 6.0) * spread[column]
        judged = best_of(list(scorer.judge_table(part)))
        hits.append(hit_rate(judged, names, [names[i] for i in faulty]))
        found.append(judged.is_anomaly)
    return float(np.mean(hits)), float(np.mean(found)), float(np.mean(quiet))


def _tell_cost(label: str, scorer: Scorer, rounds: int) -> None:
    whole, bare = cost(scorer, rounds)
    print(f"{label}: {whole:.0f} us CPU a judgement, {bare:.0f} us bare session, ratio {whole / bare:.2f}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=50, help="interleaved rounds of timing (default 50)")
    parser.add_argument("--seeds", type=int, default=50, help="simulated faults (default 50)")
    parser.add_argument("--train", action="store_true", help="train too (needs torch)")
    chosen = parser.parse_args()
    scorer = pump_scorer()
    _tell_cost("5 variables (shipped pump)", scorer, chosen.rounds)
    hits, found = simulated_causes(scorer, chosen.seeds)
    print(f"simulated steps of 3 to 6 sigma: HitRate@100% {hits:.3f}, found {found:.2f}")
    runs = max(4, int(0.8 * chosen.seeds))
    _tell_breaks("pump", normal_scores(scorer, runs), broken_correlations(scorer, chosen.seeds))
    if not chosen.train:
        return
    for variables in (8, 32, 128):
        rows = np.random.default_rng(variables).standard_normal((1500, variables))
        _tell_cost(f"{variables} variables", trained_scorer(rows), chosen.rounds)
    for variables, memory, noise in ((8, 0.9, 0.5), (20, 0.9, 0.5), (20, 0.9, 1.0), (40, 0.9, 0.5)):
        normal, told = coupled_breaks(variables, memory, noise, chosen.seeds)
        _tell_breaks(f"{variables} variables, noise {noise}", normal, told)
    for name, most in (("SKAB", 3), ("ASD", 3), ("SMD", 3)):
        for series, rows in normal_rows(name, most):
            hits, found, quiet = recorded_causes(rows, 40)
            print(
                f"{name} {series}: HitRate@100% {hits:.3f}, {found:.2f} of the faults found, "
                f"{1000 * quiet:.1f} alarms per 1000 untouched rows",
                flush=True,
            )


if __name__ == "__main__":
    main()
