"""A small cloud for tests: a real HTTP server on loopback that takes records, and fails as a script says."""

import gzip
import socket
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import msgspec


class Cloud:
    """Takes batches of records at any path.

    Attributes
    ----------
    lines : list of dict
        Every line of every batch it took, in order, known or not.
    faults : deque of str
        What happens to the next requests, one each: ``"ok"``, a status such as ``"500"``, ``"silent"`` (takes the
        batch, answers nothing and closes), ``"cut"`` (takes it, answers half), ``"page"`` (a 200 of somebody else).
    poison : str
        A batch that contains this text is answered with 400.
    """

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.records: dict[str, dict[str, Any]] = {}
        self.requests = 0
        self.faults: deque[str] = deque()
        self.poison = ""
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                cloud._answer(self, gzip.decompress(body))

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, handler: BaseHTTPRequestHandler, batch: bytes) -> None:
        self.requests += 1
        fault = self.faults.popleft() if self.faults else "ok"
        if fault.isdigit():
            self._send(handler, int(fault), b'{"code":"Told","message":"as the script says"}')
        elif fault == "page":
            self._send(handler, 200, b"<html>please log in</html>")
        elif self.poison and self.poison.encode() in batch:
            self._send(handler, 400, b'{"code":"BadArgument","message":"a line is bad"}')
        else:
            answer = self._take(batch)
            if fault == "silent":
                handler.connection.shutdown(socket.SHUT_RDWR)
            else:
                self._send(handler, 200, answer, cut=fault == "cut")

    def _take(self, batch: bytes) -> bytes:
        lines = [msgspec.json.decode(line) for line in batch.split(b"\n")]
        self.lines += lines
        before = len(self.records)
        for line in lines:
            self.records.setdefault(key_of(line), line)
        accepted = len(self.records) - before
        return msgspec.json.encode({"accepted": accepted, "known": len(lines) - accepted, "refused": []})

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, *, cut: bool = False) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            handler.connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Cloud":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def key_of(line: dict[str, Any]) -> str:
    """What makes a record the same as another."""
    record = line["record"]
    named = "series" if line["kind"] == "data" else "id"
    return "/".join([line["kind"], *(str(record.get(name)) for name in (named, "event", "ts"))])
