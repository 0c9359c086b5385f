"""Groups of a configuration: a package that cannot be had is told, and the agent has the other groups."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from edgead.agent.groups import Groups
from edgead.agent.models import Model, Windowed
from edgead.config import Config, parse
from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import Scorer, interpretation
from edgead.onnx import Session
from edgead.package import read_package
from edgead.registry import Registry
from edgead.registry.trial import try_package
from edgead.simulate import PUMP, simulate
from edgead.stream import Engine
from tests import packages
from tests.hostile_packages import LYING

PACKAGE = read_package(packages.PUMP)
NAMES = PACKAGE.manifest.names
SERIES = '[[series]]\ntopic = "plant/{machine}/{variable}"\nid = "{machine}.{variable}"\n'


def block(group_id: str, model: str, names: tuple[str, ...] = NAMES) -> str:
    variables = ", ".join(f'{name} = "{group_id}.{name}"' for name in names)
    return f'[[group]]\nid = "{group_id}"\nmodel = "{model}"\nvariables = {{ {variables} }}\n'


def config_of(folder: Path, *blocks: str) -> Config:
    return parse((SERIES + "".join(blocks)).encode(), folder / "gw.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pump.zip").write_bytes(packages.PUMP)
    return tmp_path


def test_two_groups_of_one_model_share_its_session(folder: Path):
    config = config_of(folder, block("a", "pump.zip"), block("b", "pump.zip"))
    engine = Engine(config.engine)
    groups = Groups(config, engine)
    assert groups.problems == []
    assert groups.models == {"pump@1.0.0": PACKAGE.sha256}
    first, second = engine.groups.values()
    assert first.model._model is second.model._model  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"no zip", "zip"),
        (packages.PUMP[:-100], "zip"),
        (packages.with_manifest(lambda manifest: manifest.update(format_version=9)), "format 9"),
        (
            packages.with_file("selftest.npz", packages.arrays_with(scores=np.full(6, 9.0))),
            "self-test 1 of 6",
        ),
    ],
)
def test_a_package_that_cannot_be_used_is_told_and_the_others_work(
    folder: Path, content: bytes | None, reason: str
):
    if content is not None:
        (folder / "bad.zip").write_bytes(content)
    config = config_of(folder, block("bad", "bad.zip"), block("good", "pump.zip"))
    engine = Engine(config.engine)
    (problem,) = Groups(config, engine).problems
    assert problem.startswith("group bad: off: ")
    assert reason in problem
    assert list(engine.groups) == ["group/good"]


def test_an_installed_model_is_found_by_its_name_and_the_active_package_is_taken(folder: Path):
    text = f'[node]\nstate_dir = "state"\n{SERIES}' + block("a", "pump")
    config = parse(text.encode(), folder / "gw.toml")
    engine = Engine(config.engine)
    groups = Groups(config, engine)
    assert groups.problems == ["group a: off: pump: no active package"]
    registry = Registry(folder / "state" / "models")
    registry.activate("pump", registry.install(packages.PUMP).id)
    assert groups.load(config) == ({"group/a"}, set())
    assert groups.problems == []
    assert groups.models == {"pump@1.0.0": PACKAGE.sha256}


def test_other_variables_than_the_models_are_told(folder: Path):
    config = config_of(folder, block("a", "pump.zip", ("flow", "pressure")))
    (problem,) = Groups(config, Engine(config.engine)).problems
    assert problem == (
        "group a: off: variables = flow, pressure: expected those of the model pump@1.0.0: "
        + ", ".join(NAMES)
    )


def test_without_onnxruntime_groups_are_off(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for name in ("edgead.onnx", "edgead.agent.models"):
        monkeypatch.delitem(sys.modules, name)
    config = config_of(folder, block("a", "pump.zip"))
    (problem,) = Groups(config, Engine(config.engine)).problems
    assert problem.startswith("group a: off: groups need onnxruntime: ")


def test_a_reload_takes_groups_in_and_out_and_keeps_the_rows_of_those_that_stay(folder: Path):
    config = config_of(folder, block("a", "pump.zip"), block("b", "pump.zip"))
    engine = Engine(config.engine)
    groups = Groups(config, engine)
    engine.groups["group/b"].model.judge((1.0,) * 5)
    loaded = engine.groups["group/b"].model._model  # type: ignore[attr-defined]
    there, gone = groups.load(config_of(folder, block("b", "pump.zip"), block("c", "pump.zip")))
    assert (there, gone) == ({"group/b", "group/c"}, {"group/a"})
    assert set(engine.groups) == {"group/b", "group/c"}
    assert engine.groups["group/b"].model._model is loaded  # type: ignore[attr-defined]
    assert engine.groups["group/b"].model.needed == 299
    assert groups.load(config_of(folder)) == (set(), {"group/b", "group/c"})
    assert groups.models == {}


def rows_of(count: int) -> np.ndarray:
    columns = simulate(PUMP, count, seed=3)
    return np.stack([columns[name].values for name in NAMES], axis=1)


def test_a_window_row_by_row_judges_as_the_scorer_the_whole_table_also_when_dumped_between():
    model, rows = Model(PACKAGE), rows_of(320 + 300)
    windowed, judged = Windowed(model, top=2), []
    for place, row in enumerate(rows):
        if place in (100, 310, 600):
            state, windowed = windowed.dump(), Windowed(model, top=2)
            windowed.load(state)
        judged.append(windowed.judge(tuple(row.tolist())))
    expected = list(Scorer(PACKAGE.manifest, Session(PACKAGE.model)).judge_table(rows))
    assert judged[:299] == [None] * 299
    for made, wanted in zip(judged[299:], expected, strict=True):
        assert made is not None
        assert (made.score, made.severity) == (wanted.score, wanted.severity)
        told = [(each.variable, each.contribution, each.changed) for each in made.top]
        top = interpretation(NAMES, wanted.contributions, wanted.correlation_change, 2)
        assert told == [(each.variable, each.contribution, each.changed) for each in top]


@pytest.mark.parametrize("state", [b"1234567", bytes(4 * 5 * 301)])
def test_a_window_of_another_size_is_refused(state: bytes):
    with pytest.raises(InvalidInput, match="at most 300 rows of 20"):
        Windowed(Model(PACKAGE), top=2).load(state)


def test_a_network_that_fails_costs_the_row_and_is_told(monkeypatch: pytest.MonkeyPatch):
    model = Model(PACKAGE)
    windowed = Windowed(model, top=2)
    rows = [tuple(row.tolist()) for row in rows_of(302)]
    assert [windowed.judge(row) for row in rows[:299]] == [None] * 299

    def fail(self: Session, window: object) -> dict:
        raise ModelPackageError("onnxruntime failed: no memory")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", fail)
        assert windowed.judge(rows[299]) is None
    assert model.failure == "onnxruntime failed: no memory"
    assert windowed.judge(rows[300]) is not None
    assert model.failure == ""


@pytest.mark.parametrize("name", LYING)
def test_a_network_that_does_not_answer_as_told_is_off_and_ends_nothing(folder: Path, name: str):
    """Its declared shapes are right; what it gives is found by its self-test."""
    build, reason = LYING[name]
    (folder / "lying.zip").write_bytes(build())
    config = config_of(folder, block("a", "lying.zip"), block("b", "pump.zip"))
    engine = Engine(config.engine)
    groups = Groups(config, engine)
    assert set(engine.groups) == {"group/b"}
    assert re.search(reason, groups.refused["a"])
    with pytest.raises(ModelPackageError, match=reason):
        try_package(read_package(build()))
