"""What a model of one variable is made of: a TOML file, typed."""

import hashlib
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgead.errors import InvalidInput
from edgead.training.univariate.inject import KINDS

MAX_RECIPE_BYTES = 64 * 1024
_Count = Annotated[int, Meta(ge=0, le=10_000_000)]
_Positive = Annotated[int, Meta(ge=1, le=10_000_000)]


class Simulated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[simulated]``: series made here.

    Attributes
    ----------
    series : int
        How many.
    rows : int
        Of each.
    """

    series: _Count = 200
    rows: Annotated[int, Meta(ge=2000, le=1_000_000)] = 6000


class Recordings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[recordings]``: the train parts of labelled recordings.

    Attributes
    ----------
    folder : str
        Holds ``index.json``; a relative path starts at the folder of the recipe.
    sets : tuple of str
        Sets of the index to take.
    rows : int
        Most rows of one variable.
    variables : int
        Most variables of one recording.
    without : tuple of str
        ``SET/series`` to leave out.
    """

    folder: str
    sets: tuple[str, ...]
    rows: _Positive = 20_000
    variables: _Positive = 8
    without: tuple[str, ...] = ()


class Anomalies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[anomalies]``: what is put into the series.

    Attributes
    ----------
    kinds : tuple of str
        Names of `inject.KINDS`.
    every : int
        Mean distance of two, readings.
    sizes : (float, float)
        Least and largest, in typical changes.
    """

    kinds: tuple[str, ...] = tuple(KINDS)
    every: Annotated[int, Meta(ge=100, le=100_000)] = 300
    sizes: tuple[float, float] = (3.0, 30.0)


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[network]``: convolutions over the history.

    Attributes
    ----------
    window : int
        Rows the network looks at.
    filters : tuple of int
        Of each convolution; each halves the length.
    kernel : int
        Rows of a convolution.
    embedding : int
        Numbers of the embedding.
    """

    window: Annotated[int, Meta(ge=8, le=512)] = 64
    filters: tuple[Annotated[int, Meta(ge=1, le=256)], ...] = (16, 32)
    kernel: Annotated[int, Meta(ge=2, le=16)] = 5
    embedding: Annotated[int, Meta(ge=1, le=64)] = 16


class Fit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[fit]``: gradient descent.

    Attributes
    ----------
    epochs, steps, batch : int
        Most epochs, steps of an epoch, windows of a step.
    patience : int
        Epochs without a better loss on held-back series, after which it stops.
    rate : float
        Learning rate.
    """

    epochs: _Count = 20
    steps: _Positive = 100
    batch: _Positive = 256
    patience: _Positive = 4
    rate: Annotated[float, Meta(gt=0, le=1)] = 2e-3


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole recipe; see the classes of its tables.

    Attributes
    ----------
    name, version : str
        Of the package.
    about : str
        A sentence for the card.
    seed : int
        Of all chance.
    detector_window : int
        Readings the C core looks back on while the rows are made.
    """

    name: str = "srcnn"
    version: str = "1.0.0"
    about: str = ""
    seed: _Count = 1
    detector_window: Annotated[int, Meta(ge=64, le=8640)] = 1440
    simulated: Simulated = Simulated()
    recordings: Recordings | None = None
    anomalies: Anomalies = Anomalies()
    network: Shape = Shape()
    fit: Fit = Fit()


class Loaded(msgspec.Struct, frozen=True):
    """A recipe and where it came from: file name without ending, folder, and SHA-256 of its text."""

    recipe: Recipe
    label: str
    folder: Path
    sha256: str


def read_recipe(path: Path) -> Loaded:
    """Read a recipe.

    Raises
    ------
    InvalidInput
        If it cannot be read, or a key is unknown or out of range.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}, expected a recipe (TOML)") from None
    if len(text) > MAX_RECIPE_BYTES:
        raise InvalidInput(f"{path}: more than {MAX_RECIPE_BYTES} bytes, expected a recipe (TOML)")
    try:
        recipe = msgspec.toml.decode(text, type=Recipe)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path}: {error}") from None
    _check(path, recipe)
    return Loaded(recipe, path.stem, path.parent, hashlib.sha256(text).hexdigest())


def _check(path: Path, recipe: Recipe) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", recipe.name):
        raise InvalidInput(f"{path}: name {recipe.name!r}: expected 1 to 64 of letters, digits, _ . -")
    if not re.fullmatch(r"\d+\.\d+\.\d+", recipe.version):
        raise InvalidInput(f"{path}: version {recipe.version!r}: expected three numbers, as 1.2.0")
    unknown = sorted(set(recipe.anomalies.kinds) - set(KINDS))
    if unknown or not recipe.anomalies.kinds:
        raise InvalidInput(f"{path}: anomalies.kinds {unknown}: expected some of {', '.join(KINDS)}")
    low, high = recipe.anomalies.sizes
    if not 0 < low <= high <= 1e6:
        raise InvalidInput(f"{path}: anomalies.sizes {[low, high]}: expected 0 < least <= largest")
    if not recipe.simulated.series and recipe.recordings is None:
        raise InvalidInput(f"{path}: nothing to learn from: simulated.series = 0 and no [recordings]")
