"""Training of a model of one variable: from a recipe to a verified package and its card."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from edgead._version import VERSION
from edgead.errors import InvalidInput
from edgead.package import (
    HistoryTest,
    Origin,
    UnivariateManifest,
    UnivariatePackage,
    open_package,
    write_univariate,
)
from edgead.training.univariate import fit as fitting
from edgead.training.univariate import network
from edgead.training.univariate.card import card
from edgead.training.univariate.evaluate import Figures, evaluate
from edgead.training.univariate.fit import HELD_BACK, Example, Progress, example_from, table
from edgead.training.univariate.recipe import Loaded, Recipe, read_recipe
from edgead.training.univariate.series import count_series, made, normal_series
from edgead.univariate.networks import CHANNELS, FEATURES, Network
from edgead.univariate.srcnn import rows

__all__ = ["Loaded", "Recipe", "TrainedUnivariate", "count_series", "read_recipe", "train_univariate"]

#: Histories of a self-test, and most of the comparison with onnxruntime.
TEST_HISTORIES, PARITY_HISTORIES = 16, 512


class TrainedUnivariate(msgspec.Struct, frozen=True):
    """A new package and what is known of it.

    Attributes
    ----------
    package : bytes
    card : str
        Markdown.
    parameters : int
        Trained numbers.
    parity : float
        Greatest difference between torch and onnxruntime.
    loss : float
        On held-back series.
    figures, light : Figures
        Of the new model and of the spectral residual on the same fresh series.
    """

    package: bytes
    card: str
    parameters: int
    parity: float
    loss: float
    figures: Figures
    light: Figures


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """One thread and stated chance: sums in another order would be other weights."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


class _Learned(msgspec.Struct):
    """Series to learn from and to validate on, and what is told of the data."""

    learn: list[Example] = []
    held: list[Example] = []
    sources: dict[str, None] = {}
    series: int = 0
    rows: int = 0
    digest: str = ""


def _prepare(loaded: Loaded, tell: Callable[[int], None]) -> _Learned:
    recipe, out, digest = loaded.recipe, _Learned(), hashlib.sha256()
    for number, normal in enumerate(normal_series(loaded)):
        rng = np.random.default_rng([recipe.seed, 1, number])
        part = out.held if number % HELD_BACK == 0 else out.learn
        part.append(example_from(normal, recipe, rng))
        digest.update(np.ascontiguousarray(normal.values, "<f8").tobytes())
        out.sources[normal.source] = None
        out.series, out.rows = out.series + 1, out.rows + len(normal.values)
        tell(1)
    if not out.learn:
        raise InvalidInput(
            f"{loaded.label}: {out.series} series, expected at least 2: one in {HELD_BACK} is held back, to stop by"
        )
    out.digest = digest.hexdigest()
    return out


def made_histories(recipe: Recipe, seed: int) -> NDArray[np.float32]:
    """Histories for the self-test, of a made series with a step in it."""
    window = recipe.network.window
    values = made(np.random.default_rng([seed, 2]), 1000 + window, "daily")
    values[800:] += 10.0 * float(values.std())
    found, ends = rows(values, recipe.detector_window), 800 + np.arange(TEST_HISTORIES) * 4 - 20
    return np.ascontiguousarray(np.stack([found[end + 1 - window : end + 1].T for end in ends.tolist()]))


def train_univariate(
    loaded: Loaded,
    *,
    created: str,
    prepared: Callable[[int], None] = lambda done: None,
    progress: Progress | None = None,
) -> TrainedUnivariate:
    """Train from a recipe.

    Parameters
    ----------
    loaded : Loaded
        The recipe as read.
    created : str
        Time of training, for the manifest.
    prepared : callable, optional
        Called with 1 for each series whose windows are chosen.
    progress : callable, optional
        Called with epoch, training loss and loss on held-back series.

    Returns
    -------
    TrainedUnivariate

    Raises
    ------
    InvalidInput
        If the data of the recipe cannot be had.
    ModelPackageError
        If the exported graph differs from torch or a device would refuse the package.
    """
    recipe = loaded.recipe
    data = _prepare(loaded, prepared)
    learn, held = table(data.learn), table(data.held)
    histories = made_histories(recipe, recipe.seed)
    with _reproducible(recipe.seed):
        net = network.Net(recipe.network, CHANNELS, dropout=recipe.fit.dropout)
        loss = fitting.fit(net, learn, held, recipe.fit, seed=recipe.seed, progress=progress)
        model = network.to_onnx(net, len(CHANNELS))
        ends = held.rows[:, :, : recipe.network.window].astype(np.float32)
        parity = network.check_parity(model, net, np.concatenate([histories, ends[:PARITY_HISTORIES]]))
        with torch.no_grad():
            scores, embeddings = net.judge(torch.as_tensor(histories))
    origin = Origin(
        recipe=loaded.label,
        recipe_sha256=loaded.sha256,
        sources=tuple(data.sources),
        series=data.series,
        rows=data.rows,
        data_sha256=data.digest,
        seed=recipe.seed,
        trainer=f"edgead {VERSION}",
        created=created,
    )
    manifest = UnivariateManifest(
        format_version=0,
        id="",
        name=recipe.name,
        version=recipe.version,
        kind="univariate",
        features=FEATURES,
        channels=CHANNELS,
        window=recipe.network.window,
        embedding=recipe.network.filters,
        constants={},
        minimum_edgead=VERSION,
        training=origin,
        files={},
    )
    test = HistoryTest(histories, scores.numpy().copy(), embeddings.numpy().copy())
    package = write_univariate(manifest, model=model, test=test)
    opened = open_package(package)
    assert isinstance(opened, UnivariatePackage)
    figures, light = evaluate(Network(opened), recipe), evaluate(None, recipe)
    told = card(loaded, opened, figures, light, parity=parity, parameters=net.numbers)
    return TrainedUnivariate(package, told, net.numbers, parity, loss, figures, light)
