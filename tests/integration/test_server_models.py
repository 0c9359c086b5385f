"""Models and detections of a real server: clients, quotas, deletion, restarts, limits, previews, installed packages."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgead.package import read_package
from edgead.registry import Registry
from tests.served import MULTIVARIATE, ModelServer, alive, machine, stamp, status_of, train_body, write_table

ROOT = Path(__file__).resolve().parents[2]
#: The model learns from the first 400; the last 20 are a fault.
ROWS = 440
ALICE, BOB = {"Ocp-Apim-Subscription-Key": "alice-key"}, {"Ocp-Apim-Subscription-Key": "bob-key"}
PREVIEW, PREVIEW_1 = (
    "/anomalydetector/v1.1-preview/multivariate/",
    "/anomalydetector/v1.1-preview.1/multivariate/",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A server with one model of `machine`."""
    server = ModelServer(tmp_path_factory.mktemp("server"))
    write_table(server.data / "machine.csv", machine(ROWS, fault=20))
    write_variables(server.data)
    with server:
        model = server.train(displayName="Press 3")
        assert status_of(server.wait(f"models/{model}")) == "READY"
        yield server, model


def write_variables(folder: Path) -> None:
    """The same machine as a zip of files, as the preview versions wanted it."""
    with zipfile.ZipFile(folder / "machine.zip", "w") as archive:
        for name, values in zip(("flow", "current"), machine(ROWS, fault=20).T, strict=True):
            lines = [f"{stamp(at)},{value:.17g}" for at, value in enumerate(values)]
            archive.writestr(f"{name}.csv", "\n".join(["timestamp,value", *lines, ""]))


def inline(first: int, last: int, **names: str) -> list[dict[str, Any]]:
    """Rows of `machine` as detect-last wants them."""
    table = machine(ROWS, fault=20)
    key = names.get("key", "variable")
    return [
        {
            key: name,
            "timestamps": [stamp(at) for at in range(first, last + 1)],
            "values": table[first : last + 1, column].tolist(),
        }
        for column, name in enumerate(("flow", "current"))
    ]


def two_clients(folder: Path, settings: str) -> ModelServer:
    (folder / "keys").write_text("alice:alice-key\nbob:bob-key\n")
    server = ModelServer(folder, settings, ["--keys-file", str(folder / "keys")])
    write_table(server.data / "machine.csv", machine())
    return server


def test_clients_have_models_and_quotas_of_their_own(tmp_path: Path):
    server = two_clients(tmp_path, "max_training = 2\nmax_models = 3")
    with server:

        def ask(client: dict[str, str]) -> Any:
            return server.v11("POST", "models", train_body("machine.csv"), headers=client)

        first, second, third = (ask(ALICE) for _ in range(3))
        assert (first.status, second.status) == (201, 201)
        assert (third.status, third.code) == (400, "TooManyRunningModels")
        others = ask(BOB)
        assert others.status == 201
        of_bob = others.json()["modelId"]
        for call in (("GET", f"models/{of_bob}"), ("DELETE", f"models/{of_bob}")):
            hidden = server.v11(*call, headers=ALICE)
            assert (hidden.status, hidden.code) == (404, "ModelNotExist")
        assert server.ask("GET", f"/edgead/v1/models/{of_bob}/package", headers=ALICE).status == 404
        listed = server.v11("GET", "models", headers=BOB).json()
        assert ([model["modelId"] for model in listed["models"]], listed["maxCount"]) == ([of_bob], 3)
        # taking turns: bob's only job is begun before alice's second
        ended = {key: server.wait(f"models/{key}", headers=who) for key, who in ((of_bob, BOB),)}
        later = server.v11("GET", f"models/{second.json()['modelId']}", headers=ALICE).json()
        assert status_of(ended[of_bob]) == "READY"
        assert status_of(later) in ("CREATED", "RUNNING")
        server.wait(f"models/{second.json()['modelId']}", headers=ALICE)
        assert ask(ALICE).status == 201
        assert (ask(ALICE).status, ask(ALICE).code) == (400, "TooManyModels")


def test_a_job_does_not_see_the_secrets_of_the_server(tmp_path: Path):
    server = ModelServer(tmp_path, env={"EDGEAD_KEY_PASSPHRASE": "of the repository", "OMP_NUM_THREADS": "1"})
    write_table(server.data / "machine.csv", machine())
    with server:
        model = server.train()
        seen = Path(f"/proc/{server.wait_for_worker()}/environ").read_bytes().split(b"\0")
        assert b"OMP_NUM_THREADS=1" in seen
        assert not any(b"PASSPHRASE" in each for each in seen)
        assert status_of(server.wait(f"models/{model}")) == "READY"


def test_clients_may_share_their_models(tmp_path: Path):
    with two_clients(tmp_path, "shared_models = true") as server:
        made = server.v11("POST", "models", train_body("machine.csv"), headers=BOB).json()["modelId"]
        assert server.v11("GET", f"models/{made}", headers=ALICE).status == 200
        assert server.v11("DELETE", f"models/{made}", headers=ALICE).status == 204
        assert server.v11("GET", "models", headers=BOB).json()["models"] == []


def test_a_deleted_model_stops_its_training(tmp_path: Path):
    server = ModelServer(tmp_path)
    write_table(server.data / "machine.csv", machine())
    with server:
        model = server.train()
        worker = server.wait_for_worker()
        assert server.v11("DELETE", f"models/{model}").status == 204
        assert server.v11("GET", f"models/{model}").code == "ModelNotExist"
        until = time.monotonic() + 10
        while alive(worker):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert status_of(server.wait(f"models/{server.train()}")) == "READY"
        assert len(list((server.state / "server" / "models").iterdir())) == 1


def test_a_server_that_is_stopped_goes_on_where_it_was(tmp_path: Path):
    server = ModelServer(tmp_path)
    write_table(server.data / "machine.csv", machine())
    with server:
        model = server.train()
        worker = server.wait_for_worker()
        assert server.stop() == 0
        assert not alive(worker)
        server.start()
        assert status_of(server.wait(f"models/{model}")) == "READY"


@pytest.mark.parametrize(
    ("settings", "reason"), [('job_time = "1s"', "longer than the 1 s"), ('job_memory = "256MiB"', "")]
)
def test_a_job_beyond_its_limits_fails_with_the_reason(tmp_path: Path, settings: str, reason: str):
    server = ModelServer(tmp_path, settings)
    write_table(server.data / "machine.csv", machine())
    with server:
        document = server.wait(f"models/{server.train()}")
    [error] = document["modelInfo"]["errors"]
    assert error["code"] == "UnexpectedError"
    assert reason in error["message"]


def test_a_batch_equals_the_last_row_of_each_window(trained: tuple[ModelServer, str]):
    server, model = trained
    result = server.detect(model, first=410, last=429)
    rows = server.wait(f"detect-batch/{result}")["results"]
    for row, found in ((415, rows[5]), (428, rows[18])):
        answer = server.v11("POST", f"models/{model}:detect-last", {"variables": inline(row - 27, row)})
        assert answer.json()["results"] == [found]
        states = answer.json()["variableStates"]
        assert [state["effectiveCount"] for state in states] == [1, 1]
        assert {state["firstTimestamp"] for state in states} == {stamp(row)}
    assert rows[18]["value"]["isAnomaly"]
    assert not rows[5]["value"]["isAnomaly"]


def test_detect_last_takes_what_real_programs_send(trained: tuple[ModelServer, str]):
    server, model = trained
    plain = server.v11("POST", f"models/{model}:detect-last", {"variables": inline(300, 327)}).json()
    mixed = inline(300, 327, key="variableName")
    for variable in mixed:
        order = np.random.default_rng(1).permutation(28)
        variable["timestamps"] = [variable["timestamps"][at].replace("Z", ".0000000Z") for at in order]
        variable["values"] = [str(variable["values"][at]) for at in order]
    path = f"//anomalydetector/v1.1/multivariate/models/{model}%3Adetect-last"
    assert server.ask("POST", path, {"variables": mixed[::-1]}).json()["results"] == plain["results"]


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ({}, "http://{host}"),
        (
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "edge.example:8443"},
            "https://edge.example:8443",
        ),
        ({"X-Forwarded-Proto": "https, http", "X-Forwarded-Prefix": "/plant/ad/"}, "https://{host}/plant/ad"),
        (
            {"X-Forwarded-Proto": "x", "X-Forwarded-Host": "a/b?", "X-Forwarded-Prefix": "//a.example"},
            "http://{host}",
        ),
    ],
)
def test_links_lead_to_where_the_client_came_from(
    trained: tuple[ModelServer, str], told: dict[str, str], address: str
):
    server, model = trained
    body = {"dataSource": "machine.csv", "startTime": stamp(300), "endTime": stamp(301)}
    answer = server.v11("POST", f"models/{model}:detect-batch", body, headers=told)
    place = answer.headers["operation-location"]
    expected = address.format(host=f"127.0.0.1:{server.port}")
    assert place == f"{expected}{MULTIVARIATE}detect-batch/{answer.json()['resultId']}"


def test_the_package_is_fetched_and_named_after_the_model(trained: tuple[ModelServer, str]):
    server, model = trained
    answer = server.ask("GET", f"/edgead/v1/models/{model}/package")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/zip")
    manifest = read_package(answer.body).manifest
    assert (manifest.name, manifest.window, manifest.names) == ("Press-3", 28, ("flow", "current"))
    exported = server.ask("GET", f"{PREVIEW}models/{model}/export")
    assert exported.body == answer.body


def test_the_server_says_what_it_is(trained: tuple[ModelServer, str]):
    server, _ = trained
    told = server.ask("GET", "/edgead/v1/server").json()
    assert told["name"] == "edgead"
    assert (told["training"], told["detection"], told["client"]) == (True, True, "")
    assert b'edgead_jobs{kind="models",status="READY"} ' in server.ask("GET", "/metrics").body


def test_the_first_preview(trained: tuple[ModelServer, str]):
    server, _ = trained
    body = {"source": "machine.zip", "startTime": stamp(0), "endTime": stamp(399), "slidingWindow": 28}
    body["alignPolicy"] = {"alignMode": "Inner", "fillNAMethod": "Pad", "paddingValue": 1}
    wrong = server.ask("POST", PREVIEW + "models", {**body, "alignPolicy": {"fillNAMethod": "Pad"}})
    assert (wrong.status, wrong.code) == (400, "RequiredPaddingValue")
    made = server.ask("POST", PREVIEW + "models", body)
    assert (made.status, made.body) == (201, b"")
    model = made.headers["location"].removeprefix(server.url)
    identity = model.rpartition("/")[2]
    server.wait(f"models/{identity}")
    info = server.ask("GET", model).json()["modelInfo"]
    assert (info["source"], info["status"], "dataSource" in info) == ("machine.zip", "READY", False)
    assert info["alignPolicy"] == {"alignMode": "Inner", "fillNAMethod": "Pad", "paddingValue": 1}
    assert info["diagnosticsInfo"]["variableStates"][0] == {
        "variable": "current",
        "filledNARatio": 0.0,
        "effectiveCount": 400,
        "startTime": stamp(0),
        "endTime": stamp(399),
        "errors": [],
    }
    span = {"source": "machine.zip", "startTime": stamp(10), "endTime": stamp(439)}
    asked = server.ask("POST", f"{model}/detect", span)
    assert (asked.status, asked.body) == (201, b"")
    place = asked.headers["location"].removeprefix(server.url)
    assert place.startswith(f"{PREVIEW}results/")
    server.wait(f"detect-batch/{place.rpartition('/')[2]}")
    result = server.ask("GET", place).json()
    assert result["summary"]["setupInfo"] == span
    assert result["results"][0]["errors"][0]["code"] == "InsufficientHistoricalData"
    assert result["results"][-1]["value"]["contributors"][0]["variable"] == "current"
    assert server.ask("DELETE", model).status == 204


def test_the_second_preview(trained: tuple[ModelServer, str]):
    server, model = trained
    listed = server.ask("GET", f"{PREVIEW_1}models?$top=1").json()
    assert listed["models"][0]["variablesCount"] == 2
    body = {"variables": inline(400, 439, key="name"), "detectingPoints": 10}
    answer = server.ask("POST", f"{PREVIEW_1}models/{model}/last/detect", body)
    rows = answer.json()["results"]
    assert [row["timestamp"] for row in rows] == [stamp(at) for at in range(430, 440)]
    changes = rows[-1]["value"]["interpretation"][0]["correlationChanges"]
    assert len(changes["changedVariables"]) == len(changes["changedValues"])
    assert answer.json()["variableStates"][0]["startTime"] == stamp(430)
    short = {**body, "variables": inline(410, 439, key="name")}
    rows = server.ask("POST", f"{PREVIEW_1}models/{model}/last/detect", short).json()["results"]
    assert [bool(row["errors"]) for row in rows] == [True] * 7 + [False] * 3
    assert (
        server.ask("POST", f"{PREVIEW_1}models/{model}/last/detect", {**body, "detectingPoints": 11}).status
        == 400
    )


def test_a_gateway_judges_with_what_is_installed_and_does_not_train(tmp_path: Path):
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    server = ModelServer(tmp_path, env={"PYTHONPATH": f"{without}:{ROOT}"})
    Registry(server.state / "models").install((ROOT / "models" / "pump.zip").read_bytes())
    write_table(server.data / "machine.csv", machine())
    with server:
        refused = server.v11("POST", "models", train_body("machine.csv"))
        assert (refused.status, refused.code) == (400, "TrainingNotAvailable")
        [model] = server.v11("GET", "models").json()["models"]
        identity, info = model["modelId"], model["modelInfo"]
        assert (info["status"], info["displayName"]) == ("READY", "pump")
        assert info["dataSource"].startswith("edgead:installed/pump/")
        package = server.ask("GET", f"/edgead/v1/models/{identity}/package").body
        assert package == (ROOT / "models" / "pump.zip").read_bytes()
        manifest = read_package(package).manifest
        normal = {
            variable.name: (variable.minimum + variable.maximum) / 2.0 for variable in manifest.variables
        }
        times = [stamp(at) for at in range(manifest.window)]
        variables = [
            {"variable": name, "timestamps": times, "values": [value] * len(times)}
            for name, value in normal.items()
        ]
        answer = server.v11("POST", f"models/{identity}:detect-last", {"variables": variables})
        assert answer.status == 200
        assert answer.json()["results"][0]["timestamp"] == times[-1]
        lines = [",".join(["timestamp", *normal])]
        lines += [",".join([time, *map(str, normal.values())]) for time in times]
        (server.data / "pump.csv").write_text("\n".join(lines) + "\n")
        result = server.detect(identity, "pump.csv", first=manifest.window - 1, last=manifest.window - 1)
        assert server.wait(f"detect-batch/{result}")["results"] == answer.json()["results"]
        kept = server.v11("DELETE", f"models/{identity}")
        assert (kept.status, kept.code) == (400, "ModelInstalled")


def test_a_machine_without_onnxruntime_serves_the_rest(tmp_path: Path):
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['onnxruntime'] = None\n")
    server = ModelServer(tmp_path, env={"PYTHONPATH": f"{without}:{ROOT}"})
    Registry(server.state / "models").install((ROOT / "models" / "pump.zip").read_bytes())
    with server:
        assert server.ask("GET", "/edgead/v1/server").json()["detection"] is False
        [model] = server.v11("GET", "models").json()["models"]
        refused = server.v11("POST", f"models/{model['modelId']}:detect-last", {"variables": inline(0, 30)})
        assert refused.status == 400
        (server.data / "pump.csv").write_text(f"timestamp,flow\n{stamp(0)},1\n")
        result = server.wait(f"detect-batch/{server.detect(model['modelId'], 'pump.csv')}")
        assert "onnxruntime is not installed" in result["summary"]["errors"][0]["message"]


def test_a_file_beyond_the_limit_is_refused_at_once(trained: tuple[ModelServer, str]):
    server, model = trained
    with open(server.data / "huge.csv", "wb") as file:
        file.truncate(2 * 10**9 + 1)
    body = {"dataSource": "huge.csv", "startTime": stamp(0), "endTime": stamp(1)}
    refused = server.v11("POST", f"models/{model}:detect-batch", body)
    assert (refused.status, refused.code) == (413, "InvalidFileSize")


def test_what_keeps_jobs_from_starting_is_told_and_ends_the_server(
    trained: tuple[ModelServer, str], tmp_path: Path
):
    server, _ = trained
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['distributed'] = None\n")
    starts = [
        (["--state-dir", str(server.state)], "in use by another edgead", str(ROOT)),
        (
            ["--state-dir", str(tmp_path), "--scheduler", "tcp://127.0.0.1:1"],
            "edgead[fleet]",
            f"{without}:{ROOT}",
        ),
    ]
    for arguments, words, path in starts:
        done = subprocess.run(
            [sys.executable, "-m", "edgead", "serve", "--port", "0", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        assert done.returncode in (1, 2)
        assert done.stderr.startswith("edgead: error: ")
        assert words in done.stderr


def test_a_disk_that_refuses_and_a_damaged_result_are_told(tmp_path: Path):
    server = ModelServer(tmp_path)
    Registry(server.state / "models").install((ROOT / "models" / "pump.zip").read_bytes())
    write_table(server.data / "machine.csv", machine())
    with server:
        [model] = server.v11("GET", "models").json()["models"]
        result = server.detect(model["modelId"])
        assert status_of(server.wait(f"detect-batch/{result}")) == "FAILED"  # another machine's variables
        with contextlib.closing(sqlite3.connect(server.state / "server" / "jobs.db")) as database, database:
            database.execute("UPDATE results SET status = 'READY'")
            database.execute("INSERT INTO answers VALUES (?, ?)", (result, b"no answer"))
        damaged = server.v11("GET", f"detect-batch/{result}")
        assert (damaged.status, damaged.code) == (400, "UnexpectedError")
        with contextlib.closing(sqlite3.connect(server.state / "server" / "jobs.db")) as database:
            database.execute("BEGIN EXCLUSIVE")  # as a disk that does not take anything
            refused = server.v11("POST", "models", train_body("machine.csv"))
            database.rollback()
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (500, "UnexpectedError", "5")
        assert server.v11("POST", "models", train_body("machine.csv")).status == 201
