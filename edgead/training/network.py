"""The network, written once for two backends: arrays of torch for training, nodes of ONNX for the device.

A convolutional forecaster and two banks of normal windows judge the newest row of a window.  Every step is a
convolution over time, a pooling over time or a function of one row, so the same text judges one window (static
shapes, on the device) or a whole table (calibration).  The past alone is read.

Six parts look at a row, each a root mean square over variables and a few rows (``cross``: a power mean over
variables, nearer to the greatest of them):

==========  =============================================================================================
``short``   forecast error over 5 rows (DeepAnT's idea, Munir et al. 2019, with a linear core)
``long``    the same over 16 rows: faults that stay small
``local``   forecast error over its own recent scale, 16 rows: what stands out locally
``cross``   error that the other variables' errors do not explain (partial correlation), 5 rows
``level``   distance to the nearest normal window by value, local mean and local spread, 5 rows
``shape``   distance to the nearest normal window by logarithmic power spectrum, 4 rows
==========  =============================================================================================

A part counts in units of its own normal tail, from the median (0) to the 99.5 % quantile (1) of held-back
normal rows, and at most `CAPS`: no part outvotes the others by size, and one whose normal tail is heavy is
heard little.  The votes are joined by a power mean of exponent 3.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Tensor = Any

PARTS = ("short", "long", "local", "cross", "level", "shape")
#: Most that a part may count, in units of its own normal tail.
CAPS = np.array([5.0, 5.0, 5.0, 3.0, 5.0, 2.0], np.float32)
POWER = 3.0
SHORT, SHAPE_ROWS = 5, 4
#: Exponent of the mean of squares over variables in the part ``cross``: a broken correlation shows in one or two
#: variables, and a plain mean dilutes them by the number of the others.
CROSS_PEAK = 4.0
#: A squared error of one variable counts at most this much (10 sigma).
ERROR_CAP = 100.0
#: Scaled values are clipped here before they reach the network.
CLIP = 10.0
#: Mean life of the running scale, rows.
SCALE_ROWS = 300
_TINY = 1e-9


class Ops(Protocol):
    """What the network asks of a backend; rows are axis 0 unless said otherwise."""

    def constant(self, name: str, value: NDArray[Any]) -> Tensor:
        """A named array of the graph; the same name is the same array."""
        ...

    def rows(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Rows `start` to before `stop`."""
        ...

    def length(self, x: Tensor) -> int:
        """Number of rows."""
        ...

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Sum, broadcast."""
        ...

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        """Difference, broadcast."""
        ...

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        """Product, broadcast."""
        ...

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        """Quotient, broadcast."""
        ...

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """Greater of two, broadcast."""
        ...

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """Smaller of two, broadcast."""
        ...

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """Product over the last axis of `a` and the first of `b`."""
        ...

    def absolute(self, x: Tensor) -> Tensor:
        """Absolute value."""
        ...

    def relu(self, x: Tensor) -> Tensor:
        """Negative numbers become 0."""
        ...

    def sqrt(self, x: Tensor) -> Tensor:
        """Square root."""
        ...

    def log(self, x: Tensor) -> Tensor:
        """Natural logarithm."""
        ...

    def power(self, x: Tensor, exponent: float) -> Tensor:
        """Power of non-negative numbers."""
        ...

    def mean(self, x: Tensor, axis: int, keep: bool = False) -> Tensor:
        """Mean along one axis."""
        ...

    def concat(self, xs: list[Tensor], axis: int) -> Tensor:
        """Joined along one axis."""
        ...

    def reshape(self, x: Tensor, shape: list[int]) -> Tensor:
        """The same numbers in another shape."""
        ...

    def transpose(self, x: Tensor, order: list[int]) -> Tensor:
        """Axes in another order."""
        ...

    def convolve(self, x: Tensor, kernels: Tensor) -> Tensor:
        """Correlation over time without padding: (items, 1, n) with (kernels, 1, rows)."""
        ...

    def argmin(self, x: Tensor) -> Tensor:
        """Place of the smallest number of each row, the first of equals."""
        ...

    def gather(self, table: Tensor, index: Tensor) -> Tensor:
        """Rows of a table."""
        ...


@dataclass(frozen=True)
class Layout:
    """Sizes that follow from the window and the number of variables.

    Attributes
    ----------
    window, variables : int
    ranges : tuple of (int, int)
        Lag ranges whose means feed the forecast: row t sees the mean of rows t-last .. t-first.
    span : int
        Rows the forecast looks back.
    long : int
        Rows of the long smoothing and of the local mean.
    spectrum : int
        Rows of the spectrum, a power of two.
    history : int
        Rows behind the running scale.
    correlation : int
        Rows of the running correlation.
    """

    window: int
    variables: int
    ranges: tuple[tuple[int, int], ...] = field(init=False)
    span: int = field(init=False)
    long: int = field(init=False)
    spectrum: int = field(init=False)
    history: int = field(init=False)
    correlation: int = field(init=False)

    def __post_init__(self) -> None:
        ranges = [(lag, lag) for lag in (1, 2, 3, 4)]
        ranges += [(a, b) for a, b in ((5, 8), (9, 16), (17, 32)) if b <= self.window // 4]
        span = ranges[-1][1]
        put = object.__setattr__
        put(self, "ranges", tuple(ranges))
        put(self, "span", span)
        put(self, "long", min(16, self.window // 4))
        put(self, "spectrum", min(64, 1 << ((self.window // 2).bit_length() - 1)))
        put(self, "history", min(SCALE_ROWS, self.window - span - self.long))
        put(self, "correlation", min(64, self.window))


@dataclass(frozen=True)
class Forecast:
    """A linear forecast over lags and its correction by two hidden layers (weights are [in, out])."""

    linear: Array
    bias: Array
    hidden: tuple[tuple[Array, Array], ...] = ()


@dataclass(frozen=True)
class Errors:
    """What is normal for forecast errors, per variable."""

    scale: Array
    local_scale: Array
    typical: Array
    whiten: Array
    cross_scale: Array


@dataclass(frozen=True)
class Bank:
    """Normal windows as features [windows, features], standardised by `mean` and `scale`."""

    mean: Array
    scale: Array
    windows: Array


@dataclass(frozen=True)
class Constants:
    """All that training finds.  `medians`, `units`, `caps` are per part; correlation [d, d] mean and spread."""

    layout: Layout
    forecast: Forecast
    errors: Errors
    level: Bank
    shape: Bank
    medians: Array
    units: Array
    caps: Array
    correlation_mean: Array
    correlation_spread: Array

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        arrays = [
            *vars(self.errors).values(),
            *vars(self.level).values(),
            *vars(self.shape).values(),
            self.forecast.linear,
            self.forecast.bias,
            *(a for pair in self.forecast.hidden for a in pair),
            self.medians,
            self.units,
            self.correlation_mean,
            self.correlation_spread,
        ]
        return int(sum(a.size for a in arrays))


def spectrum_kernels(rows: int) -> Array:
    """Fourier kernels under a Hann window that do not see the mean, shape (2 * bins, 1, rows)."""
    hann = np.hanning(rows + 1)[:rows]
    angle = 2.0 * np.pi * np.outer(np.arange(rows // 2 + 1), np.arange(rows)) / rows
    waves = np.concatenate([np.cos(angle), np.sin(angle)]) * hann / np.sqrt(rows)
    return np.asarray((waves - waves.mean(1, keepdims=True))[:, None, :], np.float32)


def spectrum_bands(rows: int) -> Array:
    """Mean of squared real and imaginary parts over bands a quarter octave wide, shape (2 * bins, bands)."""
    bins = rows // 2 + 1
    edges = list(range(min(9, bins + 1)))
    while edges[-1] < bins:
        edges.append(min(bins, int(np.ceil(edges[-1] * 1.25))))
    pool = np.zeros((bins, len(edges) - 1), np.float32)
    for band, (start, stop) in enumerate(pairwise(edges)):
        pool[start:stop, band] = 1.0 / (stop - start)
    return np.concatenate([pool, pool])


def trailing_mean(ops: Ops, x: Tensor, rows: int, columns: int) -> Tensor:
    """Mean of the last `rows` rows, shape (n - rows + 1, columns)."""
    if rows == 1:
        return x
    flat = ops.reshape(ops.transpose(x, [1, 0]), [columns, 1, ops.length(x)])
    kernel = ops.constant(f"mean{rows}", np.full((1, 1, rows), 1.0 / rows, np.float32))
    mean = ops.convolve(flat, kernel)
    return ops.transpose(ops.reshape(mean, [columns, ops.length(x) - rows + 1]), [1, 0])


def _tail(ops: Ops, x: Tensor, rows: int) -> Tensor:
    n = ops.length(x)
    return x if n == rows else ops.rows(x, n - rows, n)


def lag_features(ops: Ops, layout: Layout, z: Tensor) -> Tensor:
    """Inputs of the forecast for rows span .. n-1, shape (n - span, variables * ranges)."""
    n = ops.length(z)
    out = []
    for first, last in layout.ranges:
        width = last - first + 1
        mean = trailing_mean(ops, z, width, layout.variables)
        start = layout.span - last
        out.append(ops.rows(mean, start, start + n - layout.span))
    return ops.concat(out, 1)


def forecast_errors(ops: Ops, layout: Layout, forecast: Forecast, z: Tensor) -> tuple[Tensor, Tensor]:
    """Errors of the linear forecast and of the corrected one, rows span .. n-1."""
    features = lag_features(ops, layout, z)
    weights, bias = ops.constant("linear", forecast.linear), ops.constant("bias", forecast.bias)
    linear = ops.sub(_tail(ops, z, ops.length(z) - layout.span), ops.add(ops.matmul(features, weights), bias))
    if not forecast.hidden:
        return linear, linear
    hidden = features
    for layer, (weight, offset) in enumerate(forecast.hidden):
        if layer:
            hidden = ops.relu(hidden)
        hidden = ops.matmul(hidden, ops.constant(f"weight{layer}", weight))
        hidden = ops.add(hidden, ops.constant(f"offset{layer}", offset))
    return linear, ops.sub(linear, hidden)


def _squares(ops: Ops, errors: Tensor, scale: Tensor) -> Tensor:
    cap = ops.constant("error_cap", np.array(ERROR_CAP, np.float32))
    return ops.minimum(ops.div(ops.mul(errors, errors), scale), cap)


def local_errors(ops: Ops, layout: Layout, typical: Array, errors: Tensor) -> Tensor:
    """Errors over their running scale, the rows that have a whole history before them.

    The scale is an exponential mean of the errors before the row, each clipped at five times the typical one,
    that starts at the typical one and never falls under 0.3 of it.
    """
    n, d, rows = ops.length(errors), layout.variables, layout.history
    decay = 1.0 - 1.0 / SCALE_ROWS
    kernel = (decay ** np.arange(rows)[::-1] / SCALE_ROWS).astype(np.float32)[None, None, :]
    usual = ops.constant("typical", typical)
    clipped = ops.minimum(ops.absolute(errors), ops.constant("typical5", 5.0 * typical))
    flat = ops.reshape(ops.transpose(clipped, [1, 0]), [d, 1, n])
    mean = ops.convolve(flat, ops.constant("decay", kernel))
    scale = ops.transpose(ops.reshape(mean, [d, n - rows + 1]), [1, 0])
    start = ops.mul(usual, ops.constant("start", np.array(decay**rows, np.float32)))
    floor = ops.constant("floor", (0.3 * typical + 1e-3).astype(np.float32))
    scale = ops.maximum(ops.add(ops.rows(scale, 0, n - rows), start), floor)
    return ops.div(_tail(ops, errors, n - rows), scale)


def level_features(ops: Ops, layout: Layout, z: Tensor) -> Tensor:
    """Value, twice the local mean and the logarithm of the local spread: (rows, variables, 3) flattened."""
    d, rows = layout.variables, layout.long
    mean = trailing_mean(ops, z, rows, d)
    n = ops.length(mean)
    # centred inside the convolution: a difference of large squares would lose a quiet variable's spread
    centre = (np.eye(rows) - 1.0 / rows).astype(np.float32)[:, None, :]
    flat = ops.reshape(ops.transpose(z, [1, 0]), [d, 1, ops.length(z)])
    centred = ops.convolve(flat, ops.constant("centre", centre))
    square = ops.transpose(ops.mean(ops.mul(centred, centred), 1), [1, 0])
    spread = ops.sqrt(square)
    log = ops.log(ops.add(spread, ops.constant("spread_floor", np.array(0.05, np.float32))))
    two = ops.constant("two", np.array(2.0, np.float32))
    columns = [ops.reshape(x, [n, d, 1]) for x in (_tail(ops, z, n), ops.mul(mean, two), log)]
    return ops.reshape(ops.concat(columns, 2), [n, 3 * d])


def shape_features(ops: Ops, layout: Layout, z: Tensor) -> Tensor:
    """Logarithmic power in bands: (rows, variables, bands) flattened."""
    d, rows = layout.variables, layout.spectrum
    bands = spectrum_bands(rows)
    flat = ops.reshape(ops.transpose(z, [1, 0]), [d, 1, ops.length(z)])
    waves = ops.convolve(flat, ops.constant("fourier", spectrum_kernels(rows)))
    n = ops.length(z) - rows + 1
    waves = ops.transpose(waves, [2, 0, 1])
    power = ops.matmul(ops.mul(waves, waves), ops.constant("bands", bands))
    log = ops.log(ops.add(power, ops.constant("power_floor", np.array(1e-3, np.float32))))
    return ops.reshape(log, [n, d * bands.shape[1]])


def bank_squares(ops: Ops, layout: Layout, bank: Bank, name: str, features: Tensor) -> Tensor:
    """Squared difference to the nearest normal window, mean over a variable's features: (rows, variables)."""
    n, d = ops.length(features), layout.variables
    inverse = ops.constant(f"{name}_scale", (1.0 / bank.scale).astype(np.float32))
    query = ops.mul(ops.sub(features, ops.constant(f"{name}_mean", bank.mean)), inverse)
    table = ops.constant(f"{name}_windows", bank.windows)
    norms = ops.constant(f"{name}_norms", (bank.windows.astype(np.float64) ** 2).sum(1).astype(np.float32))
    two = ops.constant("two", np.array(2.0, np.float32))
    crossed = ops.matmul(query, ops.transpose(table, [1, 0]))
    nearest = ops.gather(table, ops.argmin(ops.sub(norms, ops.mul(crossed, two))))
    difference = ops.sub(query, nearest)
    square = ops.reshape(ops.mul(difference, difference), [n, d, bank.mean.size // d])
    return ops.mean(square, 2)


def error_squares(
    ops: Ops, layout: Layout, normal: Errors, linear: Tensor, errors: Tensor, rows: int
) -> list[Tensor]:
    """Mean squares behind the parts short, long, local, cross for the last `rows` rows: (rows, variables)."""
    d, long = layout.variables, layout.long
    squares = _squares(ops, _tail(ops, errors, rows + long - 1), ops.constant("error_scale", normal.scale))
    recent = local_errors(ops, layout, normal.typical, _tail(ops, errors, rows + long - 1 + layout.history))
    local = _squares(ops, recent, ops.constant("local_scale", normal.local_scale))
    white = ops.matmul(_tail(ops, linear, rows + SHORT - 1), ops.constant("whiten", normal.whiten))
    cross = _squares(ops, white, ops.constant("cross_scale", normal.cross_scale))
    return [
        trailing_mean(ops, _tail(ops, squares, rows + SHORT - 1), SHORT, d),
        trailing_mean(ops, squares, long, d),
        trailing_mean(ops, local, long, d),
        trailing_mean(ops, cross, SHORT, d),
    ]


def error_parts(ops: Ops, squares: list[Tensor]) -> list[Tensor]:
    """The parts behind which `error_squares` are, each of shape (rows, 1)."""
    *means, cross = squares
    peak = ops.power(ops.mean(ops.power(cross, CROSS_PEAK), 1, keep=True), 0.5 / CROSS_PEAK)
    return [*(part_of(ops, square) for square in means), peak]


def part_of(ops: Ops, squares: Tensor) -> Tensor:
    """Root mean square over variables, shape (rows, 1)."""
    return ops.sqrt(ops.mean(squares, 1, keep=True))


def bank_part(ops: Ops, squares: Tensor, rows: int, last: int) -> Tensor:
    """Distance to the bank, mean over `last` rows, shape (rows, 1)."""
    return trailing_mean(ops, _tail(ops, part_of(ops, squares), rows + last - 1), last, 1)


@dataclass(frozen=True)
class Outputs:
    """For each row: joined votes, the local part alone, and the shares of the variables."""

    joined: Tensor
    local: Tensor
    contributions: Tensor


def join(ops: Ops, constants: Constants, parts: list[Tensor], squares: list[Tensor]) -> Outputs:
    """Votes of the parts and who caused them."""
    zero, tiny = (
        ops.constant("zero", np.array(0.0, np.float32)),
        ops.constant("tiny", np.array(_TINY, np.float32)),
    )
    raw = ops.sub(ops.concat(parts, 1), ops.constant("medians", constants.medians))
    units = ops.maximum(ops.div(raw, ops.constant("units", constants.units)), zero)
    cubes = ops.power(ops.minimum(units, ops.constant("caps", constants.caps)), POWER)
    joined = ops.power(ops.mean(cubes, 1), 1.0 / POWER)
    place = PARTS.index("local")
    local = ops.matmul(units, ops.constant("pick", np.eye(len(PARTS), dtype=np.float32)[:, place]))
    total: Tensor = None
    for index, square in enumerate(squares):
        pick = np.eye(len(PARTS), dtype=np.float32)[:, index : index + 1]
        weight = ops.add(ops.matmul(cubes, ops.constant(f"pick{index}", pick)), tiny)
        share = ops.div(ops.add(square, tiny), ops.mean(ops.add(square, tiny), 1, keep=True))
        counted = ops.mul(weight, share)
        total = counted if total is None else ops.add(total, counted)
    count = ops.constant("count", np.array(constants.layout.variables, np.float32))
    whole = ops.mul(ops.mean(total, 1, keep=True), count)
    return Outputs(joined, local, ops.div(total, whole))


def judge(ops: Ops, constants: Constants, z: Tensor) -> Outputs:
    """Judge every row of `z` (n, variables) that ends a whole window: n - window + 1 rows."""
    layout = constants.layout
    rows = ops.length(z) - layout.window + 1
    linear, errors = forecast_errors(ops, layout, constants.forecast, z)
    squares = error_squares(ops, layout, constants.errors, linear, errors, rows)
    parts = error_parts(ops, squares)
    recent = _tail(ops, z, rows + SHORT - 1 + layout.long - 1)
    level = bank_squares(ops, layout, constants.level, "level", level_features(ops, layout, recent))
    recent = _tail(ops, z, rows + SHAPE_ROWS - 1 + layout.spectrum - 1)
    shape = bank_squares(ops, layout, constants.shape, "shape", shape_features(ops, layout, recent))
    for bank, last in ((level, SHORT), (shape, SHAPE_ROWS)):
        parts.append(bank_part(ops, bank, rows, last))
        squares.append(trailing_mean(ops, bank, last, layout.variables))
    return join(ops, constants, parts, squares)


def correlations(ops: Ops, layout: Layout, z: Tensor) -> Tensor:
    """Correlation matrix of the last rows of `z`, shrunk where a variable hardly moves."""
    recent = _tail(ops, z, layout.correlation)
    centred = ops.sub(recent, ops.mean(recent, 0, keep=True))
    rows = ops.constant("correlation_rows", np.array(layout.correlation, np.float32))
    shared = ops.div(ops.matmul(ops.transpose(centred, [1, 0]), centred), rows)
    spread = ops.add(
        ops.mean(ops.mul(centred, centred), 0), ops.constant("still", np.array(1e-2, np.float32))
    )
    root = ops.sqrt(spread)
    column = ops.reshape(root, [layout.variables, 1])
    return ops.div(ops.div(shared, root), column)


def correlation_change(ops: Ops, constants: Constants, z: Tensor) -> Tensor:
    """How far each variable's correlations are from normal: root mean square of deviations in normal spreads."""
    now = correlations(ops, constants.layout, z)
    off = ops.sub(now, ops.constant("correlation_mean", constants.correlation_mean))
    deviation = ops.div(off, ops.constant("correlation_spread", constants.correlation_spread))
    return ops.sqrt(ops.mean(ops.mul(deviation, deviation), 1))
