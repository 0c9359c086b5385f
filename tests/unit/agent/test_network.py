"""Which network the detectors of a configuration run: the shipped one, or an installed package of its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgead.agent import build
from edgead.agent.network import NetworkInUse
from edgead.config import Config, NodeConfig, SeriesConfig
from edgead.records import Reading
from edgead.registry import Registry
from edgead.univariate import DetectorSettings, make_detector, networks
from tests import packages
from tests.packages import PUMP, SRCNN


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    yield
    networks.use(networks.open_package(SRCNN))


def config(folder: Path, *detectors: str) -> Config:
    series = tuple(SeriesConfig(topic=f"t/{at}", detector=name) for at, name in enumerate(detectors))
    return Config(node=NodeConfig(state_dir=str(folder)), series=series)


def install(folder: Path, data: bytes) -> None:
    registry = Registry(folder / "models", trial=lambda data: None)
    manifest = registry.install(data)
    registry.activate(manifest.name, manifest.id)


def newer() -> bytes:
    return packages.with_manifest(lambda manifest: manifest.update(version="9.0.0"), SRCNN)


def test_without_an_installed_package_it_is_the_shipped_one(tmp_path: Path):
    found = NetworkInUse(config(tmp_path, "srcnn"))
    assert list(found.models) == [make_detector("srcnn", DetectorSettings()).model]
    assert found.problems == []


def test_series_without_a_network_have_none(tmp_path: Path):
    assert NetworkInUse(config(tmp_path, "spectral-residual", "service")).models == {}


def test_an_installed_package_takes_its_place(tmp_path: Path):
    install(tmp_path, newer())
    assert list(NetworkInUse(config(tmp_path, "srcnn")).models) == ["srcnn@9.0.0"]
    assert make_detector("srcnn", DetectorSettings()).model == "srcnn@9.0.0"


def test_a_reload_gives_the_series_there_are_the_installed_package_too(tmp_path: Path, monkeypatch):
    agent = build(config(tmp_path, "srcnn", "spectral-residual"))
    monkeypatch.setattr(agent._link, "start", lambda filters: None)
    for series_id, source in (("t.0", "t/0"), ("t.1", "t/1")):
        settings = agent.intake.settings_for(series_id, source)
        assert settings is not None
        assert agent.engine.add(series_id, source, settings, 1) is None
        agent.engine.feed([Reading(series_id, at * 10**9, at % 7) for at in range(1, 200)], 200 * 10**9)
    light = agent.engine.series["t.1"]
    install(tmp_path, newer())
    agent.reload(lambda: agent.config)
    agent._take_config()
    series = agent.engine.series["t.0"]
    assert series.detector.model == "srcnn@9.0.0"
    assert series.ready  # all that the core learned stays
    assert agent.engine.series["t.1"] is light
    agent.reload(lambda: agent.config)
    agent._take_config()
    assert agent.engine.series["t.0"] is series
    agent.saving.close()


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda folder: next(folder.glob("models/srcnn/*.zip")).write_bytes(b"x"), "not a readable zip"),
        (
            lambda folder: install(
                folder, packages.with_manifest(lambda m: m.update(features="other-rows@7"), SRCNN)
            ),
            "srcnn 1.0.0 reads other-rows@7, this edgead makes",
        ),
        (
            lambda folder: install(folder, packages.with_manifest(lambda m: m.update(name="srcnn"), PUMP)),
            "a model of many variables",
        ),
    ],
)
def test_a_package_that_cannot_be_used_leaves_the_shipped_one_and_is_told(
    tmp_path: Path, broken, reason: str
):
    install(tmp_path, newer())
    broken(tmp_path)
    found = NetworkInUse(config(tmp_path, "srcnn"))
    assert list(found.models) == ["srcnn@1.0.0"]
    (problem,) = found.problems
    assert problem.startswith("model srcnn: the installed one is not in use: ")
    assert reason in problem


def test_a_network_that_fails_is_told_and_its_readings_are_still_judged(tmp_path: Path, monkeypatch):
    found = NetworkInUse(config(tmp_path, "srcnn"))
    detector = make_detector("srcnn", DetectorSettings())
    light = make_detector("spectral-residual", DetectorSettings())

    def fail(histories: object) -> None:
        raise networks.ModelPackageError("no memory")

    monkeypatch.setattr(networks.in_use()._session, "run", fail)
    values = [10.0 + (7 * at % 11) / 10 + (60.0 if at == 390 else 0.0) for at in range(400)]
    told = [detector.judge(value, 0) for value in values]
    assert told[390][5]
    assert [judged[5] for judged in told] == [light.judge(value, 0)[5] for value in values]
    assert found.problems == ["model srcnn: no memory"]
