"""What a model of one variable is made of: a TOML file, typed."""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal

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
    """``[[recordings]]``: the train parts of labelled recordings.

    Attributes
    ----------
    folder : str
        Holds ``index.json``; a relative path starts at the folder of the recipe.
    sets : tuple of str
        Sets of the index to take.
    anomalies : {"made", "labelled"}
        What is learned from: anomalies put into the series, or those its labels tell.
    rows : int
        Most rows of one variable; a stretch of a longer one.
    variables : int
        Most variables of one recording, chosen among those that move.
    columns : tuple of int
        These variables in place of a choice.
    times : int
        So often, each time with other anomalies.
    without : tuple of str
        ``SET/series`` to leave out.
    """

    folder: str
    sets: tuple[str, ...]
    anomalies: Literal["made", "labelled"] = "made"
    rows: _Positive = 20_000
    variables: _Positive = 64
    columns: tuple[_Count, ...] = ()
    times: Annotated[int, Meta(ge=1, le=100)] = 1
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
        Least and largest, in units of the series.
    longest : int
        Readings.
    """

    kinds: tuple[str, ...] = tuple(KINDS)
    every: Annotated[int, Meta(ge=100, le=100_000)] = 300
    sizes: tuple[float, float] = (3.0, 40.0)
    longest: Annotated[int, Meta(ge=4, le=1000)] = 120


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[network]``: convolutions over the history, and a hidden layer on what they and the newest row say.

    Attributes
    ----------
    layers : int
        Convolutions of three rows; each halves the length, so the network looks at 2^(layers + 1) - 1 rows.
    filters : int
        Of each convolution; also the numbers of the embedding.
    hidden : int
        Of the hidden layer.
    """

    layers: Annotated[int, Meta(ge=2, le=8)] = 5
    filters: Annotated[int, Meta(ge=1, le=64)] = 12
    hidden: Annotated[int, Meta(ge=1, le=256)] = 16

    @property
    def window(self) -> int:
        """Rows the network looks at."""
        return (2 << self.layers) - 1


class Fit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[fit]``: gradient descent.

    Attributes
    ----------
    epochs, batch : int
        Most epochs; stretches of a step.
    patience : int
        Epochs without a better loss on held-back series, after which it stops.
    rate : float
        Highest learning rate.
    jitter, dropout, decay : float
        Spread of the random scale of a channel; share of the hidden layer left out; weight decay.
    """

    epochs: _Count = 10
    batch: _Positive = 8
    patience: _Positive = 4
    rate: Annotated[float, Meta(gt=0, le=1)] = 4e-3
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.15
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    decay: Annotated[float, Meta(ge=0, le=1)] = 0.01


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
    recordings: tuple[Recordings, ...] = ()
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
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){2}", recipe.version):
        raise InvalidInput(
            f"{path}: version {recipe.version!r}: expected three numbers of at most 9 digits, as 1.2.0"
        )
    unknown = sorted(set(recipe.anomalies.kinds) - set(KINDS))
    if unknown or not recipe.anomalies.kinds:
        raise InvalidInput(f"{path}: anomalies.kinds {unknown}: expected some of {', '.join(KINDS)}")
    low, high = recipe.anomalies.sizes
    if not 0 < low <= high <= 1e6:
        raise InvalidInput(f"{path}: anomalies.sizes {[low, high]}: expected 0 < least <= largest")
    if not recipe.simulated.series and not recipe.recordings:
        raise InvalidInput(f"{path}: nothing to learn from: simulated.series = 0 and no [[recordings]]")
