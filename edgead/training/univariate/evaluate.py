"""What a new model finds, on fresh simulated series with anomalies in them, beside the light detector."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.training.univariate.inject import inject
from edgead.training.univariate.recipe import Recipe
from edgead.training.univariate.series import simulated
from edgead.univariate.networks import Network
from edgead.univariate.srcnn import SrcnnDetector, judge_series
from edgead.univariate.streaming import DetectorSettings, make_detector

Flags = NDArray[np.bool_]

#: Series and rows of an evaluation, and where its seed lies from the recipe's: it never sees what was learned from.
SERIES, ROWS, OTHER_SEED = 20, 8000, 7919
#: Readings from its start within which an anomaly counts as found; quiet readings that end an event.
IN_TIME, QUIET = 8, 5
#: Readings after an anomaly in which an alarm is still about it.
AFTERMATH = 60


class Figures(NamedTuple):
    """Pooled over all series.

    Attributes
    ----------
    found, anomalies : int
        Anomalies flagged within `IN_TIME` readings of their start, and all.
    false_events, normal_rows : int
        Events that touch no anomaly nor its aftermath, and rows in which they could be.
    by_kind : dict of str to (int, int)
        Found and all of each kind.
    """

    found: int
    anomalies: int
    false_events: int
    normal_rows: int
    by_kind: dict[str, tuple[int, int]]

    @property
    def false_per_1000(self) -> float:
        """False events in 1000 normal rows."""
        return 1000.0 * self.false_events / max(self.normal_rows, 1)


def events_of(flags: Flags) -> list[tuple[int, int]]:
    """(first, last) flagged row of each event; `QUIET` rows without a flag end one."""
    hits = np.flatnonzero(flags)
    if not len(hits):
        return []
    cuts = np.flatnonzero(np.diff(hits) > QUIET)
    firsts, lasts = np.append(0, cuts + 1), np.append(cuts, len(hits) - 1)
    return [(int(hits[a]), int(hits[b])) for a, b in zip(firsts, lasts, strict=True)]


def evaluate(network: Network | None, recipe: Recipe, *, series: int = SERIES, rows: int = ROWS) -> Figures:
    """Judge fresh series; without a network by the spectral residual.

    Parameters
    ----------
    network : Network or None
        The new model.
    recipe : Recipe
        Its seed, window and anomalies.
    series, rows : int, optional
        How much to judge.
    """
    found = anomalies = false_events = normal_rows = 0
    kinds: dict[str, list[int]] = {kind: [0, 0] for kind in recipe.anomalies.kinds}
    settings = DetectorSettings(window=recipe.detector_window)
    settled = make_detector("spectral-residual", settings).needed
    for number, normal in enumerate(simulated(series, rows, recipe.seed + OTHER_SEED)):
        rng = np.random.default_rng([recipe.seed + OTHER_SEED, series + number])
        # a calm stretch of a third is there for false alarms
        calm = rows // 3
        made = inject(normal.values, rng, kinds=recipe.anomalies.kinds, every=600, first=calm + settled)
        flags = _flags(
            made.values, network, msgspec.structs.replace(settings, rows_per_day=normal.rows_per_day)
        )
        near = np.zeros(rows, np.bool_)
        near[:settled] = True
        for start, length, kind in zip(made.starts.tolist(), made.lengths.tolist(), made.kinds, strict=True):
            hit = bool(flags[start : start + IN_TIME].any())
            found, anomalies = found + hit, anomalies + 1
            kinds[kind][0] += hit
            kinds[kind][1] += 1
            near[start : start + length + AFTERMATH] = True
        false_events += sum(not near[first : last + 1].any() for first, last in events_of(flags))
        normal_rows += int((~near).sum())
    by_kind = {kind: (hit, of) for kind, (hit, of) in kinds.items() if of}
    return Figures(found, anomalies, false_events, normal_rows, by_kind)


def _flags(values: NDArray[np.float64], network: Network | None, settings: DetectorSettings) -> Flags:
    if network is None:
        detector = make_detector("spectral-residual", settings)
        return np.array([detector.judge(value, 0)[5] for value in values.tolist()])
    return judge_series(values, SrcnnDetector(settings, network))[1]
