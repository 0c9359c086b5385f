"""`edgead serve`: requests a second and times of univariate calls, beside the bare call and an empty route.

    python tests/bench/bench_server.py [--calls N]

The server and an empty Starlette application on the same uvicorn are processes of their own; both get the same request
(the empty route reads the body and answers ``{}``).  At one client
the three are called in turn.  The overhead is
what the server takes beyond the bare call, as a share of what the empty route takes.  Low quantiles are told
as well: on a busy machine they are nearer to what the work costs than the median.  Last comes the memory that the
largest result of a detection takes, written and read.
"""

import argparse
import asyncio
import json
import math
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASES = (("last", 1440), ("entire", 288))
CLIENTS = (1, 8, 64)
ROUNDS = 5
RESULT = "00000000-0000-4000-8000-000000000001"

EMPTY = """
import socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def empty(request):
    await request.body()
    return JSONResponse({})

listening = socket.create_server(("127.0.0.1", 0))
listening.close()
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
sock.bind(("127.0.0.1", 0))
print(f"listening url=http://127.0.0.1:{sock.getsockname()[1]}", file=sys.stderr, flush=True)
app = Starlette(routes=[Route("/{rest:path}", empty, methods=["POST"])])
uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[sock])
"""


def memory_mb(process, field):
    """A line of /proc/PID/status."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", text)[1]) / 1024


class Server:
    """A process that says on stderr where it listens."""

    def __init__(self, command, log):
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen([sys.executable, *command], stderr=stderr, cwd=ROOT)
        while not (told := re.search(rb"listening url=http://127.0.0.1:(\d+)", Path(log).read_bytes())):
            if self.process.poll() is not None:
                raise SystemExit(Path(log).read_text())
            time.sleep(0.05)
        self.port = int(told[1])
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)

    def status(self, field):
        return memory_mb(self.process.pid, field)

    def cpu_s(self):
        """Of all its threads; /proc/PID/stat would count in hundredths of a second."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def stop(self):
        self.process.terminate()
        self.process.wait()


def body_of(n):
    """A season of a day in steps of five minutes, with noise and a spike."""
    chance, start = random.Random(n), datetime(2021, 1, 1)
    values = [100 + 10 * math.sin(2 * math.pi * i / 288) + chance.gauss(0, 1) for i in range(n)]
    values[n // 2] += 30
    series = [
        {"timestamp": (start + timedelta(minutes=5 * i)).strftime("%Y-%m-%dT%H:%M:%SZ"), "value": value}
        for i, value in enumerate(values)
    ]
    return {"series": series, "granularity": "minutely", "customInterval": 5}


def request_of(mode, body):
    data = json.dumps(body).encode()
    head = (
        f"POST /anomalydetector/v1.1/timeseries/{mode}/detect HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def client(port, request, calls, times):
    """One keep-alive connection, one call after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(calls):
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not answered: {head.decode()}")
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
        times.append(time.perf_counter() - began)
    writer.close()


async def crowd(port, request, clients, calls):
    """(seconds in all, seconds of each call)."""
    times = []
    began = time.perf_counter()
    await asyncio.gather(*(client(port, request, max(1, calls // clients), times) for _ in range(clients)))
    return time.perf_counter() - began, times


class Line:
    """One keep-alive connection, without anything that costs time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request):
        self.socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.socket.recv(65536)
        missing = int(re.search(rb"content-length: (\d+)", data)[1]) - (len(data) - end - 4)
        while missing > 0:
            missing -= len(self.socket.recv(65536))


def in_turn(server, empty, mode, body, calls):
    """Seconds, and processor seconds a call, of the bare call, the empty route and the server, called in turn."""
    import edgead

    request, lines = request_of(mode, body), (Line(empty.port), Line(server.port))
    works = (lambda: edgead.detect(mode, body), lambda: lines[0].ask(request), lambda: lines[1].ask(request))
    clocks = (empty.cpu_s, server.cpu_s)
    times, bare_cpu = ([], [], []), 0.0
    for _ in range(20):
        for work in works:
            work()
    began = [clock() for clock in clocks]
    for _ in range(calls):
        cpu = time.thread_time()
        for work, taken in zip(works, times):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
            if work is works[0]:
                bare_cpu += time.thread_time() - cpu
    cpus = [bare_cpu, *(clock() - then for clock, then in zip(clocks, began))]
    return times, [each / calls for each in cpus]


def quantile(times, share):
    return 1e3 * sorted(times)[min(len(times) - 1, int(share * len(times)))]


def shown(what, times, rate=None):
    figures = "".join(
        f"  p{int(share * 100):02} {quantile(times, share):8.2f} ms" for share in (0.1, 0.5, 0.99)
    )
    print(f"  {what:24}{figures}" + ("" if rate is None else f"  {rate:7.0f}/s"), flush=True)


def measure(server, empty, mode, n, calls):
    body = body_of(n)
    request = request_of(mode, body)
    print(f"{mode}, n = {n}, request of {len(request) // 1024} KiB")
    times, cpus = in_turn(server, empty, mode, body, calls)
    for what, taken, cpu in zip(("bare call", "empty route, 1 client", "server, 1 client"), times, cpus):
        shown(what, taken)
        print(f"    processor time {1e3 * cpu:.2f} ms a call")
    for share in (0.01, 0.1, 0.5):
        bare, nothing, served = (quantile(taken, share) for taken in times)
        ratio = (served - bare) / nothing
        told = f"{served - bare:.2f} ms = {ratio:.2f} of the empty route (goal 1.5)"
        print(f"  overhead at 1 client by p{int(share * 100)}: {told}", flush=True)
    print(f"  overhead in processor time: {(cpus[2] - cpus[0]) / cpus[1]:.2f} of the empty route", flush=True)
    for clients in CLIENTS:
        rates, times = [], []
        used, asked, walls = server.cpu_s(), 0, 0.0
        for _ in range(ROUNDS):
            wall, each = asyncio.run(crowd(server.port, request, clients, max(clients, calls // ROUNDS)))
            rates.append(len(each) / wall)
            times += each
            asked += len(each)
            walls += wall
        used = server.cpu_s() - used
        shown(f"server, {clients} client{'s' * (clients > 1)}", times, statistics.median(rates))
        busy = f"{used / walls:.2f} of {os.cpu_count()} processors busy with it"
        print(f"    processor time of the server {1e3 * used / asked:.2f} ms a call, {busy}")


def largest(folder):
    """Memory of writing and reading 20,000 anomalies of 300 variables with 30 contributors each."""
    import msgspec

    from edgead.server.answers import Cause, Row, encode_parts
    from edgead.server.requests import DetectRequest
    from edgead.store.jobs import JobStore, ResultRow

    chance, names = random.Random(1), tuple(f"line4.station{number:03}.temperature" for number in range(300))

    def rows():
        for at in range(20_000):
            found = [Cause(variable, chance.random()) for variable in chance.sample(range(300), 60)]
            yield Row(at * 60 * 10**9, 1 + chance.random(), tuple(found[:30]), tuple(found[30:]))

    before = memory_mb("self", "VmRSS")
    parts = list(encode_parts(names, 28, rows()))
    stored = sum(map(len, parts)) / 1e6
    print(
        f"largest result: {stored:.1f} MB stored, written with {memory_mb('self', 'VmHWM') - before:.0f} MB at most"
    )
    start, end = "1970-01-01T00:00:00Z", "1970-01-15T00:00:00Z"
    asked = DetectRequest(source="x", start=start, end=end, start_ns=0, end_ns=14 * 86_400 * 10**9, top=30)
    row = ResultRow(
        id=RESULT, client="", created_ns=time.time_ns(), updated_ns=1, request=msgspec.json.encode(asked)
    )
    store = JobStore.open(Path(folder) / "state/server", now_ns=0)
    store.add_result(row)
    store.finish_result(RESULT, time.time_ns(), status="READY", parts=parts)
    store.close()
    server = Server(
        ["-m", "edgead", "serve", "--port", "0", "--state-dir", f"{folder}/state"], f"{folder}/largest.log"
    )
    before, began = server.status("VmRSS"), time.perf_counter()
    path = f"http://127.0.0.1:{server.port}/anomalydetector/v1.1/multivariate/detect-batch/{RESULT}"
    size = 0
    with urllib.request.urlopen(path) as answer:
        while part := answer.read(2**18):
            size += len(part)
    took, peak = time.perf_counter() - began, server.status("VmHWM")
    server.stop()
    print(
        f"  {size / 1e6:.0f} MB of JSON in {took:.1f} s, server {before:.0f} MB before and {peak:.0f} MB at most"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000, help="of each kind")
    calls = parser.parse_args().calls
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "edgead", "serve", "--port", "0", "--state-dir", f"{folder}/state"]
        server = Server(command, f"{folder}/server.log")
        empty = Server(["-c", EMPTY], f"{folder}/empty.log")
        try:
            print(
                f"memory before the first call {server.status('VmRSS'):.0f} MB (empty {empty.status('VmRSS'):.0f} MB)"
            )
            for mode, n in CASES:
                measure(server, empty, mode, n, calls)
            print(f"memory {server.status('VmRSS'):.0f} MB, at most {server.status('VmHWM'):.0f} MB")
        finally:
            server.stop()
            empty.stop()
        largest(folder)


if __name__ == "__main__":
    main()
