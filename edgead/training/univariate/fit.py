"""Windows to learn from, and the fit itself (gradient descent with an early stop)."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from edgead.training.univariate import network
from edgead.training.univariate.inject import inject
from edgead.training.univariate.recipe import Anomalies, Fit, Recipe
from edgead.training.univariate.series import Normal
from edgead.univariate.srcnn import rows as rows_of

Array = NDArray[np.float32]
#: Called with epoch, training loss and validation loss.
Progress = Callable[[int, float, float], None]

#: Readings from its start within which an anomaly should be told, and readings after its end that are left out.
TOLD_WITHIN, AFTERMATH = 4, 30
#: Normal windows of a series for each abnormal one.
NORMAL_SHARE = 4
#: One of so many series validates.
HELD_BACK = 6


class Windows(NamedTuple):
    """Places in one series to learn from.

    Attributes
    ----------
    rows : ndarray of float32, shape (n, channels)
        Of the series with anomalies in it.
    ends : ndarray of int64, shape (count,)
        The judged row of each window.
    targets : ndarray of float32, shape (count,)
        1 = an anomaly has just begun.
    """

    rows: Array
    ends: NDArray[np.int64]
    targets: Array


def windows_of(normal: Normal, recipe: Recipe, rng: np.random.Generator) -> Windows:
    """Inject anomalies into a series and choose windows of it."""
    settled = max(recipe.detector_window // 8, 96) + recipe.network.window
    anomalies: Anomalies = recipe.anomalies
    found = inject(
        normal.values, rng, kinds=anomalies.kinds, every=anomalies.every, first=settled, sizes=anomalies.sizes
    )
    rows = rows_of(found.values, recipe.detector_window)
    target, free = np.zeros(len(rows), np.float32), ~normal.abnormal
    free[:settled] = False
    for start, length in zip(found.starts.tolist(), found.lengths.tolist(), strict=True):
        free[start : start + length + AFTERMATH] = False
        target[start : start + min(length, TOLD_WITHIN)] = 1.0
    target[normal.abnormal] = 0.0
    bad, good = np.flatnonzero(target), np.flatnonzero(free)
    wanted = min(len(good), max(NORMAL_SHARE * len(bad), 50))
    # half of the normal windows are the liveliest: most rows of a calm series teach nothing
    lively = good[np.argsort(-rows[good].max(1), kind="stable")[: wanted // 2]]
    others = rng.choice(good, wanted - len(lively), replace=False) if len(good) else good
    ends = np.concatenate([bad, lively, others])
    return Windows(rows, ends, target[ends])


class Table(NamedTuple):
    """Histories of many series with their targets: float32 (count, channels, window), float32 (count,)."""

    histories: Array
    targets: Array


def gather(chosen: Iterable[Windows], window: int) -> Table:
    """The histories of all windows in one array."""
    histories, targets = [], []
    for each in chosen:
        places = each.ends[:, None] + np.arange(1 - window, 1)
        histories.append(each.rows[places].transpose(0, 2, 1))
        targets.append(each.targets)
    return Table(np.ascontiguousarray(np.concatenate(histories)), np.concatenate(targets))


def fit(
    layers: torch.nn.Sequential,
    learn: Table,
    held: Table,
    settings: Fit,
    *,
    seed: int,
    progress: Progress | None,
) -> float:
    """Fit the layers in place; they end as they were after the best epoch.

    Binary cross-entropy with both classes of equal weight; AdamW.

    Returns
    -------
    float
        Loss of the best epoch on the held-back windows.
    """
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.as_tensor(learn.histories), torch.as_tensor(learn.targets)
    xv, yv = torch.as_tensor(held.histories), torch.as_tensor(held.targets)
    weight = torch.as_tensor(float((y == 0).sum()) / max(float((y == 1).sum()), 1.0))
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=weight)
    optimiser = torch.optim.AdamW(layers.parameters(), settings.rate, weight_decay=1e-3)
    best, kept, waited = float("inf"), None, 0
    for epoch in range(1, settings.epochs + 1):
        seen = 0.0
        for _ in range(settings.steps):
            batch = torch.randint(0, len(x), (settings.batch,), generator=draw)
            loss = loss_of(network.forward(layers, x[batch])[0], y[batch])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            seen += float(loss.detach())
        with torch.no_grad():
            now = float(loss_of(network.forward(layers, xv)[0], yv))
        if progress is not None:
            progress(epoch, seen / settings.steps, now)
        waited += 1
        if now < best:
            best, waited = now, 0
            kept = {name: value.clone() for name, value in layers.state_dict().items()}
        if waited >= settings.patience:
            break
    if kept is not None:
        layers.load_state_dict(kept)
    return best
