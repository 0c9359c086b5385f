"""Health over HTTP from the standard library: /healthz, /readyz and /metrics (Prometheus text format 0.0.4).

A device needs no extra for it.  Requests are answered from a snapshot that the agent hands over; a slow or silent
client costs one of a few threads for a few seconds, and nothing else.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

import msgspec

from edgead.errors import OuterWorldError

#: Seconds a client may take to send its request or read the answer.
REQUEST_TIMEOUT_S = 5
#: Requests answered at one time; more are refused at once.
MAX_REQUESTS = 8
#: Seconds between two tries to accept a connection when that failed.
ACCEPT_AGAIN_S = 0.2


class Metric(msgspec.Struct, frozen=True):
    """One sample: `name` after ``edgead_``, help text, ``counter`` or ``gauge``, value, labels."""

    name: str
    help: str
    kind: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


class Health(msgspec.Struct, frozen=True):
    """What a probe sees of the agent.

    Attributes
    ----------
    live, ready : bool
        The loop turns; the broker is connected and the store takes commits.
    problems : tuple of str
        Why not, in words.
    metrics : tuple of Metric
    """

    live: bool
    ready: bool
    problems: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def render(metrics: Iterable[Metric]) -> str:
    """Metrics as Prometheus text; samples of one name must follow each other."""
    lines: list[str] = []
    last = ""
    for metric in metrics:
        name = f"edgead_{metric.name}"
        if name != last:
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
            last = name
        labels = ",".join(f'{key}="{_escape(value)}"' for key, value in metric.labels)
        lines.append(f"{name}{{{labels}}} {metric.value:.10g}" if labels else f"{name} {metric.value:.10g}")
    return "\n".join(lines) + "\n"


class Probe:
    """The HTTP server in its own thread.

    Parameters
    ----------
    host, port : str, int
        Where to listen; port 0 takes a free one.
    health : callable
        Returns the present `Health`; called from the request's thread.

    Raises
    ------
    OuterWorldError
        If the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, health: Callable[[], Health]) -> None:
        try:
            self._server = _Server((host, port), health)
        except OSError as error:
            raise OuterWorldError(f"http.listen: cannot listen on {host}:{port}: {error.strerror}") from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="probe", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(REQUEST_TIMEOUT_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: Callable[[], Health]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.health = health
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)

    def server_bind(self) -> None:
        """Bind without asking a name server what this host is called: offline that takes many seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def get_request(self):  # type: ignore[no-untyped-def]
        """Accept; a process without a free descriptor must not ask again and again without a pause."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(ACCEPT_AGAIN_S)
            raise

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """A client that hangs up or sends rubbish is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIMEOUT_S
    server_version = "edgead"
    sys_version = ""

    def do_GET(self) -> None:
        health = self.server.health()
        path = self.path.split("?", 1)[0]
        if path == "/metrics":
            self._answer(200, render(health.metrics), "text/plain; version=0.0.4; charset=utf-8")
        elif path in ("/healthz", "/readyz"):
            good = health.live if path == "/healthz" else health.live and health.ready
            body = {"status": "ok" if good else "unavailable", "problems": health.problems}
            self._answer(200 if good else 503, msgspec.json.encode(body).decode() + "\n", "application/json")
        else:
            self._answer(404, "expected /healthz, /readyz or /metrics\n", "text/plain; charset=utf-8")

    def _answer(self, status: int, body: str, kind: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Probes come every few seconds; the log is for events."""
