"""The source archive builds the wheel, and the wheel holds what a device needs and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracked files -> source archive -> wheel, without the network."""
    folder = tmp_path_factory.mktemp("packaging")
    run("git", "archive", "-o", folder / "tree.tar", "HEAD", cwd=ROOT)
    (folder / "tree").mkdir()
    run("tar", "xf", folder / "tree.tar", "-C", folder / "tree", cwd=folder)
    backend = "import sys, setuptools.build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"
    run(sys.executable, "-c", backend, "build_sdist", folder, cwd=folder / "tree")
    (archive,) = folder.glob("edgead-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    run(sys.executable, "-c", backend, "build_wheel", folder, cwd=source)
    (built,) = folder.glob("edgead-*.whl")
    return built


def test_the_wheel_holds_no_source_of_the_core_and_no_test(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxi", ".pxd"))] == []
    assert {name.split("/")[0] for name in names} == {
        "edgead",
        f"edgead-{wheel.name.split('-')[1]}.dist-info",
    }
    assert [name for name in names if "tests/" in name or "/test_" in name] == []
    assert any(name.startswith("edgead/native/_kernel.") and name.endswith(".so") for name in names)
    assert {"edgead/py.typed", "edgead/native/_kernel.pyi"} <= set(names)
    pages = {
        f"edgead/server/pages/{name}"
        for name in ("index.html", "page.js", "page.css", "sample.csv", "icon.svg")
    }
    assert pages <= set(names)
    documents = {
        f"edgead/server/openapi/{name}" for name in ("v1.0.json", "v1.1.json", "additions.json", "NOTICE")
    }
    assert documents <= set(names)
    shipped = {f"edgead/models/{path.name}" for path in (ROOT / "models").glob("*.zip")}
    assert "edgead/models/pump.zip" in shipped
    assert {name for name in names if name.startswith("edgead/models/")} == shipped


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which the wheel was installed."""
    target = tmp_path_factory.mktemp("installed") / "site"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        target,
        wheel,
        cwd=target.parent,
    )
    return target


def test_the_installed_wheel_works_on_its_own(wheel: Path, site: Path, tmp_path: Path):
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import edgead, edgead.cli; "
        "from edgead.univariate import DetectorSettings, make_detector; "
        "d = make_detector('spectral-residual', DetectorSettings()); d.judge(1.0, 0); "
        "from edgead.shipped import shipped; assert shipped('pump')[:2] == b'PK'; "
        f"assert edgead.__file__.startswith({str(site)!r}); print(edgead.__version__)"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path).strip() == wheel.name.split("-")[1]


def test_the_demo_of_an_installed_wheel_has_its_group(site: Path, tmp_path: Path):
    """The pump's model comes with the wheel: found there, not in a checkout, and taken by the demo's agent."""
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from pathlib import Path\n"
        "from edgead.agent.groups import Groups; from edgead.config import load; from edgead.stream import Engine\n"
        "from edgead.demo.stage import pump_model, write_config\n"
        "model = pump_model(); config = load(write_config(Path(), 1883, window=64, sensitivity=99, model=model))\n"
        "groups = Groups(config, Engine(config.engine)); print(model, groups.problems, *groups.models)\n"
    )
    told = run(sys.executable, "-c", code, cwd=tmp_path).strip()
    assert told == f"{site / 'edgead' / 'models' / 'pump.zip'} [] pump@1.0.0"
