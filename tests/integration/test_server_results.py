"""The largest results: written and read in parts, whatever the client does meanwhile."""

import contextlib
import http.client
import json
import random
import re
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgead.server.answers import PART_ROWS, Answer, Cause, Row, encode_parts
from edgead.server.documents import rows_document
from edgead.server.requests import DetectRequest
from edgead.store.jobs import JobStore, ResultRow
from tests.server_process import ServerProcess

RESULT = "00000000-0000-4000-8000-000000000001"
PATH = f"/anomalydetector/v1.1/multivariate/detect-batch/{RESULT}"
OLD = f"/anomalydetector/v1.1-preview.1/multivariate/results/{RESULT}"
NAMES = tuple(f"line4.station{number:03}.temperature" for number in range(300))
#: An eighth of the largest, 63 MB of JSON with 30 contributors.
ROWS = 2500


def rows() -> list[Row]:
    """Anomalies that all variables cause."""
    draw = random.Random(3)
    found = []
    for at in range(ROWS):
        causes = [Cause(variable, draw.random()) for variable in draw.sample(range(300), 60)]
        found.append(Row(at * 60 * 10**9, 1 + draw.random(), tuple(causes[:30]), tuple(causes[30:])))
    return found


@pytest.fixture
def server(tmp_path: Path):
    store = JobStore.open(tmp_path / "state" / "server", now_ns=0)
    now_ns = time.time_ns()
    request = DetectRequest(
        source="x",
        start="1970-01-01T00:00:00Z",
        end="1970-01-03T00:00:00Z",
        start_ns=0,
        end_ns=2 * 86_400 * 10**9,
        top=30,
    )
    with contextlib.closing(store):
        asked = ResultRow(
            id=RESULT, client="", created_ns=now_ns, updated_ns=now_ns, request=msgspec.json.encode(request)
        )
        store.add_result(asked)
        store.finish_result(RESULT, now_ns, status="READY", parts=list(encode_parts(NAMES, 28, rows())))
    with ServerProcess(tmp_path) as running:
        yield running


def peak_mb(server: ServerProcess) -> float:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def in_flight(server: ServerProcess) -> str:
    text = server.ask("GET", "/metrics").body.decode()
    return re.search(r"^edgead_http_requests_in_flight (\S+)", text, re.M)[1]  # type: ignore[index]


def test_a_large_result_is_whole_and_takes_little_memory(server: ServerProcess):
    server.ask("GET", "/edgead/v1/server")
    before = peak_mb(server)
    answer = server.ask("GET", PATH)
    assert answer.status == 200
    assert len(answer.body) > 50e6
    assert peak_mb(server) - before < 40  # 220 when it was held as a whole
    found = answer.json()
    assert found["summary"]["status"] == "READY"
    want = rows_document(Answer(NAMES, 28, tuple(rows())), 30, "v1.1")
    assert found["results"] == json.loads(json.dumps(want))
    old: dict[str, Any] = server.ask("GET", OLD).json()
    assert len(old["results"]) == ROWS
    assert "changedValues" in old["results"][7]["value"]["interpretation"][0]["correlationChanges"]


def test_a_client_that_leaves_in_the_middle_costs_nothing_more(server: ServerProcess):
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"GET {PATH} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
    until = time.monotonic() + 20
    while (now := in_flight(server)) != "1.0":  # the question itself
        assert time.monotonic() < until, now
        time.sleep(0.05)
    assert "Traceback" not in server.log.read_text()


def test_a_result_that_is_damaged_in_the_middle_ends_without_its_end(server: ServerProcess, tmp_path: Path):
    """Its status was sent already: what is missing must not look like the end."""
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "server" / "jobs.db")) as database, database:
        gone = ROWS // PART_ROWS // 2
        assert database.execute("DELETE FROM answers WHERE id = ?", (f"{RESULT}/{gone}",)).rowcount == 1
    assert server.ask("GET", "/ready").status == 200
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", PATH)
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    assert server.ask("GET", "/ready").status == 200
