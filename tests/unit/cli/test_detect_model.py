"""``edgead detect --model`` says what the scorer says, row by row."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from edgead.multivariate import Scorer
from edgead.onnx import Session
from edgead.package import read_package
from edgead.simulate import PUMP, Fault, inject, simulate
from tests import packages as make

ROWS, START_MS = 420, 1_700_000_000_000
PACKAGE = read_package(make.PUMP)
NAMES = PACKAGE.manifest.names
COLUMNS = {name: column.values for name, column in simulate(PUMP, ROWS, seed=17).items()}
FAULTY = simulate(PUMP, ROWS, seed=17)["vibration"]
COLUMNS["vibration"] = inject(FAULTY, Fault("step", 370, 30, 6.0)).values


def write_table(path: Path, names: tuple[str, ...], **more: list[str]) -> Path:
    lines = [",".join(["timestamp", *names, *more])]
    for row in range(ROWS):
        cells = [repr(float(COLUMNS[name][row])) for name in names]
        lines.append(",".join([str(START_MS + 1000 * row), *cells, *(cells[row] for cells in more.values())]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("data") / "pump.csv", NAMES)


@pytest.fixture(scope="module")
def model(table: Path) -> Path:
    path = table.with_name("pump.zip")
    path.write_bytes(make.PUMP)
    return path


def test_json_has_for_every_row_what_the_scorer_says(edgead, table: Path, model: Path):
    ran = edgead("detect", table, "--model", model, "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["ts"] for row in rows] == [START_MS + 1000 * row for row in range(ROWS)]
    assert rows[298] == {
        "ts": START_MS + 298_000,
        "is_anomaly": False,
        "severity": 0.0,
        "score": None,
        "phase": "learning",
        "model": "pump@1.0.0",
        "top": [],
    }
    scorer = Scorer(PACKAGE.manifest, Session(PACKAGE.model))
    judged = list(scorer.judge_table(np.stack([COLUMNS[name] for name in NAMES], axis=1)))
    for row, expected in zip(rows[299:], judged, strict=True):
        assert (row["score"], row["severity"]) == (expected.score, expected.severity)
        assert (row["is_anomaly"], row["phase"]) == (expected.is_anomaly, "ready")
        shares = {cause["variable"]: cause["contribution"] for cause in row["top"]}
        assert shares == dict(zip(NAMES, expected.contributions, strict=True))
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        assert sum(shares.values()) == pytest.approx(1.0)
    worst = max(rows[299:], key=lambda row: row["score"])
    assert worst["is_anomaly"]
    assert worst["top"][0]["variable"] == "vibration"
    assert set(worst["top"][0]) == {"variable", "contribution", "changed"}


def test_the_order_of_columns_and_other_columns_do_not_matter(
    edgead, table: Path, model: Path, tmp_path: Path
):
    other = write_table(tmp_path / "other.csv", NAMES[::-1], note=["x"] * ROWS, label=["1"] * ROWS)
    one = edgead("detect", table, "--model", model, "--format", "json").out
    assert edgead("detect", other, "--model", model, "--format", "json").out == one


def test_a_folder_of_variables(edgead, table: Path, model: Path, tmp_path: Path):
    for name in NAMES:
        lines = [f"{START_MS + 1000 * row},{float(COLUMNS[name][row])!r}" for row in range(ROWS)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    one = edgead("detect", table, "--model", model, "--format", "csv").out
    assert edgead("detect", tmp_path, "--model", model, "--format", "csv").out == one


def test_top_bounds_the_causes(edgead, table: Path, model: Path):
    out = edgead("detect", table, "--model", model, "--format", "json", "--top", 2).out
    assert {len(json.loads(line)["top"]) for line in out.splitlines()[299:]} == {2}
    rows = list(
        csv.DictReader(
            edgead("detect", table, "--model", model, "--format", "csv", "--top", 2).out.splitlines()
        )
    )
    assert list(rows[0]) == ["ts", "is_anomaly", "severity", "score", "phase", "changed", *NAMES]
    assert sum(rows[400][name] != "" for name in NAMES) == 2


def test_the_table_tells_the_fault_and_its_cause(edgead, table: Path, model: Path):
    out = edgead("detect", table, "--model", model).out.splitlines()
    assert out[0].endswith("420 rows of 5 variables, 2023-11-14T22:13:20Z to 2023-11-14T22:20:19Z")
    event = next(line for line in out if line.startswith("2023-11-14T22:19:3"))
    assert "vibration " in event
    assert "121 judged rows" in out[-1]
    assert "299 for the first window" in out[-1]


def test_a_plot_is_drawn(edgead, table: Path, model: Path, tmp_path: Path):
    ran = edgead("detect", table, "--model", model, "--plot", tmp_path / "p.png")
    assert ran.code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_an_installed_model_by_its_name(edgead, table: Path, model: Path, tmp_path: Path):
    config = tmp_path / "gw.toml"
    config.write_text(f'[node]\nid = "gw"\nstate_dir = "{tmp_path}/state"\n')
    assert edgead("detect", table, "--model", "pump", "-c", config).code == 1
    edgead("model", "install", model, "-c", config)
    edgead("model", "activate", PACKAGE.manifest.id, "-c", config)
    assert edgead("detect", table, "--model", "pump", "-c", config).code == 0


def test_holes_are_filled_and_told(edgead, table: Path, model: Path, tmp_path: Path):
    lines = table.read_text().splitlines()
    for at in range(100, 110):
        cells = lines[at].split(",")
        lines[at] = ",".join([cells[0], "", *cells[2:]])
    (tmp_path / "holes.csv").write_text("\n".join(lines))
    ran = edgead("detect", tmp_path / "holes.csv", "--model", model, "--format", "json")
    assert len(ran.out.splitlines()) == ROWS
    assert "note: flow: 2.4 % of the rows filled (Linear)" in ran.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--sensitivity", 50], "--sensitivity is not for --model"),
        (["--mode", "entire"], "--mode is not for --model"),
        (["--column", "flow"], "--column is not for --model"),
        (["--events"], "--events is not for --model"),
        (["--top", 0], "--top"),
    ],
)
def test_options_that_the_package_decides_are_refused(
    edgead, table: Path, model: Path, arguments, reason: str
):
    ran = edgead("detect", table, "--model", model, *arguments)
    assert ran.code == 2
    assert reason in ran.err


def test_top_without_a_model_is_refused(edgead, table: Path):
    assert "--top is for --model" in edgead("detect", table, "--top", 2).err


def test_a_table_that_does_not_fit_is_refused_with_the_contracts_code(edgead, model: Path, tmp_path: Path):
    write_table(tmp_path / "less.csv", NAMES[:4])
    ran = edgead("detect", tmp_path / "less.csv", "--model", model)
    assert ran.code == 2
    assert "ColumnNotFound: " in ran.err
    assert "no column 'temperature'" in ran.err
    short = "\n".join(write_table(tmp_path / "short.csv", NAMES).read_text().splitlines()[:200])
    (tmp_path / "short.csv").write_text(short)
    ran = edgead("detect", tmp_path / "short.csv", "--model", model)
    assert ran.code == 2
    assert "NotEnoughInput: " in ran.err
    assert "199 rows and a window of 300" in ran.err


def test_a_bad_package_is_refused(edgead, table: Path, tmp_path: Path):
    (tmp_path / "bad.zip").write_bytes(make.PUMP[:1000])
    ran = edgead("detect", table, "--model", tmp_path / "bad.zip")
    assert ran.code == 1
    assert "bad.zip: not a readable zip" in ran.err
    assert edgead("detect", table, "--model", tmp_path / "none.zip").code == 1


def test_a_plot_of_many_variables_shows_those_that_matter(tmp_path: Path):
    from edgead.cli.plot import draw_group

    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(120), 50)
    names = [f"v{place}" for place in range(120)]
    times = np.arange(50, dtype=np.int64) * 10**9
    draw_group(str(tmp_path / "p.svg"), "many", names, times, np.linspace(0, 40, 50), shares)
    assert "the greatest 40 of 120 variables" in (tmp_path / "p.svg").read_text()


def test_gaps_and_another_unit_are_told(edgead, tmp_path: Path, model: Path):
    lines = write_table(tmp_path / "odd.csv", NAMES).read_text().splitlines()
    cells = [line.split(",") for line in lines]
    for row, line in enumerate(cells[1:]):
        line[0] = str(int(line[0]) + (row >= 200) * 3_600_000)
        line[1] = str(1000 * float(line[1]))
    (tmp_path / "odd.csv").write_text("\n".join(",".join(line) for line in cells) + "\n")
    ran = edgead("detect", tmp_path / "odd.csv", "--model", model)
    assert ran.code == 0
    assert (
        "note: flow has 1 gap that a device would not fill: it gathers a window of 300 rows anew" in ran.out
    )
    unusual = [line for line in ran.out.splitlines() if line.endswith("in training: another unit?")]
    assert len(unusual) == 1
    assert unusual[0].startswith("note: flow is usually 4")
    assert "121 abnormal of 121 judged rows (1000 per 1000;" in ran.out
