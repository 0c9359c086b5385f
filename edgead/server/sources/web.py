"""Tables from web servers: the address is looked up once, judged, and spoken to; nothing is followed."""

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Timer
from typing import Any

from edgead.server.sources.addresses import Address, Url, permitted
from edgead.server.sources.budget import BLOCK, Budget, SourceError

#: Seconds for the name, the connection, and between two parts of an answer.
_LOOKUP_S, _CONNECT_S, _SILENCE_S = 10.0, 10.0, 20.0
_ADDRESSES_TRIED = 3

Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host, as the system's resolver gives them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Web:
    """Reads ``http`` and ``https`` URLs.

    Parameters
    ----------
    listed : sequence of Url
        Prefixes the operator listed; they also say which special addresses may be spoken to.
    ca : str
        PEM file of authorities to trust instead of the system's; "" = those of the system.
    lookup : callable
        Addresses of a host.
    """

    def __init__(self, listed: Sequence[Url], ca: str, lookup: Resolve) -> None:
        self._listed = listed
        self._ca = ca
        self._lookup = lookup

    def download(self, url: Url, out: Path, budget: Budget) -> None:
        """Copy what a URL answers into a new file.

        Raises
        ------
        SourceError
            ``StorageReadError`` (the address, or the server, refuses), ``FileNotExist``, ``FileSizeTooLarge``,
            ``GetDataError``.
        """
        import urllib3

        try:
            with self._answer(url, self._addresses(url, budget), budget) as answer:
                _expect_success(answer, budget)
                budget.copy(answer.read, out)
                budget.seconds()  # an end that the watchdog made is no end
        except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            budget.seconds()
            raise SourceError(f"{url}: {_reason(error)}", code="GetDataError") from None

    def _addresses(self, url: Url, budget: Budget) -> list[Address]:
        """Where the host is, looked up once; the connection goes to one of these and nowhere else."""
        if url.address is not None:
            found = [url.address]
        else:
            try:
                texts = budget.within(lambda: self._lookup(url.host, url.port), _LOOKUP_S)
            except (OSError, UnicodeError) as error:
                raise SourceError(f"{url}: host not found ({error})", code="GetDataError") from None
            found = [ipaddress.ip_address(text.split("%", 1)[0]) for text in texts]
        allowed = [address for address in found if permitted(address, url, self._listed)]
        if not allowed:
            raise SourceError(
                f"{url}: its host is at a loopback, private or special address, and no listed URL names that address",
                code="StorageReadError",
            )
        return allowed[:_ADDRESSES_TRIED]

    @contextmanager
    def _answer(self, url: Url, addresses: Sequence[Address], budget: Budget) -> Iterator[Any]:
        """The answer of the first address that takes a connection; cut at the deadline, whatever it is doing."""
        connection = self._connected(url, addresses, budget)
        opened = connection.sock  # the connection forgets it when the server says it will close
        watchdog = Timer(budget.seconds(), lambda: _cut(opened))
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.request(
                "GET",
                (url.path + url.query),
                headers={"Host": _host_header(url), "Accept-Encoding": "identity", "User-Agent": "edgead"},
                preload_content=False,
                decode_content=False,
            )
            with closing(connection.getresponse()) as answer:
                yield answer
        finally:
            watchdog.cancel()
            connection.close()

    def _connected(self, url: Url, addresses: Sequence[Address], budget: Budget) -> Any:
        """A connection to the first address that takes one."""
        import urllib3

        for address in addresses[:-1]:
            with suppress(urllib3.exceptions.HTTPError, OSError):
                return self._connect(url, address, budget)
        return self._connect(url, addresses[-1], budget)

    def _connect(self, url: Url, address: Address, budget: Budget) -> Any:
        connection = self._connection(url, address, min(_CONNECT_S, budget.seconds()))
        try:
            budget.within(connection.connect, 2 * _CONNECT_S)
        except BaseException:
            _cut(connection.sock)
            connection.close()
            raise
        connection.sock.settimeout(_SILENCE_S)
        return connection

    def _connection(self, url: Url, address: Address, timeout: float) -> Any:
        from urllib3.connection import HTTPConnection, HTTPSConnection

        if url.scheme == "http":
            return HTTPConnection(str(address), url.port, timeout=timeout, blocksize=BLOCK)
        return HTTPSConnection(
            str(address),
            url.port,
            timeout=timeout,
            server_hostname=url.host,
            assert_hostname=url.host,
            cert_reqs="CERT_REQUIRED",
            ca_certs=self._ca or None,
        )


def _host_header(url: Url) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port == (443 if url.scheme == "https" else 80) else f"{host}:{url.port}"


def _cut(opened: socket.socket | None) -> None:
    """End a connection from another thread: what waits on it sees its end."""
    if opened is not None:
        with suppress(OSError):
            # the plain socket's method: that of a TLS socket first forgets that it is one
            socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _expect_success(answer: Any, budget: Budget) -> None:
    status = answer.status
    if status in (404, 410):
        raise SourceError(f"{budget.source}: the server has no such file ({status})", code="FileNotExist")
    if status in (401, 403, 407):
        raise SourceError(f"{budget.source}: the server refuses ({status})", code="StorageReadError")
    if status != 200:
        why = "redirects are not followed" if 300 <= status < 400 else "expected 200"
        raise SourceError(f"{budget.source}: the server answered {status}, {why}", code="GetDataError")
    coding = answer.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise SourceError(f"{budget.source}: answered as {coding!r}, asked for as it is", code="GetDataError")
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and length.isascii():
        budget.announce(int(length))
    elif answer.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise SourceError(
            f"{budget.source}: the server does not say where its answer ends", code="GetDataError"
        )


def _reason(error: Exception) -> str:
    """A short reason; urllib3 puts the pool, host and target (with a signature) before it."""
    text = str(error).rsplit(": ", 1)[-1] if str(error) else type(error).__name__
    return f"not read from the server ({type(error).__name__}: {text[:200]})"
