"""Drawings of judged recordings (the one owner of matplotlib)."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.stream import Outcome

#: Panels drawn at most; a taller picture cannot be looked at.
MAX_PANELS = 16
#: Variables of a heat map at most.
MAX_VARIABLES = 40
_INCHES = (12.0, 2.8)


class Panel(msgspec.Struct, frozen=True):
    """One series of a drawing; all arrays have shape (n,).

    Attributes
    ----------
    name : str
    times_ns : ndarray of int64
    values, expected, lower, upper : ndarray of float64
        NaN where there is none.
    abnormal : ndarray of bool
    changes : ndarray of bool, optional
        Change points.
    title : str
        Shown above, right; "" = the number of abnormal values.
    """

    name: str
    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    abnormal: NDArray[np.bool_]
    changes: NDArray[np.bool_] | None = None
    title: str = ""


class Gatherer:
    """Keeps verdicts for a drawing."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[int, float, float, float, float, bool]]] = {}

    def take(self, outcome: Outcome) -> None:
        """Keep a batch."""
        for v in outcome.verdicts:
            row = (v.time_ns, v.value, v.expected, v.lower, v.upper, v.is_anomaly)
            self._rows.setdefault(v.series_id, []).append(row)

    def panels(self) -> list[Panel]:
        """One panel for each series, in the order they were met."""
        made = []
        for name, rows in self._rows.items():
            times, values, expected, lower, upper, abnormal = (np.array(column) for column in zip(*rows))
            made.append(Panel(name, times, values, expected, lower, upper, abnormal))
        return made


def require() -> None:
    """Say now, and not after minutes of work, that a drawing needs an extra.

    Raises
    ------
    InvalidInput
        If matplotlib is not there.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InvalidInput("--plot needs matplotlib: pip install 'edgead[plot]'") from None


def draw_group(
    path: str,
    title: str,
    names: Sequence[str],
    times_ns: NDArray[np.int64],
    scores: NDArray[np.float64],
    contributions: NDArray[np.float64],
) -> None:
    """Draw the score of a model over time, and below it the shares of the variables as a heat map.

    Parameters
    ----------
    path : str
        Its ending says the form.
    title : str
        Above it all.
    names : sequence of str
        Variables; of more than `MAX_VARIABLES` those with the greatest shares while the score was high.
    times_ns : ndarray of int64, shape (rows,)
        Epoch nanoseconds.
    scores : ndarray of float64, shape (rows,)
        1.0 is the edge of normal.
    contributions : ndarray of float64, shape (rows, variables)
        Shares, of each row adding up to 1.

    Raises
    ------
    InvalidInput
        If the file cannot be written or its ending is unknown.
    """
    from matplotlib.figure import Figure

    weight = (contributions * scores[:, None]).sum(0)
    shown = np.sort(np.argsort(-weight, kind="stable")[:MAX_VARIABLES])
    figure = Figure(figsize=(_INCHES[0], 3.4 + 0.32 * len(shown)), layout="constrained")
    figure.suptitle(title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 0.6 + 0.3 * len(shown)))
    times = times_ns.astype("datetime64[ns]")
    _draw_score(upper, times, scores)
    # normal rows fade: shares of a small score mean little, and those of an anomaly must stand out
    faded = contributions[:, shown] * np.clip(scores, 0.15, 1.0)[:, None]
    edges = np.append(times, times[-1] + (times[-1] - times[-2] if len(times) > 1 else 10**9))
    style = {"cmap": "magma_r", "vmin": 0.0, "vmax": max(0.1, float(faded.max())), "rasterized": True}
    image = lower.pcolormesh(edges, np.arange(len(shown) + 1), faded.T, **style)
    lower.set_yticks(np.arange(len(shown)) + 0.5, [names[at] for at in shown])
    lower.invert_yaxis()
    which = f", the greatest {len(shown)} of {len(names)} variables" if len(shown) < len(names) else ""
    lower.set_title(f"share in the score, pale where the row is normal{which}", loc="right", fontsize="small")
    figure.colorbar(image, ax=lower, pad=0.01)
    _time_axis(lower)
    _save(figure, path)


def _draw_score(axis, times, scores: NDArray[np.float64]) -> None:  # type: ignore[no-untyped-def]
    hit = scores >= 1.0
    axis.plot(times, scores, color="0.2", lw=0.8, label="score")
    axis.plot(times[hit], scores[hit], "o", color="tab:red", ms=3, label="abnormal")
    axis.axhline(1.0, color="tab:red", lw=0.8, ls="--", label="edge of normal")
    if scores.max() > 10.0:
        axis.set_yscale("symlog", linthresh=2.0)
    axis.set_ylim(bottom=0.0)
    axis.set_ylabel("score")
    axis.set_title(f"{hit.sum()} of {len(scores)} rows abnormal", loc="right", fontsize="small")
    axis.margins(x=0)
    axis.legend(loc="upper left", ncols=3, fontsize="small", framealpha=0.85)


def draw(path: str, title: str, panels: Sequence[Panel]) -> None:
    """Draw values, expected value, band and anomalies into a file; its ending says the form (png, svg, pdf).

    Raises
    ------
    InvalidInput
        If the file cannot be written or its ending is unknown.
    """
    from matplotlib.figure import Figure

    panels = panels[:MAX_PANELS]
    size = (_INCHES[0], _INCHES[1] * len(panels) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        _draw_panel(axis, panel)
    _time_axis(axes[-1])
    axes[0].legend(loc="upper left", ncols=5, fontsize="small", framealpha=0.85)
    _save(figure, path)


def _time_axis(axis) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axis.set_xlabel("time (UTC)")


def _save(figure, path: str) -> None:  # type: ignore[no-untyped-def]
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--plot {path}: {error}") from None


def _draw_panel(axis, panel: Panel) -> None:  # type: ignore[no-untyped-def]
    times, hit = panel.times_ns.astype("datetime64[ns]"), panel.abnormal
    _draw_band(axis, times, panel)
    axis.plot(times, panel.values, color="0.2", lw=0.7, label="value")
    if panel.changes is None:
        axis.plot(times[hit], panel.values[hit], "o", color="tab:red", ms=3.5, label="anomaly")
    else:
        for number, time in enumerate(times[panel.changes]):
            axis.axvline(time, color="tab:orange", lw=1.2, label="" if number else "change point")
    axis.set_title(panel.title or f"{hit.sum()} abnormal", loc="right", fontsize="small")
    axis.set_ylabel(panel.name)
    axis.margins(x=0.01)
    _fit(axis, panel)


def _draw_band(axis, times, panel: Panel) -> None:  # type: ignore[no-untyped-def]
    """Expected values and the band around them; a bar where only one point was judged."""
    judged = np.isfinite(panel.expected)
    expected, lower, upper = panel.expected, panel.lower, panel.upper
    if judged.sum() == 1:
        middle = expected[judged]
        reach = (middle - lower[judged], upper[judged] - middle)
        style = {"fmt": "_", "ms": 14, "capsize": 5, "color": "tab:blue", "label": "expected, normal band"}
        axis.errorbar(times[judged], middle, yerr=reach, **style)
    elif judged.any():
        axis.fill_between(times, lower, upper, color="tab:blue", alpha=0.18, lw=0, label="normal band")
        axis.plot(times, expected, color="tab:blue", lw=1.4, alpha=0.8, label="expected")


def _fit(axis, panel: Panel) -> None:  # type: ignore[no-untyped-def]
    """Let the values set the scale: a band that is wide while little is known would flatten them."""
    finite = panel.values[np.isfinite(panel.values)]
    if len(finite):
        low, high = finite.min(), finite.max()
        margin = 0.25 * (high - low) or 0.25 * abs(high) or 1.0
        axis.set_ylim(low - margin, high + margin)
