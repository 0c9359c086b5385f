"""Training: from a table of normal rows to a verified model package (torch only here).

`train` fits the forecaster and the banks, calibrates them on held-back rows, exports to ONNX, compares
onnxruntime with torch and packs the result.  A package comes out only when all of it passed.
"""

import hashlib
from datetime import UTC, datetime

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from edgead._version import VERSION
from edgead.errors import InvalidInput
from edgead.multivariate import AlignPolicy, ModelSpec, Scaler, Scorer, Table, Thresholds, Variable
from edgead.multivariate.align import LARGEST_VALUE
from edgead.multivariate.spec import MAX_NAME, MAX_VARIABLES, MAX_WINDOW, MIN_STEP_S, MIN_WINDOW
from edgead.onnx import Session
from edgead.package import SelfTest, Training, read_package, self_test, write_package
from edgead.training import calibrate as calibration
from edgead.training import network
from edgead.training.backends import choose_device
from edgead.training.export import check_parity, to_onnx
from edgead.training.fit import Progress

__all__ = ["Options", "Trained", "train"]

#: Fewest rows that can be learned from and calibrated on.
MIN_ROWS = 120
#: Share of a value that is rounding and not a measurement.
ROUNDING = 1e-14
PARITY_WINDOWS = 24


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to train.

    Attributes
    ----------
    name, version : str
        Of the package.
    window : int, 28..2880
    epochs : int, >= 0
        Most epochs of the correction; 0 leaves the linear forecast alone.
    seed : int, 0..2**63 - 1
    budget : float, above 0, at most 0.1
        Share of normal rows that may alarm.
    align : AlignPolicy
        Told to the device.
    units : dict of str to str
        Units by variable.
    device : {"auto", "cpu", "cuda"}
        Where torch computes; auto: the GPU when there is one.

    Raises
    ------
    InvalidInput
        Names the option, the value and what was expected.
    """

    name: str
    version: str = "1.0.0"
    window: int = 300
    epochs: int = 12
    seed: int = 0
    budget: float = 0.001
    align: AlignPolicy = AlignPolicy()
    units: dict[str, str] = {}
    device: str = "auto"

    def __post_init__(self) -> None:
        if not MIN_WINDOW <= self.window <= MAX_WINDOW:
            raise InvalidInput(
                f"window = {self.window}: expected {MIN_WINDOW} to {MAX_WINDOW}", code="InvalidSlidingWindow"
            )
        for name, good, expected in (
            ("epochs", self.epochs >= 0, "0 or more"),
            ("seed", 0 <= self.seed < 2**63, "0 to 2**63 - 1"),
            ("budget", 0.0 < self.budget <= 0.1, "above 0, at most 0.1"),
        ):
            if not good:
                raise InvalidInput(f"{name} = {getattr(self, name)!r}: expected {expected}")


class Trained(msgspec.Struct, frozen=True):
    """A new package and what is known of it.

    Attributes
    ----------
    package : bytes
    parameters : int
        Trained numbers.
    parity : float
        Greatest difference between torch and onnxruntime.
    held_alarm_rate : float
        Share of held-back normal rows with a score of 1 or more.
    """

    package: bytes
    parameters: int
    parity: float
    held_alarm_rate: float


def scaling(rows: NDArray[np.float64]) -> Scaler:
    """Mean and standard deviation per variable; a constant one gets a thousandth of its value, at least 0.001.

    Constant is what differs in the last digits of a double at most, whatever the unit: amperes of a leak are small, and
    the mean of a large constant is off by more than that.
    """
    low, high = rows.min(0), rows.max(0)
    center, spread = np.clip(rows.mean(0), low, high), rows.std(0)
    still = (low == high) | (spread <= ROUNDING * np.maximum(np.abs(low), np.abs(high)))
    scale = np.where(still, np.maximum(np.abs(center) * 1e-3, 1e-3), spread)
    return Scaler(tuple(center.tolist()), tuple(scale.tolist()), network.CLIP)


def scaled(rows: NDArray[np.float64], scaler: Scaler) -> network.Array:
    """Rows as the network reads them."""
    z = (rows - np.array(scaler.center)) / np.array(scaler.scale)
    return np.asarray(np.clip(z, -scaler.limit, scaler.limit), np.float32)


def seen_window(rows: int, window: int) -> int:
    """Rows the network looks at: the window, or less when the training rows are few."""
    return max(MIN_WINDOW, min(window, rows // 4))


def _check(table: Table, options: Options) -> None:
    rows, variables = table.rows.shape
    if variables > MAX_VARIABLES:
        raise InvalidInput(f"{variables} variables: at most {MAX_VARIABLES}", code="DataExceedsLimit")
    needed = max(options.window + 1, MIN_ROWS)
    if rows < needed:
        raise InvalidInput(
            f"{rows} rows for a window of {options.window}: at least {needed} needed", code="NotEnoughInput"
        )
    if not (np.abs(table.rows) <= LARGEST_VALUE).all():
        raise InvalidInput(f"rows: expected values of at most {LARGEST_VALUE:g}", code="MergeDataFailed")
    for name in table.names:
        if not 1 <= len(name) <= MAX_NAME:
            raise InvalidInput(
                f"variable {name[:40]!r}: a name of {len(name)} characters, expected 1 to {MAX_NAME}"
            )
    if step_s(table.times_ns) < MIN_STEP_S:
        raise InvalidInput(
            f"rows are {step_s(table.times_ns):g} s apart, at least {MIN_STEP_S:g} needed",
            code="MergeDataFailed",
        )


def step_s(times_ns: NDArray[np.int64]) -> float:
    """The usual step, seconds: the one that every third row has, else (times that jitter) the median."""
    found = np.diff(times_ns)
    steps, counts = np.unique(found, return_counts=True)
    usual = steps[counts.argmax()] if 3 * counts.max() >= len(found) else np.median(found)
    return float(usual) / 1e9


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def made_rows(spec: ModelSpec, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows for the self-test, made and not measured: noise around the centre, then a step in one variable."""
    rng = np.random.default_rng(seed)
    count, variables = spec.window + 40, len(spec.variables)
    rows = 0.5 * rng.standard_normal((count, variables))
    rows[spec.window + 20 :, 0] += 4.0
    rows = np.array(spec.scaler.center) + rows * np.array(spec.scaler.scale)
    ends = spec.window + np.array([0, 10, 21, 24, 30, 40])
    return rows, ends.astype(np.int64)


def _test_vectors(spec: ModelSpec, model: bytes, seed: int) -> SelfTest:
    rows, ends = made_rows(spec, seed)
    scorer = Scorer(spec, Session(model))
    judged = [scorer.judge(rows[end - spec.window : end]) for end in ends.tolist()]
    return SelfTest(
        rows, ends, np.array([j.score for j in judged]), np.array([j.contributions for j in judged])
    )


def train(table: Table, options: Options, *, created: str, progress: Progress | None = None) -> Trained:
    """Train on normal rows.

    Parameters
    ----------
    table : Table
        Aligned and filled normal operation.
    options : Options
        Window, seed, budget ...
    created : str
        Time of training, for the manifest.
    progress : callable, optional
        Called with epoch, training loss and validation loss of the final fit.

    Returns
    -------
    Trained

    Raises
    ------
    InvalidInput
        If rows are too few, not finite, or an option is out of range; codes of the REST contract.
    ModelPackageError
        If the exported graph differs from torch or a device would refuse the package.
    """
    _check(table, options)
    rows = table.rows
    scaler = scaling(rows)
    z = scaled(rows, scaler)
    settings = calibration.Settings(
        options.budget, options.epochs, options.seed, progress, device=choose_device(options.device)
    )
    with torch.random.fork_rng(devices=[]):
        found = calibration.calibrate(z, seen_window(len(z), options.window), settings)
    spec = ModelSpec(
        variables=tuple(
            Variable(name, options.units.get(name, ""), float(column.min()), float(column.max()))
            for name, column in zip(table.names, rows.T, strict=True)
        ),
        window=options.window,
        step_s=step_s(table.times_ns),
        align=options.align,
        scaler=scaler,
        thresholds=Thresholds(
            found.threshold, found.local_threshold, found.correlation_threshold, options.budget
        ),
    )
    model = to_onnx(found.constants, options.window)
    ends = np.linspace(options.window, len(z), PARITY_WINDOWS).astype(int)
    parity = check_parity(model, found.constants, np.stack([z[e - options.window : e] for e in ends]))
    origin = Training(
        start=_iso(int(table.times_ns[0])),
        end=_iso(int(table.times_ns[-1])),
        rows=len(rows),
        data_sha256=hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest(),
        seed=options.seed,
        trainer=f"edgead {VERSION}",
        created=created,
    )
    package = write_package(
        spec,
        name=options.name,
        version=options.version,
        training=origin,
        model=model,
        test=_test_vectors(spec, model, options.seed),
    )
    self_test(read_package(package), Session(model))
    votes = np.maximum(found.held / found.threshold, found.held_local / found.local_threshold)
    return Trained(package, found.constants.parameters, parity, float((votes >= 1.0).mean()))
