"""The retired service's own Python client, driven through the whole multivariate life cycle against `edgead serve`."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import ModelServer

HARNESS = Path(__file__).resolve().parents[3] / "shared" / "contract" / "sdk_conformance.py"
KEY = "0123456789abcdef"
# the harness serves files on any free port; a source is listed with its port, so it is told which one
RUN = """
import http.server, runpy, sys
port, sys.argv = int(sys.argv[1]), sys.argv[2:]
class AtPort(http.server.ThreadingHTTPServer):
    def __init__(self, address, handler):
        super().__init__((address[0], port), handler)
http.server.ThreadingHTTPServer = AtPort
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("style", ["path", "file", "http"])
def test_the_multivariate_checks_of_the_real_client_pass(tmp_path: Path, style: str):
    report, port = tmp_path / "report.json", free_port()
    settings = f'allow_sources = ["http://127.0.0.1:{port}/"]\njobs = 2'
    with ModelServer(tmp_path, settings, key=KEY) as server:
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(port), str(HARNESS), "--endpoint", server.url, "--key", KEY]
            + ["--data-dir", str(server.data), "--data-source-style", style, "--only", "mv,mverr"]
            + ["--rows", "900", "--report", str(report)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert report.exists(), done.stderr
    found = json.loads(report.read_text())
    failed = [check for check in found["checks"] if check["verdict"] != "PASS"]
    assert not failed, failed
    assert found["passed"] == 74, done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
