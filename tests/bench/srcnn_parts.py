"""The detector ``srcnn`` taken apart, for the tables of docs/algorithms.md: a column judged once, all voices apart.

Networks: ``shipped`` (models/srcnn.zip), ``simulation`` (models/recipes/simulation.toml, trained here in seconds) and
``held-out`` (models/recipes/srcnn.toml twice, each time without half of the series; a series is judged by the network
that knows nothing of it, its train part included).
"""

import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.native import ROW_CHANNELS, Fusion, RowHistory
from edgead.package import UnivariatePackage, open_package
from edgead.univariate import DetectorSettings
from edgead.univariate.networks import Network, in_use
from edgead.univariate.srcnn import PATCHES, day_of

Array = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "models" / "recipes"
#: Readings that go through one call of the network.
TOGETHER = 256
#: What a memory alone counts as an alarm: the margin of every view.
MARGIN = 1.3
#: Log-odds shifted by SHIFT are compared with LIMIT where the network is heard alone: what the fusion never goes below.
SHIFT, LIMIT = 7.0, 5.0


class Voices(NamedTuple):
    """Scores of a column, 1.0 = edge of normal; float32, shape (rows,) each.  And what of the joint verdict is told."""

    saliency: NDArray[np.float32]
    core: NDArray[np.float32]
    network: NDArray[np.float32]
    memory: NDArray[np.float32]
    all: NDArray[np.float32]
    told: NDArray[np.bool_]


def _trained(recipe: Path, without: tuple[str, ...] = ()) -> Network:
    from edgead.training.univariate import read_recipe, train_univariate

    loaded = read_recipe(recipe)
    blocks = tuple(msgspec.structs.replace(block, without=without) for block in loaded.recipe.recordings)
    loaded = msgspec.structs.replace(loaded, recipe=msgspec.structs.replace(loaded.recipe, recordings=blocks))
    package = open_package(train_univariate(loaded, created="2026-01-01T00:00:00Z").package)
    assert isinstance(package, UnivariatePackage)
    return Network(package)


@cache
def _known_series(data: Path) -> dict[str, int]:
    """Half of each train part, by the digest of its first column's first rows."""
    from evaluate import load

    counts: dict[str, int] = {}
    halves = {}
    for entry in json.loads((data / "index.json").read_text())["series"]:
        half = counts[entry["set"]] = counts.get(entry["set"], -1) + 1
        halves[f"{entry['set']}/{entry['series']}"] = half % 2
        for column in load(entry)["x"].T:
            halves[_digest(column[:200])] = half % 2
    return halves


def _digest(values: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, np.float64)).hexdigest()


@cache
def _held_out(half: int, data: Path) -> Network:
    mine = tuple(name for name, at in _known_series(data).items() if "/" in name and at == half)
    return _trained(RECIPES / "srcnn.toml", mine)


@cache
def _simulation() -> Network:
    return _trained(RECIPES / "simulation.toml")


def network_for(kind: str, column: Array, data: Path) -> Network:
    """The network of a kind that judges this column; one not known is judged by the first half's."""
    if kind == "shipped":
        return in_use()
    if kind == "simulation":
        return _simulation()
    return _held_out(_known_series(data).get(_digest(column[:200]), 0), data)


@lru_cache(maxsize=64)
def _judged(column: bytes, rows_per_day: int, network: Network) -> Voices:
    values, settings = np.frombuffer(column), DetectorSettings()
    length = network.shape[1]
    core = RowHistory(settings.window, rows_per_day=day_of(rows_per_day), length=length)
    fusion = Fusion(network.embedding, PATCHES)
    histories = np.empty((TOGETHER, *network.shape), np.float32)
    out = Voices(*np.zeros((5, len(values)), np.float32), told=np.zeros(len(values), np.bool_))
    salient = ROW_CHANNELS.index("salient")
    for first in range(0, len(values), TOGETHER):
        part = values[first : first + TOGETHER].tolist()
        facts = [core.judge(value, 0, histories[at]) for at, value in enumerate(part)]
        odds, embeddings = network.judge(histories[: len(part)])
        for at, row in enumerate(facts):
            place = first + at
            joint = fusion.judge(row, odds[at], embeddings[at])
            out.all[place], out.told[place] = joint[0], joint[5]
            out.core[place] = row[0]
            if not row[9]:
                out.saliency[place] = np.expm1(abs(histories[at, salient, -1]))
                out.network[place] = np.logaddexp(0.0, odds[at] + SHIFT) / LIMIT
                out.memory[place] = fusion.explain()["strangeness"] / MARGIN
    return out


def voices(column: Array, seconds: float, kind: str, data: Path) -> Voices:
    """Judge a column, from its first row to its last.

    Parameters
    ----------
    column : ndarray of float64, shape (rows,)
    seconds : float
        A row; 0 = not known.
    kind : str
        Of the network: ``shipped``, ``simulation`` or ``held-out``.
    data : Path
        Of the recordings.
    """
    day = round(86400 / seconds) if seconds else 0
    return _judged(np.ascontiguousarray(column).tobytes(), day, network_for(kind, column, data))
