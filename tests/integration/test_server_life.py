"""A server's start, keys, quotas of its clients, signals and end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.raw_http import connect
from tests.server_process import ServerProcess

LAST = "/anomalydetector/v1.1/timeseries/last/detect"
SERIES = [{"timestamp": f"2021-01-{day:02}T00:00:00Z", "value": float(day % 7)} for day in range(1, 32)]
BODY = {"series": SERIES, "granularity": "daily"}
LONG = {"series": [{"value": float(i % 97) + i % 5} for i in range(8640)], "granularity": "none"}


def serve(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edgead", "serve", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=environment)


def key(name: str) -> dict[str, str]:
    return {"Ocp-Apim-Subscription-Key": name}


# ---------------------------------------------------------------- starts that are refused


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_keys_it_does_not_listen_for_other_machines(tmp_path: Path, host: str):
    done = serve("--host", host, "--port", "0", "--state-dir", "s", cwd=tmp_path)
    assert done.returncode == 2
    assert "there are no keys: expected keys_file (--keys-file), or without_keys" in done.stderr
    assert not (tmp_path / "s").exists()


def test_mistakes_of_the_start_are_one_line_each(tmp_path: Path):
    (tmp_path / "keys").write_text("a:secret-one\nb:secret-one\n")
    done = serve("--keys-file", "keys", "--port", "0", "--state-dir", "s", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "edgead: error: keys:2: expected keys of its own, another client has one of them\n",
    )
    (tmp_path / "s").write_text("a file")
    done = serve("--port", "0", "--state-dir", "s/below", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("edgead: error: state directory s/below: ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = serve("--port", port, "--state-dir", "t", cwd=tmp_path)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_a_missing_extra_is_named(tmp_path: Path):
    code = "import sys; sys.modules['uvicorn'] = None; from edgead.cli import main; main(['serve'])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert (done.returncode, done.stderr) == (
        2,
        "edgead: error: uvicorn is not installed: pip install 'edgead[server]'\n",
    )


def test_other_machines_may_call_when_that_is_meant(tmp_path: Path):
    with ServerProcess(tmp_path, ["--host", "0.0.0.0", "--without-keys"]) as server:
        server.url = f"http://127.0.0.1:{server.port}"
        # no page of a browser is kept out here, as a name of this machine cannot be told from another
        assert server.ask("POST", LAST, BODY, headers={"Host": "gateway7:5000"}).status == 200


@pytest.mark.parametrize(("host", "url"), [("localhost", "http://127.0.0.1"), ("::1", "http://[::1]")])
def test_it_listens_on_the_loopback_by_name_and_in_ipv6(tmp_path: Path, host: str, url: str):
    with ServerProcess(tmp_path, ["--host", host]) as server:
        server.url = f"{url}:{server.port}"
        assert server.ask("POST", LAST, BODY).status == 200


def test_what_the_container_was_started_with_is_taken(tmp_path: Path):
    environment = {"Eula": "accept", "Billing": "https://x.example", "ApiKey": "abc"}
    arguments = ["Eula=accept", "billing=https://x.example", "APIKEY=abc"]
    with ServerProcess(tmp_path, arguments, env=environment) as server:
        assert server.ask("POST", LAST, BODY, headers=key("abc")).status == 200
        assert server.ask("GET", "/status").json()["apiStatus"] == "Valid"
        log = server.log.read_text()
    assert "abc" not in log


def test_the_default_port_is_the_container_s():
    from edgead.config import ServerConfig

    assert (ServerConfig().host, ServerConfig().port) == ("127.0.0.1", 5000)


def test_a_file_says_everything(tmp_path: Path):
    (tmp_path / "keys").write_text("plant:from-the-file\n")
    (tmp_path / "server.toml").write_text('[log]\nformat = "json"\n[server]\nkeys_file = "keys"\n')
    with ServerProcess(tmp_path, ["-c", str(tmp_path / "server.toml")]) as server:
        assert server.ask("POST", LAST, BODY).status == 401
        assert server.ask("POST", LAST, BODY, headers=key("from-the-file")).status == 200
        assert '"message": "listening"' in server.log.read_text()


# ---------------------------------------------------------------- keys while it runs


def test_keys_change_over_without_a_break(tmp_path: Path):
    with ServerProcess(tmp_path, key="old") as server:
        keys = tmp_path / "keys"

        def statuses() -> tuple[int, int]:
            return tuple(server.ask("POST", LAST, BODY, headers=key(name)).status for name in ("old", "new"))

        def becomes(wanted: tuple[int, int]) -> None:
            until = time.monotonic() + 20
            while (seen := statuses()) != wanted:
                assert seen[0] == 200 or wanted[0] != 200, "the old key failed too early"
                assert time.monotonic() < until
                time.sleep(0.05)

        assert statuses() == (200, 401)
        keys.write_text("test:old:new\n")
        becomes((200, 200))
        keys.write_text("test:new\n")
        becomes((401, 200))
        keys.write_text("nothing of use\n")
        server.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 20
        while "the keys file is wrong, the old keys stay in force" not in server.log.read_text():
            assert time.monotonic() < until
            time.sleep(0.05)
        assert statuses() == (401, 200)


def test_what_needs_a_key_and_what_does_not(tmp_path: Path):
    with ServerProcess(tmp_path, key="k") as server:
        for path in ("/ready", "/status", "/healthz", "/metrics", "/swagger", "/openapi.json", "/"):
            assert server.ask("GET", path, headers=key("wrong")).status == 200, path
        for method, path in (
            ("POST", LAST),
            ("POST", LAST.upper().replace("/ANOMALYDETECTOR", "/anomalyDetector")),
            ("POST", "/" + LAST),
            ("POST", LAST.replace("v1.1", "v1.0")),
            ("GET", "/anomalydetector/v1.1/multivariate/models"),
            ("GET", "/anomalydetector/nothing"),
            ("GET", "/edgead/v1/server"),
            ("GET", "//edgead//v1/server"),
            ("GET", "/%65dgead/v1/server"),
        ):
            answer = server.ask(method, path, BODY if method == "POST" else None, headers=key("wrong"))
            assert (answer.status, answer.code) == (401, "401"), path
            assert answer.json()["error"]["message"].startswith(
                "Access denied due to invalid subscription key"
            )
            assert answer.headers["x-ms-error-code"] == "401"
        bearer = {"Authorization": "Bearer k", "Ocp-Apim-Subscription-Key": ""}
        answer = server.ask("GET", "/edgead/v1/server", headers={"Authorization": "Bearer k", **key("k")})
        assert answer.status == 200
        assert (
            server.ask("GET", "/edgead/v1/server", headers=bearer).status == 401
        )  # the service's own header counts


# ---------------------------------------------------------------- one client beside another


def two_clients(folder: Path, settings: str) -> ServerProcess:
    (folder / "both").write_text("greedy:g\nmodest:m\n")
    (folder / "server.toml").write_text(f'[server]\nkeys_file = "both"\n{settings}')
    return ServerProcess(folder, ["-c", str(folder / "server.toml")])


def test_a_bound_of_calls_a_minute_is_of_each_client(tmp_path: Path):
    with two_clients(tmp_path, "calls_per_minute = 5") as server:
        answers = [server.ask("POST", LAST, BODY, headers=key("g")) for _ in range(7)]
        assert [answer.status for answer in answers] == [200] * 5 + [429] * 2
        assert answers[-1].code == "429"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 13
        assert server.ask("POST", LAST, BODY, headers=key("m")).status == 200
        assert server.ask("GET", "/ready").status == 200
        assert b'edgead_http_refused_total{reason="rate"} 2.0' in server.ask("GET", "/metrics").body


def test_a_crowd_of_one_client_is_refused_and_the_other_answered(tmp_path: Path):
    with two_clients(tmp_path, "threads = 1\nmax_waiting = 4") as server, ThreadPoolExecutor(24) as pool:
        crowd = [pool.submit(server.ask, "POST", LAST, LONG, headers=key("g")) for _ in range(24)]
        modest = [server.ask("POST", LAST, BODY, headers=key("m")).status for _ in range(5)]
        statuses = [each.result().status for each in crowd]
    assert modest == [200] * 5
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 5


def test_one_client_s_slow_bodies_leave_room_for_the_other(tmp_path: Path):
    """Three quarters of the requests at a time are one client's at most."""
    with two_clients(tmp_path, 'max_requests = 8\nread_time = "10s"') as server:
        head = f"POST {LAST} HTTP/1.1\r\nHost: localhost\r\nOcp-Apim-Subscription-Key: g\r\nContent-Length: 99\r\n\r\n"
        lines = [connect(server.port) for _ in range(12)]
        try:
            for line in lines:
                line.sendall(head.encode() + b"{")
            until = time.monotonic() + 10
            while (refused := server.ask("POST", LAST, BODY, headers=key("g")).status) != 429:
                assert time.monotonic() < until, refused
            while (modest := server.ask("POST", LAST, BODY, headers=key("m")).status) != 200:
                assert modest == 429  # until those refused are gone; six stay
                assert time.monotonic() < until
        finally:
            for line in lines:
                line.close()


# ---------------------------------------------------------------- the end


def test_a_stop_lets_what_is_under_way_end(tmp_path: Path):
    with ServerProcess(tmp_path) as server, ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(server.ask, "POST", LAST, LONG) for _ in range(4)]
        time.sleep(0.05)
        assert server.stop() == 0
        for call in calls:
            try:
                assert call.result().status in (200, 429)
            except OSError:
                continue  # not yet taken in when the server stopped to listen
        assert server.log.read_text().splitlines()[-1].split() == ["info", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_was_asked_for_is_no_failure(tmp_path: Path, number: int):
    server = ServerProcess(tmp_path)
    server.start()
    server.process.send_signal(number)
    assert server.process.wait(30) == 0


def test_metrics_name_operations_and_never_paths_or_clients(tmp_path: Path):
    with ServerProcess(tmp_path, key="k") as server:
        server.ask("POST", LAST, BODY)
        server.ask("GET", "/anomalydetector/v1.1/nothing/x1")
        text = server.ask("GET", "/metrics").body.decode()
    assert 'edgead_http_requests_total{operation="detect_last",status="200"} 1.0' in text
    assert 'edgead_http_requests_total{operation="none",status="404"} 1.0' in text
    assert "edgead_points_total 31.0" in text
    assert "process_resident_memory_bytes" in text
    assert "x1" not in text
    documented = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()
    for name in re.findall(r"^# TYPE (edgead_\w+) ", text, re.M):
        assert name.endswith("_created") or f"`{name}" in documented, name
