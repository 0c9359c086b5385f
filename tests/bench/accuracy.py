"""Quality figures of the streaming detector on the labelled recordings, beside their published baselines.

As an adapter of the recordings' own harness, from this folder::

    python ../../../shared/data/evaluate.py --impl accuracy:spectral_residual --set KPI

``python tests/bench/accuracy.py`` prints the table of docs/algorithms.md; ``--sets`` and ``--methods`` choose
(``--methods ablation`` for the parts of ``srcnn``), ``--sensitivities`` prints that of the sensitivities.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT))

import edgead.univariate.streaming as streaming  # noqa: E402
from edgead.native import SpectralResidual  # noqa: E402
from edgead.univariate import DetectorSettings  # noqa: E402

Array = NDArray[np.float64]
#: Parts of the multivariate network; kept here so that torch is imported only when one is asked for.
PARTS = ("short", "long", "local", "cross", "level", "shape")


def spectral_residual(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The detector with its default settings; of several columns the highest score, any flag.

    Parameters
    ----------
    train, test : ndarray of float64, shape (rows, columns)
        The series goes from one into the other; the detector judges from the first row on and never looks
        ahead.
    sampling_seconds : float
        Not used: the detector knows rows, not seconds.

    Returns
    -------
    tuple of ndarray, shape (rows of test,)
        Scores (1.0 = edge of normal) and flags.
    """
    del sampling_seconds
    return _light(train, test, DetectorSettings().sensitivity)


def _light(train: Array, test: Array, sensitivity: int) -> tuple[Array, NDArray[np.bool_]]:
    scores, flags = np.zeros(len(test)), np.zeros(len(test), np.bool_)
    for column in np.concatenate([train, test]).T:
        detector = SpectralResidual(DetectorSettings().window, sensitivity=sensitivity)
        score, _, _, _, _, hit = detector.judge_many(column)
        scores = np.maximum(scores, score[len(train) :])
        flags |= hit[len(train) :]
    return scores, flags


def _parts(
    train: Array, test: Array, seconds: float, kind: str, voice: str
) -> tuple[Array, NDArray[np.bool_]]:
    """A voice of the detector ``srcnn``; of several columns the highest score, any flag."""
    sys.path.insert(0, str(Path(__file__).parent))
    from srcnn_parts import voices

    _imported("evaluate")
    scores, flags = np.zeros(len(test)), np.zeros(len(test), np.bool_)
    for column in np.concatenate([train, test]).T:
        heard = voices(column, seconds, kind, DATA)
        found = getattr(heard, voice)
        scores = np.maximum(scores, found[len(train) :])
        flags |= (heard.told if voice == "all" else found >= 1.0)[len(train) :]
    return scores, flags


def srcnn(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The detector with the shipped network and default settings; arguments and result as of `spectral_residual`.

    The sampling interval tells it the rows of a day.
    """
    return _parts(train, test, sampling_seconds, "shipped", "all")


def srcnn_held_out(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The same with a network that knows nothing of the series, its train part included (trains two, some minutes)."""
    return _parts(train, test, sampling_seconds, "held-out", "all")


def srcnn_simulation(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The same with a network that knows simulated series alone (trains it, seconds)."""
    return _parts(train, test, sampling_seconds, "simulation", "all")


def default(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """What ``detector = "default"`` is on this machine."""
    judge = {"srcnn": srcnn, "spectral-residual": spectral_residual}[streaming.resolve("default")]
    return judge(train, test, sampling_seconds)


def saliency_alone(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The saliency on the innovation, against the tail of its own past."""
    return _parts(train, test, sampling_seconds, "shipped", "saliency")


def no_network(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """All views and the daily profile, and no network."""
    return _parts(train, test, sampling_seconds, "shipped", "core")


def network_alone(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The network's log-odds against one limit for all series."""
    return _parts(train, test, sampling_seconds, "held-out", "network")


def memory_alone(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The distance to the nearest remembered patch, against the tail of its own past."""
    return _parts(train, test, sampling_seconds, "held-out", "memory")


@lru_cache(maxsize=1)
def _trained(data: bytes, columns: int, epochs: int, parts: tuple[str, ...]) -> Any:
    """Scaler, window and calibrated network; kept, because the harness asks again with another future."""
    from edgead.training import scaled, scaling, seen_window
    from edgead.training.calibrate import Settings, calibrate

    train = np.frombuffer(data).reshape(-1, columns)
    scaler, window = scaling(train), seen_window(len(train), 300)
    found = calibrate(scaled(train, scaler), window, Settings(epochs=epochs, parts=parts))
    return scaler, window, found


def _network(
    train: Array, test: Array, epochs: int = 12, parts: tuple[str, ...] = PARTS
) -> tuple[Array, NDArray[np.bool_]]:
    """Train on one part and judge every row of the other with the exported network's twin in torch.

    The twin is held to onnxruntime by 1e-4 at every export; judging a table with it takes a hundredth of the
    time of judging it row by row.
    """
    from edgead.training import scaled
    from edgead.training.calibrate import judge_table

    scaler, window, found = _trained(train.tobytes(), train.shape[1], epochs, parts)
    rows = np.concatenate([train[-(window - 1) :], test])
    joined, local = judge_table(found.constants, scaled(rows, scaler))
    scores = (joined / found.threshold).astype(np.float64)
    if "local" in parts:
        scores = np.maximum(scores, local / found.local_threshold)
    return scores, scores >= 1.0


def multivariate(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """The network of `edgead.training`, trained inside (extra `train`); of one variable it works too.

    Parameters
    ----------
    train, test : ndarray of float64, shape (rows, columns)
        The series goes from one into the other.
    sampling_seconds : float
        Not used.

    Returns
    -------
    tuple of ndarray, shape (rows of test,)
        Scores (1.0 = edge of normal) and flags.
    """
    del sampling_seconds
    return _network(train, test)


def multivariate_linear(
    train: Array, test: Array, sampling_seconds: float
) -> tuple[Array, NDArray[np.bool_]]:
    """The same without what gradient descent learned: the linear forecast alone."""
    del sampling_seconds
    return _network(train, test, epochs=0)


def multivariate_removed(
    train: Array, test: Array, sampling_seconds: float
) -> tuple[Array, NDArray[np.bool_]]:
    """The same with the whole forecaster removed: banks of fixed features alone."""
    del sampling_seconds
    return _network(train, test, epochs=0, parts=("level", "shape"))


def _imported(name: str) -> ModuleType:
    if str(DATA) not in sys.path:
        sys.path.insert(0, str(DATA))
    return importlib.import_module(name)


def table_line(label: str, judge: Callable[..., object], name: str, each_variable: bool) -> str:
    """One line of the table: a method on the public part of a set."""
    out, _ = _imported("evaluate").run(judge, name, "public", verbose=False, each_variable=each_variable)
    budget, events = out["budget"], out["flags_events"]
    nab = f"{out['NAB']['standard']:.1f} / {out['flags_NAB']['standard']:.1f}" if "NAB" in out else "-"
    return (
        f"| {name}{', each variable' if each_variable else ''} | {label} | {out['VUS_PR']:.3f} "
        f"| {budget['ERk@0.1']:.2f} / {budget['ERk@1.0']:.2f} | {out['flags_delay']['F1']:.3f} | {nab} "
        f"| {events['events_found']}/{events['events']}, {events['false_per_1e5_rows'] / 100:.2f} "
        f"| {out['us_per_row']:.1f} | {'yes' if out['causality']['ok'] else 'NO'} |"
    )


#: Noise without anomalies, readings of each of five seeds.
NOISE: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "white noise": lambda rng, n: rng.standard_normal(n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "Student t, 3": lambda rng, n: rng.standard_t(3, n),
    "season + noise": lambda rng, n: 5 * np.sin(2 * np.pi * np.arange(n) / 144) + rng.standard_normal(n),
}
NOISE_ROWS = 200_000


def _noise_events(kind: str, sensitivity: int) -> float:
    """Opened events in 1000 readings of a noise."""
    opened = 0
    for seed in range(5):
        rows = NOISE[kind](np.random.default_rng(seed), NOISE_ROWS)[:, None]
        hits = _light(rows[:0], rows, sensitivity)[1]
        opened += int(hits[0]) + int((hits[1:] & ~hits[:-1]).sum())
    return 1000 * opened / (5 * NOISE_ROWS)


def sensitivity_line(sensitivity: int) -> str:
    """False events of the light detector in 1000 readings, with what was found of the recordings' anomalies."""
    cells = [f"{_noise_events(kind, sensitivity):.2f}" for kind in NOISE]

    def judge(train: Array, test: Array, sampling_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
        return _light(train, test, sensitivity)

    for name, each_variable in (("KPI", False), ("NAB", False), ("SKAB", True)):
        out, _ = _imported("evaluate").run(judge, name, "public", verbose=False, each_variable=each_variable)
        events = out["flags_events"]
        false = events["false_per_1e5_rows"] / 100
        cells.append(f"{false:.2f} ({events['events_found']} of {events['events']})")
    return f"| {sensitivity} | {' | '.join(cells)} |"


#: Set, and whether every variable is judged alone.
SETS = {"KPI": False, "NAB": False, "SKAB": True, "SMD": True, "ASD": True, "HYDRAULIC": True}

#: Methods of the table, by the names in it; baselines are of the recordings' own.
METHODS: dict[str, Callable[..., object]] = {
    "srcnn": srcnn,
    "srcnn, series held out": srcnn_held_out,
    "srcnn, simulation": srcnn_simulation,
    "default": default,
    "spectral-residual": spectral_residual,
}
ABLATION: dict[str, Callable[..., object]] = {
    "saliency": saliency_alone,
    "no network": no_network,
    "network": network_alone,
    "memory": memory_alone,
    "all": srcnn_held_out,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS), help="default: all")
    parser.add_argument(
        "--methods", nargs="*", help="names of the table's methods, or ablation; default: all"
    )
    parser.add_argument("--sensitivities", action="store_true", help="the table of the sensitivities instead")
    options = parser.parse_args()
    if options.sensitivities:
        print(f"| sensitivity | {' | '.join([*NOISE, 'KPI', 'NAB', 'SKAB, each variable'])} |\n|{'---|' * 8}")
        for sensitivity in (50, 70, 80, 90, 95, 100):
            print(sensitivity_line(sensitivity), flush=True)
        return
    baselines = {"z-score": _imported("baselines").zscore, "first differences": _imported("baselines").diff1}
    methods = ABLATION if options.methods == ["ablation"] else METHODS | baselines
    if options.methods and methods is not ABLATION:
        methods = {name: methods[name] for name in options.methods}
    print(
        "| set | method | VUS-PR | ERk@0.1 / ERk@1 | own flags: delay F1 | NAB standard swept / own flags "
        "| own flags: events, false/1000 rows | us/row | causal |"
    )
    print("|" + "---|" * 9)
    for name in options.sets:
        for label, judge in methods.items():
            print(table_line(label, judge, name, SETS[name]), flush=True)


if __name__ == "__main__":
    main()
