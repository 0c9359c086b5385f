"""Clients that send rubbish, too much, too slowly or nothing: refused, and the others are answered meanwhile."""

import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.raw_http import connect, exchange, post, read_answer
from tests.server_process import ServerProcess

DETECT = "/anomalydetector/v1.1/timeseries/entire/detect"
JSON = "Content-Type: application/json"
SERIES = [{"timestamp": f"2021-01-{day:02}T00:00:00Z", "value": float(day % 7)} for day in range(1, 32)]
GOOD = json.dumps({"series": SERIES, "granularity": "daily"}).encode()
READ_TIME_S = 0.6


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    config = folder / "server.toml"
    config.write_text(
        '[server]\nread_time = "600ms"\nmax_connections = 60\nmax_body = "256KiB"\nmax_buffered = "4MiB"\n'
        "max_requests = 40\n"
    )
    with ServerProcess(folder, ["-c", str(config)]) as process:
        yield process


@pytest.fixture(autouse=True)
def _still_answers(server):
    """Whatever a test did, the next client is answered, and the log has no traceback."""
    yield
    until = time.monotonic() + 20
    while (answer := exchange(server.port, post(DETECT, GOOD, JSON))) is None or answer.status == 429:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert answer.status == 200
    assert server.ask("GET", "/ready").status == 200
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "a request failed" not in log
    assert "Exception in ASGI" not in log


def peak_mb(server) -> float:
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


# ---------------------------------------------------------------- bodies

BAD_BODIES = {
    "nothing": b"",
    "half": b'{"series": [{"value": 1.0}, {"va',
    "not an object": b"[1, 2, 3]",
    "nan": b'{"series": [' + b'{"value": NaN},' * 20 + b'{"value": 1}]}',
    "infinity": b'{"series": [' + b'{"value": -Infinity},' * 20 + b'{"value": 1}]}',
    "a number beyond doubles": b'{"series": [' + b'{"value": 1e999},' * 20 + b'{"value": 1}]}',
    "deep arrays": b'{"series": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"series": ' + b'{"a":' * 30_000 + b"1" + b"}" * 30_000 + b"}",
    "bad UTF-8": b'{"series": "\xff\xfe\x80"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a lone surrogate": b'{"series": "\\ud800"}',
    "zero bytes": b"\0" * 1000,
    "huge integer": b'{"series": [' + b'{"value": ' + b"9" * 5000 + b"}," * 1 + b'{"value": 1}]}',
    "keys that repeat": b'{"series": 1, "series": 2}',
    "compressed": b"\x1f\x8b\x08\0" + bytes(range(256)),
    "strings for everything": json.dumps({"series": "x", "granularity": 3, "period": "y"}).encode(),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_none_is_refused_with_a_code(server, name):
    for mode in ("entire", "last", "changepoint"):
        answer = exchange(
            server.port, post(f"/anomalydetector/v1.1/timeseries/{mode}/detect", BAD_BODIES[name], JSON)
        )
        assert answer.status == 400, (name, answer)
        body = answer.json()
        assert set(body) == {"code", "message"}
        assert answer.headers["x-ms-error-code"] == body["code"]
        assert len(body["message"]) < 1000


def test_bodies_with_random_damage_are_answered_or_refused(server):
    chance = random.Random(6)
    with connect(server.port) as line:
        for _ in range(150):
            data = bytearray(GOOD)
            for _ in range(chance.randint(1, 8)):
                at = chance.randrange(len(data))
                data[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
            line.sendall(post(DETECT, bytes(data), JSON))
            answer = read_answer(line)
            assert answer.status in (200, 400), bytes(data)


def test_100_megabytes_are_refused_and_not_kept(server):
    before = peak_mb(server)
    big = b"[" + b" " * (100 * 2**20)
    answer = exchange(server.port, post(DETECT, big, JSON))
    assert (answer.status, answer.code) == (413, "BadArgument")
    head = f"POST {DETECT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    answer = exchange(server.port, head + chunk * 50 + b"0\r\n\r\n")
    assert answer.status == 413
    assert peak_mb(server) - before < 30


def test_many_bodies_at_once_share_a_bound(server):
    """Each is below the bound of one; together they are not."""
    lines = [connect(server.port) for _ in range(30)]
    try:
        head = f"POST {DETECT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {250 * 1024}\r\n\r\n".encode()
        for line in lines:
            line.sendall(head + b" " * (240 * 1024))
        statuses = [answer.status for line in lines if (answer := read_answer(line))]
        assert 429 in statuses
        assert set(statuses) <= {408, 429}
    finally:
        for line in lines:
            line.close()


# ---------------------------------------------------------------- requests

BAD_REQUESTS = {
    "no request": b"\r\n\r\n\r\n",
    "rubbish": bytes(range(1, 256)) * 4 + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /ready\r\n\r\n",
    "a negative length": b"POST "
    + DETECT.encode()
    + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST "
    + DETECT.encode()
    + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a length of words": b"POST "
    + DETECT.encode()
    + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: five\r\n\r\n",
    "a bad chunk": b"POST "
    + DETECT.encode()
    + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a header without a name": b"GET /ready HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
    "a header with a zero byte": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "headers without an end": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000,
    "no host": b"GET /ready HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_request_that_is_none_is_refused_in_json_or_cut(server, name):
    answer = exchange(server.port, BAD_REQUESTS[name])
    if answer is not None:
        assert answer.status == (404 if name == "HTTP/2" else 400)
        assert answer.code == str(answer.status)


def test_lengths_that_lie(server):
    """Too long: the answer is a 408 once patience ends.  Too short: the rest is the next request, and none."""
    long = (
        f"POST {DETECT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(GOOD) + 50}\r\n\r\n".encode()
        + GOOD
    )
    began = time.monotonic()
    answer = exchange(server.port, long)
    assert answer.status == 408
    assert time.monotonic() - began < 30 * READ_TIME_S
    short = f"POST {DETECT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n".encode() + GOOD
    answer = exchange(server.port, short)
    assert answer.status == 400


@pytest.mark.parametrize(
    "told",
    [
        "a\r\nX-Injected: 1",
        "a\nX-Injected: 1",
        "a%0d%0aX-Injected: 1",
        "x" * 5000,
        "\u00e4",
        "a b",
        "<script>",
    ],
)
def test_no_header_is_injected_by_what_a_client_says(server, told):
    for headers in (
        (f"x-ms-client-request-id: {told}", "x-ms-return-client-request-id: true", JSON),
        (f"Ocp-Apim-Subscription-Key: {told}", JSON),
    ):
        answer = exchange(server.port, post(DETECT, GOOD, *headers))
        assert "x-injected" not in (answer.headers if answer else {})
    answer = exchange(server.port, f"GET /x{told}y HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert answer is None or (answer.status in (400, 404) and "x-injected" not in answer.headers)


def test_halves_of_requests_are_cut_off_at_every_place(server):
    request = post(DETECT, GOOD, JSON)
    for cut in random.Random(1).sample(range(1, len(request)), 40):
        with connect(server.port) as line:
            line.sendall(request[:cut])
            line.shutdown(socket.SHUT_WR)
            answer = read_answer(line)
            assert answer is None or answer.status in (400, 408)


# ---------------------------------------------------------------- time


def test_slow_clients_hold_nobody_up(server):
    """Forty that send a byte now and then: all are cut, and calls beside them are answered at once."""
    stop = threading.Event()

    def dribble(line: socket.socket, request: bytes) -> float:
        began = time.monotonic()
        for at in range(len(request)):
            try:
                line.sendall(request[at : at + 1])
                line.settimeout(0.1)
                if line.recv(1000) == b"":
                    break
            except TimeoutError:
                pass
            except ConnectionError:
                break
            if stop.is_set():
                break
        line.close()
        return time.monotonic() - began

    head = f"POST {DETECT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n".encode()
    with ThreadPoolExecutor(40) as pool:
        slow = []
        for number in range(40):
            line = connect(server.port)
            if number % 2:
                line.sendall(head)  # a slow body; the others are slow from the first letter
            slow.append(pool.submit(dribble, line, (head + b" " * 9000) if number % 2 == 0 else b" " * 9000))
        for _ in range(5):
            began = time.monotonic()
            assert server.ask("GET", "/healthz").status == 200
            assert time.monotonic() - began < 5
        lasted = [each.result(timeout=60) for each in slow]
        stop.set()
    assert max(lasted) < 30


def test_more_connections_than_allowed_are_told_so(server):
    lines = [connect(server.port) for _ in range(60)]
    try:
        time.sleep(0.1)
        late = exchange(server.port, post(DETECT, GOOD, JSON))
        assert (late.status, late.headers["retry-after"]) == (429, "1")
    finally:
        for line in lines:
            line.close()


def test_a_client_that_takes_no_answer_is_cut(server):
    """The answers of a pipeline are larger than what two sockets hold."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(30)
        line.connect(("127.0.0.1", server.port))
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with pytest.raises(OSError, match=r"reset|Broken|timed out"):  # noqa: PT012 - either call may be the one
            for _ in range(3000):
                line.sendall(request)
                time.sleep(0.005)
    assert b"edgead_http_requests_in_flight 1.0" in server.ask("GET", "/metrics").body


# ---------------------------------------------------------------- browsers


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: evil.example", JSON),
        ("Host: 192.168.1.7:5000", JSON),
        ("Host: ", JSON),
        ("Host: localhost", "Origin: https://evil.example", "Content-Type: text/plain"),
        ("Host: localhost", "Origin: null", "Content-Type: text/plain"),
    ],
)
def test_pages_of_other_sites_cannot_call_a_server_without_keys(server, headers):
    lines = [f"POST {DETECT} HTTP/1.1", *headers, f"Content-Length: {len(GOOD)}", "", ""]
    answer = exchange(server.port, "\r\n".join(lines).encode() + GOOD)
    assert (answer.status, answer.code) == (403, "403")


def test_its_own_pages_can(server):
    lines = [f"POST {DETECT} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", JSON]
    lines += [f"Origin: http://127.0.0.1:{server.port}", f"Content-Length: {len(GOOD)}", "", ""]
    assert exchange(server.port, "\r\n".join(lines).encode() + GOOD).status == 200
