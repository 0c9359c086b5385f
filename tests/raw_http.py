"""HTTP by hand: what is sent is what the test wrote, byte for byte."""

import contextlib
import socket
import ssl

from tests.server_process import Answer


def connect(port: int, context: ssl.SSLContext | None = None, timeout: float = 30.0) -> socket.socket:
    """A connection to this host."""
    plain = socket.create_connection(("127.0.0.1", port), timeout)
    return context.wrap_socket(plain, server_hostname="localhost") if context else plain


def post(path: str, body: bytes, *headers: str) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def read_answer(line: socket.socket) -> Answer | None:
    """The next answer on a connection; None = it was closed before one was whole."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            part = line.recv(65536)
            if not part:
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        status, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
        length = int(headers.get("content-length", 0))
        while len(body) < length:
            part = line.recv(65536)
            if not part:
                return None
            body += part
    except ConnectionError:
        return None
    return Answer(int(status.split()[1]), headers, body[:length])


def exchange(port: int, data: bytes, context: ssl.SSLContext | None = None) -> Answer | None:
    """Send bytes on a new connection and read one answer."""
    with connect(port, context) as line:
        with contextlib.suppress(ConnectionError):  # the answer may come before all was sent
            line.sendall(data)
        return read_answer(line)
