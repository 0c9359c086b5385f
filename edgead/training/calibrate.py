"""Units and thresholds from held-back normal rows.

Training rows are cut into contiguous folds; each fold is judged by parts fitted on the others, so that every row
is judged as a new one will be.  The parts of the final network are then fitted on all rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from edgead.training import fit
from edgead.training import network as net
from edgead.training.backends import TorchOps, deterministic

FOLDS = 4
#: The quantile of a part's normal values that counts 1.
UNIT_QUANTILE = 0.995
#: Least unit: of rows that repeat exactly a bank's part is the rounding of single precision (some 1e-7), which is
#: another on each processor and must not count.
UNIT_FLOOR = 1e-3
CHUNK_ROWS = 4096
Judge = Callable[[torch.Tensor], Sequence[torch.Tensor]]
#: The local part has its vote already; alone it alarms only so many times beyond its own edge.  Measured on the
#: labelled recordings: without it alarms of the local part alone cost 0.006 of the mean VUS-PR.
LOCAL_MARGIN = 1.5


@dataclass(frozen=True)
class Calibrated:
    """A network, its thresholds, and the joined and local votes of the held-back rows."""

    constants: net.Constants
    threshold: float
    local_threshold: float
    correlation_threshold: float
    held: net.Array
    held_local: net.Array


def tail_threshold(values: NDArray[np.floating], risk: float) -> float:
    """The value that a share `risk` of normal rows passes.

    A generalised Pareto distribution fitted by moments to the excesses over the 98 % quantile (Siffer et al.,
    Anomaly Detection in Streams with Extreme Value Theory, KDD 2017); a plain quantile where they are few.
    """
    start = float(np.quantile(values, 0.98))
    excess = values[values > start].astype(np.float64) - start
    if len(excess) < 10 or excess.mean() <= 0.0:
        return max(float(np.quantile(values, 1.0 - risk)), 1e-6)
    mean, variance = float(excess.mean()), max(float(excess.var()), 1e-18)
    shape = 0.5 * (1.0 - mean * mean / variance)
    scale = 0.5 * mean * (1.0 + mean * mean / variance)
    ratio = risk * len(values) / len(excess)
    step = -scale * np.log(ratio) if abs(shape) < 1e-6 else scale / shape * (ratio**-shape - 1.0)
    return float(max(start + step, start, 1e-6))


def folds(rows: int, start: int, gap: int) -> Iterator[tuple[NDArray[np.bool_], slice]]:
    """Rows to fit on and rows to judge; `gap` rows between them are used by neither side's fit."""
    edges = np.linspace(0, rows, FOLDS + 1).astype(int)
    for first, last in pairwise(edges.tolist()):
        fitted = np.ones(rows, bool)
        fitted[:start] = False
        fitted[max(first - gap, 0) : last + gap] = False
        yield fitted, slice(first, last)


def in_chunks(ops: TorchOps, z: net.Array, lead: int, judge: Judge) -> list[net.Array]:
    """Apply a function that needs `lead` earlier rows, a chunk of rows at a time."""
    out = []
    for start in range(lead, len(z), CHUNK_ROWS):
        with torch.no_grad():
            out.append([ops.array(x) for x in judge(ops.tensor(z[start - lead : start + CHUNK_ROWS]))])
    return [np.concatenate(parts) for parts in zip(*out, strict=True)]


def judge_table(constants: net.Constants, z: net.Array) -> tuple[net.Array, net.Array]:
    """Joined and local votes of every row that ends a whole window."""
    ops = TorchOps()

    def judge(part: torch.Tensor) -> list[torch.Tensor]:
        out = net.judge(ops, constants, part)
        return [out.joined, out.local]

    joined, local = in_chunks(ops, z, constants.layout.window - 1, judge)
    return joined, local


@dataclass(frozen=True)
class Settings:
    """How to train: alarm budget as a share of normal rows, epochs, seed, progress, parts that vote, torch's device."""

    budget: float = 0.001
    epochs: int = 12
    seed: int = 0
    progress: fit.Progress | None = None
    parts: tuple[str, ...] = net.PARTS
    device: str = "cpu"


def _forecast(
    ops: TorchOps, table: net.Array, z: net.Array, rows: NDArray[np.bool_], settings: Settings
) -> net.Forecast:
    linear = fit.fit_linear(table[rows], z[rows])
    return fit.fit_correction(
        ops,
        table[rows],
        z[rows],
        linear,
        epochs=settings.epochs,
        seed=settings.seed,
        progress=settings.progress,
    )


def _bank_squares(
    ops: TorchOps, layout: net.Layout, bank: net.Bank, features: torch.Tensor
) -> list[torch.Tensor]:
    return [net.bank_squares(ops, layout, bank, "bank", features)]


def _held_errors(
    ops: TorchOps, layout: net.Layout, z: net.Array, settings: Settings
) -> tuple[net.Array, net.Array]:
    """Held-back errors of the linear and of the corrected forecast, rows span .. n-1."""
    table, span = fit.lag_table(ops, layout, z), layout.span
    quiet = replace(settings, progress=None)
    linear, errors = np.zeros_like(z), np.zeros_like(z)
    for fitted, judged in folds(len(z), span, layout.long):
        model = _forecast(ops, table, z, fitted, quiet)
        lead = z[max(judged.start - span, 0) : judged.stop]
        first = slice(max(judged.start, span), judged.stop)
        linear[first], errors[first] = in_chunks(
            ops, lead, span, partial(net.forecast_errors, ops, layout, model)
        )
    return linear[span:], errors[span:]


def _features(ops: TorchOps, layout: net.Layout, z: net.Array) -> tuple[net.Array, net.Array]:
    """Level and shape features, the last of each for the last row."""
    (level,) = in_chunks(ops, z, layout.long - 1, lambda x: [net.level_features(ops, layout, x)])
    (shape,) = in_chunks(ops, z, layout.spectrum - 1, lambda x: [net.shape_features(ops, layout, x)])
    return level, shape


def _held_bank(
    ops: TorchOps, layout: net.Layout, features: net.Array, numbers: int, last: int, rows: int
) -> net.Array:
    """Held-back bank part of the last `rows` rows, shape (rows, 1)."""
    out = np.zeros((len(features), 1), np.float32)
    for fitted, judged in folds(len(features), 0, layout.long):
        bank = fit.fit_bank(features[fitted], numbers)
        (squares,) = in_chunks(ops, features[judged], 0, partial(_bank_squares, ops, layout, bank))
        out[judged] = np.sqrt(squares.mean(1, keepdims=True))
    return ops.array(net.trailing_mean(ops, ops.tensor(out[-(rows + last - 1) :]), last, 1))


def _correlation_normal(
    ops: TorchOps, layout: net.Layout, z: net.Array
) -> tuple[net.Array, net.Array, net.Array]:
    """Mean and spread of running correlations in normal operation, and each window's greatest change."""
    ends = np.unique(np.linspace(layout.correlation, len(z), 400).astype(int))
    recent = (ops.tensor(z[e - layout.correlation : e]) for e in ends.tolist())
    seen = np.stack([ops.array(net.correlations(ops, layout, part)) for part in recent])
    mean, spread = seen.mean(0), seen.std(0) + 0.1
    change = np.sqrt((((seen - mean) / spread) ** 2).mean(2)).max(1)
    return mean.astype(np.float32), spread.astype(np.float32), change


@dataclass(frozen=True)
class _Held:
    """What held-back rows gave: normal errors, features of all rows, parts of the rows that end a window."""

    errors: net.Errors
    level: net.Array
    shape: net.Array
    parts: net.Array


def _hold_back(ops: TorchOps, layout: net.Layout, z: net.Array, settings: Settings) -> _Held:
    rows = len(z) - layout.window + 1
    level, shape = _features(ops, layout, z)
    banks = [
        _held_bank(ops, layout, level, fit.LEVEL_NUMBERS, net.SHORT, rows),
        _held_bank(ops, layout, shape, fit.SHAPE_NUMBERS, net.SHAPE_ROWS, rows),
    ]
    linear, errors = _held_errors(ops, layout, z, settings)
    normal = fit.fit_errors(ops, layout, linear, errors)
    squares = net.error_squares(ops, layout, normal, ops.tensor(linear), ops.tensor(errors), rows)
    parts = [ops.array(part) for part in net.error_parts(ops, squares)]
    return _Held(normal, level, shape, np.concatenate(parts + banks, 1))


def calibrate(z: net.Array, window: int, settings: Settings | None = None) -> Calibrated:
    """Fit and calibrate a network on normal rows.

    Parameters
    ----------
    z : ndarray of float32, shape (rows, variables)
        Scaled and clipped normal rows, at least three windows.
    window : int, 28..2880
        Rows the network sees.
    settings : Settings, optional
        Alarm budget, epochs, seed, device.

    Returns
    -------
    Calibrated
    """
    settings = settings or Settings()
    layout, ops = net.Layout(window, z.shape[1]), TorchOps(settings.device)
    with deterministic(settings.device):
        return _calibrate(ops, layout, z, settings)


def _calibrate(ops: TorchOps, layout: net.Layout, z: net.Array, settings: Settings) -> Calibrated:
    held = _hold_back(ops, layout, z, settings)
    medians = np.median(held.parts, 0).astype(np.float32)
    units = (np.quantile(held.parts, UNIT_QUANTILE, axis=0) - medians + 1e-6).astype(np.float32)
    units = np.maximum(units, np.float32(UNIT_FLOOR))
    caps = np.where(np.isin(net.PARTS, settings.parts), net.CAPS, 0.0).astype(np.float32)
    counted = np.clip((held.parts - medians) / units, 0.0, None)
    joined = (np.minimum(counted, caps) ** net.POWER).mean(1) ** (1.0 / net.POWER)
    local = counted[:, net.PARTS.index("local")]
    mean, spread, change = _correlation_normal(ops, layout, z)
    whole = np.arange(len(z)) >= layout.span
    constants = net.Constants(
        layout,
        _forecast(ops, fit.lag_table(ops, layout, z), z, whole, settings),
        held.errors,
        fit.fit_bank(held.level, fit.LEVEL_NUMBERS),
        fit.fit_bank(held.shape, fit.SHAPE_NUMBERS),
        medians,
        units,
        caps,
        mean,
        spread,
    )
    return Calibrated(
        constants,
        tail_threshold(joined, settings.budget / 2.0),
        LOCAL_MARGIN * tail_threshold(local, settings.budget / 2.0),
        tail_threshold(change, 0.005),
        joined.astype(np.float32),
        local.astype(np.float32),
    )
