"""docs/moving-from-azure.md as a reader would try it: each sample is run, word for word but for the address."""

import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgead.cli import cli
from edgead.config import parse
from edgead.errors import InvalidInput
from edgead.server.assembly import sources_of
from edgead.server.settings import ServerSettings
from edgead.server.sources import Reader
from tests import node
from tests.served import ModelServer, machine, write_table
from tests.server_process import ServerProcess

GUIDE = Path(__file__).parents[2] / "docs" / "moving-from-azure.md"
TEXT = GUIDE.read_text()
KEY = "my-key"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.M | re.S)


def blocks(language: str, containing: str = "") -> list[str]:
    return [body for name, body in BLOCKS if name == language and containing in body]


def block(language: str, containing: str) -> str:
    (found,) = blocks(language, containing)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    with ModelServer(tmp_path_factory.mktemp("server"), key=KEY) as started:
        write_table(started.data / "machine.csv", machine(400, fault=30))
        yield started


def output_of(command: list[str], folder: Path, **more: str) -> str:
    env = {**os.environ, "NO_PROXY": "*", "no_proxy": "*", "PYTHONPATH": str(GUIDE.parents[1]), **more}
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def here(sample: str, server: ModelServer) -> str:
    """The sample with the address and the folder of the test."""
    return sample.replace("http://127.0.0.1:5000", server.url).replace("/srv/anomaly", str(server.data))


def test_every_sample_of_a_language_that_is_here_is_run_below():
    assert len(blocks("python")) == 4
    assert len(blocks("js")) == 1
    assert len(blocks("sh")) == 4
    assert {name for name, _ in BLOCKS} == {
        "sh",
        "python",
        "js",
        "csharp",
        "java",
        "toml",
        "diff",
        "dockerfile",
    }


def test_curl(server: ModelServer, tmp_path: Path):
    answer = json.loads(output_of(["bash", "-ec", here(block("sh", "curl"), server)], tmp_path))
    assert [day for day, flag in enumerate(answer["isAnomaly"]) if flag] == [6]


def test_python_of_v11(server: ModelServer, tmp_path: Path):
    sample = here(block("python", "UnivariateDetectionOptions"), server)
    days, error = output_of([sys.executable, "-c", sample], tmp_path).splitlines()
    assert days == "[6]"
    assert error.startswith("400 InvalidSeries ")


def test_python_of_several_variables(server: ModelServer, tmp_path: Path):
    sample = here(block("python", "ModelInfo"), server)
    first, *rows = output_of([sys.executable, "-c", sample], tmp_path).splitlines()
    assert first.startswith("READY")
    assert rows
    assert all(row.endswith(("flow", "current")) for row in rows)


def test_python_of_v10(server: ModelServer, tmp_path: Path):
    sample = here(block("python", "azure.cognitiveservices"), server)
    assert output_of([sys.executable, "-W", "ignore", "-c", sample], tmp_path) == "[6]\n"


def test_python_without_a_server(tmp_path: Path):
    flag, expected, margin = output_of(
        [sys.executable, "-c", block("python", "import edgead")], tmp_path
    ).split()
    assert flag == "False"
    assert float(expected) == pytest.approx(10.3, abs=1)
    assert float(margin) > 0


def javascript_of(sample: str, folder: Path, **env: str) -> str:
    node.install()
    # NODE_PATH: where it finds the client
    return output_of(["node", "-e", sample], folder, NODE_PATH=str(node.JS / "node_modules"), **env).strip()


def test_javascript(server: ModelServer, tmp_path: Path):
    assert javascript_of(here(block("js", "AnomalyDetector"), server), tmp_path) == "[ 6 ]"


def test_a_certificate_of_one_s_own(tmp_path: Path):
    output_of(["bash", "-ec", block("sh", "openssl")], tmp_path)
    trust = dict(re.findall(r"environment `(\w+)=(cert\.pem)`", TEXT))
    assert set(trust) == {"REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    files = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    with ServerProcess(tmp_path, files, key=KEY) as server:

        def over_tls(sample: str) -> str:
            return sample.replace("http://127.0.0.1:5000", server.url)

        python = over_tls(block("python", "UnivariateDetectionOptions"))
        assert output_of([sys.executable, "-c", python], tmp_path, **trust).startswith("[6]\n")
        script = over_tls(block("js", "AnomalyDetector")).replace(", { allowInsecureConnection: true }", "")
        assert javascript_of(script, tmp_path, **trust) == "[ 6 ]"
        curl = over_tls(block("sh", "curl")).replace("curl ", "curl --cacert cert.pem ")
        assert '"isAnomaly":' in output_of(["bash", "-ec", curl], tmp_path)


def test_keys_and_a_certificate_as_the_guide_makes_them(tmp_path: Path):
    output_of(["bash", "-ec", block("sh", "openssl")], tmp_path)
    assert (tmp_path / "keys.txt").stat().st_mode & 0o077 == 0
    name, *keys = (tmp_path / "keys.txt").read_text().strip().split(":")
    assert name == "press-shop"
    assert [len(key) for key in keys] == [32, 32]
    data = tmp_path / "data"
    data.mkdir()
    command = next(line for line in block("sh", "0.0.0.0").splitlines() if line.startswith("edgead serve"))
    arguments = command.replace("/srv/anomaly", str(data)).split()[2:]
    arguments = [str(tmp_path / word) if word.endswith((".txt", ".pem")) else word for word in arguments]
    arguments[arguments.index("0.0.0.0")] = (
        "127.0.0.1"  # as strict with keys, and reached from this machine alone
    )
    body = {"series": [{"value": float(n % 5)} for n in range(20)], "granularity": "none"}
    with ServerProcess(tmp_path, arguments) as server:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        path = "//anomalydetector/v1.1/timeseries/entire/detect"
        assert server.url.startswith("https://")
        for key, status in ((keys[0], 200), (keys[1], 200), ("wrong", 401)):
            answer = server.ask(
                "POST", path, body, headers={"Ocp-Apim-Subscription-Key": key}, context=trusted
            )
            assert answer.status == status


@pytest.mark.parametrize(
    "line", [line for body in blocks("sh") for line in body.splitlines() if "edgead serve" in line]
)
def test_commands_are_understood(line: str):
    arguments = shlex.split(line, comments=True)[1:]
    cli.commands[arguments[0]].make_context(arguments[0], arguments[1:])


def test_the_container_s_arguments_start_the_server(tmp_path: Path):
    entry = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", block("dockerfile", "ENTRYPOINT"), re.M)[1])
    old, new = re.findall(r"^[-+]\s+(Eula=.*)$", block("diff", "docker run"), re.M)
    assert old == new
    arguments = [*entry[2:], *shlex.split(new)]
    arguments[arguments.index("0.0.0.0")] = "127.0.0.1"
    with ServerProcess(tmp_path, arguments) as server:
        for probe in ("/ready", "/status", "/"):
            assert server.ask("GET", probe).status == 200
        body = {"series": [{"value": float(n % 5)} for n in range(20)], "granularity": "none"}
        assert server.ask("POST", "/anomalydetector/v1.0/timeseries/last/detect", body).status == 200


def reader(tmp_path: Path) -> Reader:
    """With the guide's configuration, and its folder in the test's place."""
    (tmp_path / "container").mkdir()
    config = parse(
        block("toml", "blob_folders").replace("/srv/anomaly", str(tmp_path / "container")).encode(), "guide"
    )
    return Reader(sources_of(ServerSettings.of(config)))


def test_the_mapping_of_blobs(tmp_path: Path):
    found = reader(tmp_path)
    (tmp_path / "container" / "pump.csv").write_text("timestamp,a\n2026-01-01,1\n")
    blob = "https://account.blob.core.windows.net/container/pump.csv?sig=..."
    assert f"`{blob}`" in TEXT
    (tmp_path / "job").mkdir()
    assert found.fetch(blob, tmp_path / "job", time.monotonic() + 5).read_text().startswith("timestamp,a")
    for source in (str(tmp_path / "container" / "pump.csv"), "pump.csv"):
        found.check(source)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("../pump.csv", "InvalidBlobURL"),
        ("https://user@files.example/plant/pump.csv", "InvalidBlobURL"),
        ("http://2130706433/pump.csv", "InvalidBlobURL"),
        ("https://other.blob.core.windows.net/container/pump.csv", "InvalidBlobURL"),
        ("pump.csv", "FileNotExist"),
        ("/etc/passwd", "StorageReadError"),
        ("https://files.example/plant/pump.csv", "StorageReadError"),
    ],
)
def test_the_table_of_refusals(tmp_path: Path, source: str, code: str):
    with pytest.raises(InvalidInput) as caught:
        reader(tmp_path).check(source)
    assert caught.value.code == code
    assert f"`{code}`" in TEXT


def test_each_documented_source_is_allowed_by_what_it_says(tmp_path: Path):
    rows = re.findall(r"^\| (`.*?) \| `--(data-root|allow-source) (\S+)` \|$", TEXT, re.M)
    assert len(rows) == 4
    for cell, option, value in rows:
        root = str(tmp_path) if option == "data-root" else ""
        settings = ServerSettings(data_roots=(root,) if root else (), allow_sources=() if root else (value,))
        (tmp_path / "pump.csv").touch()
        for source in re.findall(r"`((?:/|\w+:|pump)[^`]*\.csv)`", cell):
            Reader(sources_of(settings)).check(source.replace(value, root) if root else source)


def test_links_of_the_guide_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT):
        if "://" not in target:
            assert (GUIDE.parent / target).exists(), target
