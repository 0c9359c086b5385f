"""Stretches to learn from, and the fit itself (gradient descent with an early stop)."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from edgead.training.univariate.inject import inject
from edgead.training.univariate.network import Net
from edgead.training.univariate.recipe import Anomalies, Fit, Recipe
from edgead.training.univariate.series import Normal
from edgead.univariate.srcnn import rows as rows_of

Array = NDArray[np.float32]
#: Called with epoch, training loss and validation loss.
Progress = Callable[[int, float, float], None]

#: Readings from its start within which an anomaly should be told (the delay of the KPI competition, SR-CNN), and
#: readings after its end that are left out.
TOLD_WITHIN, AFTERMATH = 8, 20
#: Readings at the start of a series that are left out: the detector is still learning.
SETTLED = 220
#: Identical readings in a row, after which a flat line is another view's business.
FLAT = 8
#: Rows of a stretch; a last one of less than a third is left out.
STRETCH = 2048
#: One of so many series validates.
HELD_BACK = 6
#: Losses of a step are over this many: keeps the clipping of gradients at a scale that suits any batch.
LOSS_UNIT = 60.0
CLIP_NORM = 5.0
#: A random scale of a channel is kept within these.
LEAST_SCALE, LARGEST_SCALE = 0.3, 2.0


class Example(NamedTuple):
    """One series to learn from.

    Attributes
    ----------
    rows : ndarray of float32, shape (channels, n)
    normal : ndarray of float32, shape (n,)
        1 where an alarm would be false.
    told : ndarray of float32, shape (n,)
        1 for the first readings of each anomaly: one of them should be flagged.
    """

    rows: Array
    normal: Array
    told: Array


def example_of(
    values: NDArray[np.float64], normal: Array, told: Array, detector_window: int, rows_per_day: int
) -> Example:
    """Make the rows of a series; what cannot be judged there is not normal either."""
    flat, run = np.zeros(len(values), np.bool_), 0
    for at, same in enumerate((np.diff(values) == 0).tolist(), start=1):
        run = run + 1 if same else 0
        flat[at] = run >= FLAT
    normal[flat] = 0.0
    normal[:SETTLED] = 0.0
    return Example(np.ascontiguousarray(rows_of(values, detector_window, rows_per_day).T), normal, told)


def example_from(series: Normal, recipe: Recipe, rng: np.random.Generator) -> Example:
    """A series with anomalies put into it, or with its own where its labels are learned from."""
    values = series.values
    normal, told = np.ones(len(values), np.float32), np.zeros(len(values), np.float32)
    for first, end in segments(series.abnormal):
        normal[first : end + TOLD_WITHIN - 1] = 0.0
        if series.labelled:
            told[first : min(first + TOLD_WITHIN, end)] = 1.0
    if not series.labelled:
        values = _with_anomalies(series, recipe.anomalies, rng, normal, told)
    return example_of(values, normal, told, recipe.detector_window, series.rows_per_day)


def _with_anomalies(
    series: Normal, asked: Anomalies, rng: np.random.Generator, normal: Array, told: Array
) -> NDArray[np.float64]:
    """The values with anomalies in them, marked in `normal` and `told`."""
    made = inject(
        series.values,
        rng,
        kinds=asked.kinds,
        every=asked.every,
        sizes=asked.sizes,
        longest=asked.longest,
        free=~series.abnormal,
    )
    for start, length, kind, visible in zip(
        made.starts.tolist(), made.lengths.tolist(), made.kinds, made.visible.tolist(), strict=True
    ):
        normal[start : start + length + AFTERMATH] = 0.0
        if visible and kind != "frozen":
            told[start : start + min(TOLD_WITHIN, length)] = 1.0
    return made.values


def segments(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last + 1) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


class Table(NamedTuple):
    """Stretches of many series: rows of float16 (a gigabyte otherwise), marks of bytes."""

    rows: NDArray[np.float16]
    normal: NDArray[np.uint8]
    told: NDArray[np.uint8]


def table(examples: Iterable[Example]) -> Table:
    """Cut series into stretches of one length, the last of each filled up with what counts nothing."""
    rows, normal, told = [], [], []
    for each in examples:
        count = each.rows.shape[1]
        for start in range(0, max(1, count - STRETCH // 3), STRETCH):
            part, missing = slice(start, start + STRETCH), max(0, start + STRETCH - count)
            rows.append(np.pad(each.rows[:, part], ((0, 0), (0, missing))).astype(np.float16))
            normal.append(np.pad(each.normal[part], (0, missing)).astype(np.uint8))
            told.append(np.pad(each.told[part], (0, missing)).astype(np.uint8))
    return Table(np.stack(rows), np.stack(normal), np.stack(told))


def loss_of(scores: torch.Tensor, normal: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """Log-loss of every normal row, and of every anomaly by the best of its first rows."""
    false_alarms = (torch.nn.functional.softplus(scores) * normal).sum()
    before = torch.nn.functional.pad(told, (1, 0))[:, :-1]
    starts = ((told - before) > 0).nonzero()
    if not len(starts):
        return false_alarms
    at = (starts[:, 1:] + torch.arange(TOLD_WITHIN)).clamp(max=scores.shape[1] - 1)
    first, counted = scores[starts[:, :1], at], told[starts[:, :1], at]
    best = torch.logsumexp(first + torch.log(counted + 1e-9), 1)
    return false_alarms + torch.nn.functional.softplus(-best).sum()


def _tensors(found: Table) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, normal, told = (torch.as_tensor(each) for each in found)
    return rows, normal, told


def _held_loss(net: Net, held: Table, batch: int) -> float:
    rows, normal, told = _tensors(held)
    net.eval()
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(rows), batch):
            part = slice(at, at + batch)
            scores, _ = net(rows[part].float())
            total += float(loss_of(scores, normal[part].float(), told[part].float()))
    net.train()
    return total / len(rows)


def fit(net: Net, learn: Table, held: Table, settings: Fit, *, seed: int, progress: Progress | None) -> float:
    """Fit a network in place; it ends as it was after the best epoch.

    AdamW on one cycle of the learning rate.  A channel of a stretch is scaled by chance, a little, so that nothing
    hangs on exact sizes.

    Returns
    -------
    float
        Loss of the best epoch on the held-back stretches, of one stretch.
    """
    draw = torch.Generator().manual_seed(seed)
    rows, normal, told = _tensors(learn)
    optimiser = torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=settings.decay)
    steps = max(1, settings.epochs * -(-len(rows) // settings.batch))
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=steps)
    best, kept, waited = _held_loss(net, held, settings.batch), None, 0
    for epoch in range(1, settings.epochs + 1):
        seen, order = 0.0, torch.randperm(len(rows), generator=draw)
        for at in range(0, len(rows), settings.batch):
            chosen = order[at : at + settings.batch]
            scale = 1.0 + settings.jitter * torch.randn(len(chosen), rows.shape[1], 1, generator=draw)
            scores, _ = net(rows[chosen].float() * scale.clamp(LEAST_SCALE, LARGEST_SCALE))
            loss = loss_of(scores, normal[chosen].float(), told[chosen].float()) / LOSS_UNIT
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
            optimiser.step()
            cycle.step()
            seen += LOSS_UNIT * float(loss.detach())
        now = _held_loss(net, held, settings.batch)
        if progress is not None:
            progress(epoch, seen / len(rows), now)
        waited += 1
        if now < best:
            best, waited = now, 0
            kept = {name: value.clone() for name, value in net.state_dict().items()}
        if waited >= settings.patience:
            break
    if kept is not None:
        net.load_state_dict(kept)
    net.eval()
    return best
