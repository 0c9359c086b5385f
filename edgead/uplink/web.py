"""HTTP to one server: bounded in time and rate, never led to another host.

The environment's proxies, and compression by the server, are not used: what is read is what was sent.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError, ProxyError, SSLError

from edgead._version import VERSION
from edgead.config import UplinkConfig
from edgead.errors import UplinkError
from edgead.uplink.reasons import Refused, Unreachable

#: Seconds for a connection, and of silence, after which the other side counts as gone.
SILENCE_S = 15.0
#: Redirects followed, on the same host only.
MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 64 * 1024
_MAX_KEY_BYTES = 4096


class Answer:
    """What a server said.

    Attributes
    ----------
    status : int
    headers : mapping of str to str
        Names in any case.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, exchange: "_Exchange") -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._exchange = exchange

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, at most at the bandwidth of the configuration.

        Raises
        ------
        Refused
            If the time of the exchange is over.
        Unreachable
            If the server fell silent or broke off.
        """
        with self._exchange.told():
            while data := self._response.read1(self._exchange.pace.chunk):
                self._exchange.pace.take(len(data))
                self._exchange.check()
                yield data
            self._exchange.check()  # cut off, it looks like an end where no length was told

    def finish(self) -> None:
        """Read what is left, if it is little, so that the connection can be used again."""
        left = _CHUNK
        with suppress(Refused, Unreachable):
            for chunk in self.chunks():
                left -= len(chunk)
                if left < 0:
                    return

    def read(self, limit: int) -> bytes:
        """The whole body.

        Raises
        ------
        Refused
            If it is longer than `limit` bytes.
        """
        body = bytearray()
        for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise Refused("endless-data", f"more than {limit} bytes came")
        return bytes(body)


class Pace:
    """Keeps a stream of bytes at a rate: after each part it sleeps until that part was due.

    Parameters
    ----------
    rate : int
        Bytes a second; 0 = no bound.
    """

    def __init__(self, rate: int) -> None:
        self.chunk = max(512, min(_CHUNK, rate // 8)) if rate else _CHUNK
        self._rate, self._due = rate, 0.0

    def take(self, count: int) -> None:
        """Count bytes; sleep as long as they should have taken."""
        if self._rate:
            now = time.monotonic()
            self._due = max(self._due, now) + count / self._rate
            time.sleep(self._due - now)


class _Exchange:
    """One request and its answer, cut off when its time is over, wherever it hangs."""

    def __init__(self, limit_s: float, pace: Pace, sockets: set[socket.socket]) -> None:
        self.pace = pace
        self._limit_s = limit_s
        self._end = time.monotonic() + limit_s
        self._sockets = sockets
        self._timer = threading.Timer(max(limit_s, 0.0), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        self._timer.cancel()
        self._sockets.clear()

    def check(self) -> None:
        if time.monotonic() >= self._end:
            raise Refused("slow", f"it took longer than {self._limit_s:.3g} s")

    def _cut(self) -> None:
        for one in list(self._sockets):
            try:
                socket.socket.shutdown(one, socket.SHUT_RDWR)
            except OSError:
                continue

    @contextmanager
    def told(self) -> Iterator[None]:
        """Foreign exceptions in our words."""
        try:
            yield
        except (HTTPError, OSError, ValueError) as error:
            self.check()
            cause = _certificate_fault(error)
            if cause:
                raise Refused("tls", cause) from error
            raise Unreachable(_sentence(error)) from error


def _certificate_fault(error: BaseException) -> str:
    """What is wrong with the server's certificate, or our own in its eyes; "" when it is something else."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            hint = "; is this device's clock right?" if seen.verify_code in (9, 10) else ""
            return f"the server's certificate: {seen.verify_message}{hint}"
        if isinstance(seen, ssl.SSLError) and "ALERT" in (seen.reason or ""):
            return f"the server ended the handshake: {seen.reason.replace('_', ' ').lower()}"
        inner = seen.args[0] if isinstance(seen, SSLError) and seen.args else None
        seen = inner if isinstance(inner, BaseException) else seen.__cause__
    return ""


def _sentence(error: BaseException) -> str:
    if isinstance(error, (ProtocolError, ProxyError)) and len(error.args) > 1:
        what, inner = error.args[:2]
        return f"{str(what).rstrip('.')}: {_sentence(inner) if isinstance(inner, BaseException) else inner}"
    text = " ".join(str(error).split())
    return text[text.find("): ") + 3 :] if "): " in text[:120] else text or type(error).__name__


class Web:
    """A connection to the servers of one configuration, kept open between requests.

    Parameters
    ----------
    config : UplinkConfig
        Proxy, TLS, credentials and bandwidth.

    Raises
    ------
    UplinkError
        If a certificate or key file cannot be used.
    """

    def __init__(self, config: UplinkConfig) -> None:
        self.requests = 0
        self.received = 0
        self._pace = Pace(config.bandwidth)
        self._sockets: set[socket.socket] = set()
        self._headers = {"User-Agent": f"edgead/{VERSION}", "Accept-Encoding": "identity"}
        self._key = f"Bearer {_key(Path(config.credentials_file))}" if config.credentials_file else ""
        self._server = _origin(config.url or config.repository)
        kept: dict[str, Any] = {"ssl_context": _tls(config), "num_pools": 2, "maxsize": 1}
        if config.bandwidth:  # what the kernel takes in advance would come faster than asked
            size = max(4096, min(config.bandwidth, 1 << 18))
            kept["socket_options"] = [
                *HTTPConnection.default_socket_options,
                (socket.SOL_SOCKET, socket.SO_RCVBUF, size),
            ]
        self._pool: urllib3.PoolManager = (
            urllib3.ProxyManager(config.proxy, **kept) if config.proxy else urllib3.PoolManager(**kept)
        )
        self._pool.pool_classes_by_scheme = _watched_pools(self._sockets.add)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        limit_s: float = 60.0,
    ) -> Iterator[Answer]:
        """Ask, and give the answer whatever its status; redirects on the same host are followed.

        Parameters
        ----------
        method : str
            ``GET``, ``POST`` ...
        url : str
            With http or https.
        body : bytes, optional
            Sent at most at the bandwidth of the configuration.
        headers : mapping, optional
            More than those every request has.
        limit_s : float, optional
            Seconds for everything until the end of the ``with`` block's reading.

        Raises
        ------
        Refused
            ``redirect``, ``tls`` or ``slow``.
        Unreachable
            If there is no answer.
        """
        exchange = _Exchange(limit_s, self._pace, self._sockets)
        response = None
        known = dict(self._headers)
        if self._key and _origin(url) == self._server:  # a mirror or a CDN has no business with the key
            known["Authorization"] = self._key
        try:
            for _ in range(MAX_REDIRECTS + 1):
                with exchange.told():
                    response = self._ask(method, url, body, {**known, **(headers or {})})
                exchange.check()
                if response.status not in _REDIRECTS:
                    break
                url = _followed(url, response.headers.get("Location", ""))
                response.close()
            else:
                raise Refused("redirect", f"more than {MAX_REDIRECTS} redirects")
            answer = Answer(response, exchange)
            yield answer
            answer.finish()
        finally:
            exchange.close()
            if response is not None:
                response.close()
                response.release_conn()

    def _ask(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; once more where the connection, kept from the one before, ended at that moment.

        Either side may end a kept connection at any time, and what only reads may be asked again (RFC 9112, 9.3.1).
        """
        pool = self._pool.connection_from_url(url)
        before = pool.num_connections
        try:
            return self._send(method, url, body, headers)
        except (ProtocolError, ProxyError) as error:  # on the way to a proxy it is told as the proxy's
            ended = len(error.args) > 1 and isinstance(error.args[1], ConnectionError)
            if method != "GET" or not ended or pool.num_connections != before or not before:
                raise
        return self._send(method, url, body, headers)

    def _send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        self.requests += 1
        return self._pool.request(
            method,
            url,
            body=cast("IO[bytes]", _Paced(body, self._pace)) if body else None,
            headers={**headers, "Content-Length": str(len(body))} if body else headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=SILENCE_S, read=SILENCE_S),
        )


class _Paced:
    """A body that is read no faster than it may be sent."""

    def __init__(self, body: bytes, pace: Pace) -> None:
        self._body, self._pace, self._at = body, pace, 0

    def read(self, size: int = -1) -> bytes:
        """The next part."""
        part = self._body[self._at : self._at + min(self._pace.chunk, size if size > 0 else _CHUNK)]
        self._at += len(part)
        self._pace.take(len(part))
        return part


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _followed(url: str, location: str) -> str:
    """Where a redirect leads, if that is the same host and not less safe."""
    there = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(there)
    if not location or _origin(there) != _origin(url):
        raise Refused("redirect", f"{old.netloc} sends us to {new.scheme}://{new.netloc}")
    return there


def _tls(config: UplinkConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if config.client_cert:
            # a key with a passphrase would ask on the terminal
            context.load_cert_chain(config.client_cert, password=lambda: b"")
    except (OSError, ValueError) as error:
        file = config.client_cert or config.ca
        raise UplinkError(f"{file}: no usable certificate ({error})") from error
    return context


def _key(path: Path) -> str:
    try:
        with open(path, encoding="ascii") as file:
            key = file.read(_MAX_KEY_BYTES + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UplinkError(f"{path}: the key cannot be read") from error
    if not key or len(key) > _MAX_KEY_BYTES or any(letter <= " " for letter in key):
        raise UplinkError(f"{path}: expected one line with this device's key")
    return key


def _watched_pools(watch: Callable[[socket.socket], Any]) -> dict[str, Any]:
    """Pools whose connections show their socket before they wait for an answer."""

    class Plain(HTTPConnection):
        def getresponse(self) -> Any:
            watch(self.sock)
            return super().getresponse()

    class Tls(HTTPSConnection):
        def getresponse(self) -> Any:
            watch(self.sock)
            return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
