"""Fitting the parts of the network on normal rows (torch only here and in `backends`)."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from edgead.training import network as net
from edgead.training.backends import TorchOps

#: Called with epoch, training loss and validation loss.
Progress = Callable[[int, float, float], None]

#: Ridge of the linear forecast, per row and unit variance.
RIDGE = 0.01
#: Shrinkage of the error correlations before they are inverted.
WHITEN_RIDGE = 0.5
HIDDEN = 64
STEPS_PER_EPOCH, BATCH = 25, 256
#: Numbers a bank may hold, and the most windows in it.
LEVEL_NUMBERS, SHAPE_NUMBERS, BANK_WINDOWS = 60_000, 150_000, 600


def lag_table(ops: TorchOps, layout: net.Layout, z: net.Array) -> net.Array:
    """Inputs of the forecast for every row; rows before `span` are zero."""
    out = np.zeros((len(z), layout.variables * len(layout.ranges)), np.float32)
    out[layout.span :] = ops.array(net.lag_features(ops, layout, ops.tensor(z)))
    return out


def fit_linear(features: net.Array, targets: net.Array) -> net.Forecast:
    """Ridge regression in closed form."""
    x = np.concatenate([features, np.ones((len(features), 1), np.float32)], 1).astype(np.float64)
    gram = x.T @ x + RIDGE * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ targets.astype(np.float64))
    return net.Forecast(weights[:-1].astype(np.float32), weights[-1].astype(np.float32))


def _split(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two of ten contiguous blocks validate."""
    held = np.isin(np.arange(rows) * 10 // rows, (3, 8))
    return torch.as_tensor(np.flatnonzero(~held)), torch.as_tensor(np.flatnonzero(held))


def fit_correction(
    ops: TorchOps,
    features: net.Array,
    targets: net.Array,
    linear: net.Forecast,
    *,
    epochs: int,
    seed: int,
    progress: Progress | None = None,
    patience: int = 6,
) -> net.Forecast:
    """Two hidden layers on what the linear forecast leaves, kept only as far as held-back rows gain.

    Huber loss on errors scaled by variable; AdamW; stops after `patience` epochs without a better validation
    loss and returns the best epoch, or the linear forecast alone when no epoch was better than none.
    """
    errors = targets - features @ linear.linear - linear.bias
    scale = np.sqrt((errors**2).mean(0) + 1e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = [features.shape[1], HIDDEN, HIDDEN, targets.shape[1]]
        layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    torch.nn.init.zeros_(layers[-1].weight)
    torch.nn.init.zeros_(layers[-1].bias)
    model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    model.to(ops.device)
    draw = torch.Generator().manual_seed(seed)  # on the CPU whatever the device: the same batches
    x, y = ops.tensor(features), ops.tensor((errors / scale).astype(np.float32))
    learn, held = _split(len(x))
    held = held[torch.randperm(len(held), generator=draw)[:2000]].to(ops.device)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-3)
    loss_of = torch.nn.functional.smooth_l1_loss
    best, kept, waited = float(ops.array(loss_of(torch.zeros_like(y[held]), y[held]))), None, 0
    for epoch in range(1, epochs + 1):
        seen = 0.0
        for _ in range(STEPS_PER_EPOCH):
            batch = learn[torch.randint(0, len(learn), (BATCH,), generator=draw)].to(ops.device)
            loss = loss_of(model(x[batch]), y[batch])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            seen += float(ops.array(loss))
        with torch.no_grad():
            now = float(ops.array(loss_of(model(x[held]), y[held])))
        if progress is not None:
            progress(epoch, seen / STEPS_PER_EPOCH, now)
        waited += 1
        if now < best:
            best, waited = now, 0
            kept = [(ops.array(a.weight).T.copy(), ops.array(a.bias).copy()) for a in layers]
        if waited >= patience:
            break
    if kept is None:
        return linear
    kept[-1] = (kept[-1][0] * scale.astype(np.float32), kept[-1][1] * scale.astype(np.float32))
    return net.Forecast(linear.linear, linear.bias, tuple(kept))


def fit_bank(features: net.Array, numbers: int) -> net.Bank:
    """Evenly spaced normal windows, as many as `numbers` allows."""
    mean, scale = features.mean(0), features.std(0) + 1e-3
    count = max(1, min(BANK_WINDOWS, numbers // features.shape[1]))
    chosen = features[:: max(1, len(features) // count)][: count + 1]
    return net.Bank(mean, scale, ((chosen - mean) / scale).astype(np.float32))


def fit_errors(ops: TorchOps, layout: net.Layout, linear: net.Array, errors: net.Array) -> net.Errors:
    """What is normal for held-back forecast errors (rows, variables)."""
    typical = np.maximum(np.abs(errors).mean(0), 1e-3).astype(np.float32)
    deviation = np.sqrt((linear.astype(np.float64) ** 2).mean(0) + 1e-3)
    unit = linear / deviation
    shared = unit.T @ unit / len(unit) + WHITEN_RIDGE * np.eye(layout.variables)
    precision = np.linalg.inv(shared)
    whiten = (precision / np.sqrt(np.diag(precision)) / deviation[:, None]).astype(np.float32)
    local = ops.array(net.local_errors(ops, layout, typical, ops.tensor(errors)))
    return net.Errors(
        scale=((errors**2).mean(0) + 1e-3).astype(np.float32),
        local_scale=((local**2).mean(0) + 1e-3).astype(np.float32),
        typical=typical,
        whiten=whiten,
        cross_scale=(((linear @ whiten) ** 2).mean(0) + 1e-3).astype(np.float32),
    )
