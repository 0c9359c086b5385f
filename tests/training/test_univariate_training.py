"""From a recipe to a package and its card: reproducible, equal in torch and onnxruntime, honest about its data."""

import hashlib
import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from edgead.cli import call
from edgead.errors import InvalidInput
from edgead.onnx import Session
from edgead.package import UnivariatePackage, open_package
from edgead.training.univariate import Loaded, TrainedUnivariate, read_recipe, train_univariate
from edgead.training.univariate.fit import TOLD_WITHIN, example_from, loss_of, segments
from edgead.training.univariate.inject import KINDS, inject, unit_of
from edgead.training.univariate.network import PARITY, Net, check_parity, to_onnx
from edgead.training.univariate.recipe import Recipe, Shape
from edgead.training.univariate.series import FAMILIES, made, normal_series, simulated
from edgead.univariate.networks import CHANNELS, Network
from tests.packages import SRCNN

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "models" / "recipes"
CREATED = "2026-11-25T00:00:00Z"
TINY = """
name = "tiny"
seed = 3
[simulated]
series = 12
rows = 2000
[fit]
epochs = 1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def opened(data: bytes) -> UnivariatePackage:
    package = open_package(data)
    assert isinstance(package, UnivariatePackage)
    return package


# ---------------------------------------------------------------- the recipe of the tests


@pytest.fixture(scope="module")
def simulation() -> tuple[TrainedUnivariate, float]:
    """The simulation-only recipe, trained, and the processor seconds it took."""
    began = time.process_time()
    return train_univariate(
        read_recipe(RECIPES / "simulation.toml"), created=CREATED
    ), time.process_time() - began


def test_the_simulation_recipe_trains_within_two_minutes_of_one_processor(simulation):
    trained, seconds = simulation
    assert seconds < 120
    assert trained.parity <= PARITY == 1e-4
    assert len(trained.package) < 2**20
    manifest = opened(trained.package).manifest
    assert manifest.training.sources == ("simulation of edgead.training",)
    assert (
        manifest.training.recipe_sha256
        == hashlib.sha256((RECIPES / "simulation.toml").read_bytes()).hexdigest()
    )


def test_it_finds_more_made_anomalies_than_it_alarms_falsely(simulation):
    figures = simulation[0].figures
    assert figures.found > figures.anomalies / 3
    assert figures.false_per_1000 < 2.0
    assert sum(of for _, of in figures.by_kind.values()) == figures.anomalies


def test_the_card_tells_data_seed_figures_limits_and_licences(simulation):
    card = simulation[0].card
    manifest = opened(simulation[0].package).manifest
    for told in (
        manifest.id,
        f"seed {manifest.training.seed}",
        "## Figures",
        "## Limits",
        "licences",
        "simulation of",
    ):
        assert told in card


# ---------------------------------------------------------------- reproducible


def test_the_same_recipe_gives_the_same_package_but_for_its_time(tmp_path: Path):
    loaded = read_recipe(write(tmp_path, TINY))
    one = train_univariate(loaded, created=CREATED)
    two = train_univariate(loaded, created="2027-01-01T00:00:00Z")
    first, second = opened(one.package), opened(two.package)
    assert first.manifest.id == second.manifest.id
    assert first.model == second.model
    assert first.manifest.files == second.manifest.files


def test_the_shipped_model_comes_from_the_shipped_recipe_and_its_data():
    """That the data are the same is checked always; that training them gives the same bits, with EDGEAD_SOAK=1."""
    loaded, shipped = read_recipe(RECIPES / "srcnn.toml"), opened(SRCNN).manifest
    assert shipped.training.recipe == "srcnn"
    assert shipped.training.recipe_sha256 == loaded.sha256
    digest, rows, sources = hashlib.sha256(), 0, {}
    for normal in normal_series(loaded):
        digest.update(np.ascontiguousarray(normal.values, "<f8").tobytes())
        rows += len(normal.values)
        sources[normal.source] = None
    assert shipped.training.data_sha256 == digest.hexdigest()
    assert shipped.training.rows == rows
    assert shipped.training.sources == tuple(sources)
    if os.environ.get("EDGEAD_SOAK"):
        again = train_univariate(loaded, created=shipped.training.created)
        assert again.package == SRCNN
        assert again.card == (ROOT / "models" / "srcnn.md").read_text()


def test_no_measured_reading_is_in_the_shipped_package():
    """Its self-test is of a made series, made anew here."""
    from edgead.training.univariate import made_histories

    recipe = read_recipe(RECIPES / "srcnn.toml").recipe
    assert np.array_equal(made_histories(recipe, recipe.seed), opened(SRCNN).self_test.histories)


# ---------------------------------------------------------------- torch and onnxruntime


@pytest.mark.parametrize("layers", [2, 4, 5])
def test_the_graph_says_of_a_history_what_the_network_says_at_the_end_of_a_stretch(layers: int):
    torch.manual_seed(layers)
    shape = Shape(layers=layers, filters=7, hidden=9)
    net = Net(shape, CHANNELS).eval()
    rng = np.random.default_rng(layers)
    stretch = rng.normal(0, 1, (len(CHANNELS), 300)).astype(np.float32)
    histories = np.stack([stretch[:, end - shape.window : end] for end in range(shape.window, 301, 7)])
    model = to_onnx(net, len(CHANNELS))
    assert check_parity(model, net, histories) <= PARITY
    with torch.no_grad():
        score, embedding = net(torch.as_tensor(stretch[None]))
    got = Session(model).run(histories)
    ends = np.arange(shape.window, 301, 7) - 1
    np.testing.assert_allclose(got["score"], score[0].numpy()[ends], atol=1e-4)
    np.testing.assert_allclose(got["embedding"], embedding[0].numpy()[:, ends].T, atol=1e-4)


def test_the_shipped_model_answers_as_its_self_test_says():
    package = opened(SRCNN)
    scores, embeddings = Network(package).judge(package.self_test.histories)
    np.testing.assert_allclose(scores, package.self_test.scores, atol=1e-4)
    np.testing.assert_allclose(embeddings, package.self_test.embeddings, atol=1e-4)


# ---------------------------------------------------------------- what is learned


def test_the_loss_asks_for_one_flag_an_anomaly_and_none_elsewhere():
    told = torch.zeros(1, 40)
    told[0, 10 : 10 + TOLD_WITHIN] = 1.0
    normal = 1.0 - torch.nn.functional.pad(told[:, :30], (0, 10))
    quiet = torch.full((1, 40), -8.0)
    late = quiet.clone()
    late[0, 10 + TOLD_WITHIN - 1] = 8.0
    false = late.clone()
    false[0, 2] = 8.0
    right, missed, alarmed = (float(loss_of(scores, normal, told)) for scores in (late, quiet, false))
    assert right < 0.1 < missed
    assert alarmed > right + 7
    assert float(loss_of(quiet, torch.ones(1, 40), torch.zeros(1, 40))) < 0.1


def test_labelled_rows_are_never_taken_for_normal_and_made_anomalies_stay_away_from_them():
    values = made(np.random.default_rng(1), 3000, "daily")
    (normal,) = simulated(1, 3000, 1)
    abnormal = np.zeros(3000, np.bool_)
    abnormal[1000:1400] = True
    series = normal._replace(values=values, abnormal=abnormal)
    example = example_from(series, Recipe(), np.random.default_rng(2))
    assert not example.normal[1000:1400].any()
    assert not example.told[1000:1400].any()
    labelled = example_from(series._replace(labelled=True), Recipe(), np.random.default_rng(2))
    assert segments(labelled.told > 0) == [(1000, 1000 + TOLD_WITHIN)]
    assert labelled.rows.shape == (len(CHANNELS), 3000)


# ---------------------------------------------------------------- injectors and families


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_changes_its_readings_and_no_others(kind: str):
    values = made(np.random.default_rng(4), 6000, "daily")
    found = inject(values, np.random.default_rng(5), kinds=(kind,))
    assert len(found.starts) > 10
    assert set(found.kinds) == {kind}
    touched = np.zeros(len(values), np.bool_)
    for start, length in zip(found.starts.tolist(), found.lengths.tolist(), strict=True):
        touched[start : start + length] = True
    assert np.array_equal(found.values[~touched], values[~touched])
    assert np.isfinite(found.values).all()
    assert found.visible.any()
    same = inject(values, np.random.default_rng(5), kinds=(kind,))
    assert np.array_equal(same.values, found.values)


def test_injection_neither_scales_with_the_series_nor_touches_what_is_not_free():
    values = made(np.random.default_rng(6), 4000, "slow")
    free = np.ones(4000, np.bool_)
    free[2000:] = False
    found = inject(values, np.random.default_rng(7), free=free)
    assert np.array_equal(found.values[2000:], values[2000:])
    assert unit_of(1000 * values) == pytest.approx(1000 * unit_of(values), rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_finite_moves_and_is_seeded(family: str):
    one, two = (made(np.random.default_rng([8, 1]), 3000, family) for _ in range(2))
    assert np.array_equal(one, two)
    assert np.isfinite(one).all()
    assert np.ptp(one) > 0


# ---------------------------------------------------------------- the command and its refusals


def test_the_command_writes_package_and_card_and_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "mine.zip"
    assert call(["train", "--univariate", str(write(tmp_path, TINY)), "--out", str(out)]) == 0
    told = capsys.readouterr()
    manifest = opened(out.read_bytes()).manifest
    assert (manifest.name, manifest.training.seed) == ("tiny", 3)
    assert f"tiny 1.0.0, id {manifest.id}" in told.out
    assert "epoch 1: loss" in told.err
    assert manifest.id in out.with_suffix(".md").read_text()
    assert call(["model", "verify", str(out)]) == 0
    assert call(["model", "show", str(out)]) == 0
    assert "judges any one variable by 63 rows of" in capsys.readouterr().out


REFUSED = {
    "unknown key": ("sed = 1", "unknown field `sed`"),
    "not TOML": ("= 1", "recipe.toml"),
    "odd name": ('name = "../x"', "name '../x'"),
    "odd version": ('version = "1"', "expected three numbers"),
    "unknown kind": ('[anomalies]\nkinds = ["ghost"]', "expected some of spike, bump"),
    "sizes upside down": ("[anomalies]\nsizes = [5.0, 1.0]", "expected 0 < least <= largest"),
    "nothing to learn from": ("[simulated]\nseries = 0", "nothing to learn from"),
    "one series": ("[simulated]\nseries = 1\nrows = 2000", "1 series, expected at least 2: one in"),
    "endless version": ('version = "1.2.99999999999"', "at most 9 digits"),
    "too few rows": ("[simulated]\nrows = 10", "Expected `int` >= 2000"),
    "no index": ('[[recordings]]\nfolder = "nowhere"\nsets = ["KPI"]', "no readable index.json"),
    "unknown set": (
        f'[[recordings]]\nfolder = "{ROOT.parent}/shared/data"\nsets = ["XYZ"]',
        "'XYZ' is unknown",
    ),
    "set without a licence to learn": (
        f'[[recordings]]\nfolder = "{ROOT.parent}/shared/data"\nsets = ["SKAB"]',
        "SKAB/.* is under GPL-3.0, a model may not learn from it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_recipe_is_refused_with_the_reason_before_anything_is_trained(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    text, reason = REFUSED[name]
    out = tmp_path / "x.zip"
    assert call(["train", "--univariate", str(write(tmp_path, text)), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(reason, line), line
    assert not out.exists()


def test_options_of_the_other_training_do_not_go_with_a_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = write(tmp_path, TINY)
    assert (
        call(["train", "--univariate", str(recipe), "--out", "x.zip", "--seed", "2", "--window", "60"]) == 2
    )
    assert "the recipe says all but --out, got also --window, --seed" in capsys.readouterr().err
    assert call(["train", "--out", "x.zip"]) == 2
    assert "needs a FILE or FOLDER, or --univariate" in capsys.readouterr().err
    assert call(["train", "--univariate", str(recipe), "--out", str(tmp_path / "no/x.zip")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_an_index_with_damaged_recordings_is_told(tmp_path: Path):
    entry = {"set": "S", "series": "a", "licence": "MIT", "file": "a.npz", "variables": 1}
    (tmp_path / "index.json").write_text(json.dumps({"series": [entry]}))
    (tmp_path / "a.npz").write_bytes(b"nothing")
    loaded: Loaded = read_recipe(write(tmp_path, '[[recordings]]\nfolder = "."\nsets = ["S"]'))
    with pytest.raises(InvalidInput, match=r"a\.npz cannot be read"):
        list(normal_series(loaded))
