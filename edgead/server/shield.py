"""What stands before every route: keys, limits in size, time and number, headers of every answer, and the counts.

Raw ASGI, one layer: a request goes through it once in and once out.
"""

import asyncio
import logging
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException

from edgead.server.context import ServerContext
from edgead.server.keys import Keys
from edgead.server.settings import is_loopback
from edgead.server.turns import busy
from edgead.server.wire import GatewayError, HttpError, ServiceError

log = logging.getLogger("edgead")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY_HEADER = b"ocp-apim-subscription-key"
#: Paths below these need a key.
GUARDED = ("/anomalydetector/", "/edgead/")
#: Asked by probes and monitors: answered however busy the server is.
PROBES = frozenset({"/ready", "/status", "/healthz", "/metrics"})

#: A body must come at least this fast on average, after one `read_time` of grace.
LEAST_BYTES_PER_S = 16 * 1024
#: What is read of a refused body, so that the client sees the answer and not a broken connection.
DRAIN_BYTES, DRAIN_S, DRAIN_PAUSE_S = 256 * 2**20, 5.0, 1.0
#: Clients whose calls of the last minute are remembered.
_REMEMBERED = 10_000

_SCHEME = 'AzureApiManagementKey realm="edgead",name="Ocp-Apim-Subscription-Key",type="header"'
_SLASHES = re.compile(r"/{2,}")
_STATELESS = re.compile(r"/anomalydetector/[^/]{1,20}/timeseries/", re.IGNORECASE)
_SAFE_ID = re.compile(rb"[A-Za-z0-9_.:{}-]{1,128}")
_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
    "in the header Ocp-Apim-Subscription-Key."
)


class Shield:
    """An ASGI application around another.

    Parameters
    ----------
    app : ASGI application
        Sees ``scope["state"]["client"]`` (the client's name, "" on a server without keys).
    context : ServerContext
    """

    def __init__(self, app: App, context: ServerContext) -> None:
        self._app = app
        self._context = context
        self._settings = context.settings
        self._buffered = 0
        self._used: dict[str, list[int]] = {}
        self._calls: OrderedDict[str, list[float]] = OrderedDict()
        # what does not change while the server runs; a lookup of labels takes as long as counting
        self._checks_origin = context.settings.on_this_host_only and not context.keys.needed
        self._open = tuple(context.open_prefixes)
        self._counters = lru_cache(maxsize=_REMEMBERED)(self._counters_of)
        context.measures.in_flight.set_function(lambda: self._context.in_flight)
        context.measures.buffered.set_function(lambda: self._buffered)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; never raises for what a client or a route did."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        body = _Body(self, receive)
        answer = _Answer(scope, send)
        self._context.in_flight += 1
        try:
            await self._answered(scope, body, answer)
        finally:
            self._context.in_flight -= 1
            self._give_back(body)
            self._count(scope, answer.status, time.perf_counter() - started)

    async def _answered(self, scope: Scope, body: "_Body", answer: "_Answer") -> None:
        try:
            self._admit(scope, body)
            await self._app(scope, body.receive, answer.send)
        except HttpError as error:
            await self._refuse(error, scope, body, answer)
        except HTTPException as error:  # the router's own: no such path, or not by this method
            refusal = GatewayError(error.status_code, error.detail, headers=error.headers)
            await self._refuse(refusal, scope, body, answer)
        except ClientGone:
            answer.status = answer.status or 499
        except Exception:
            log.exception("a request failed", extra={"fields": {"path": scope["path"][:200]}})
            failed = ServiceError(500, "UnexpectedError", "The server failed; its log has the reason.")
            await self._refuse(failed, scope, body, answer)

    async def _refuse(self, error: HttpError, scope: Scope, body: "_Body", answer: "_Answer") -> None:
        if answer.status:  # too late: the connection is closed without the end of the answer
            raise error
        if error.status == 408 or not await body.drained(scope):
            error.headers["connection"] = "close"
        await error.response()(scope, body.receive, answer.send)

    # ------------------------------------------------------------ before the route

    def _admit(self, scope: Scope, body: "_Body") -> None:
        """Normalize the path; refuse whoever must not come in."""
        path = scope["path"] = _usual(scope["path"])
        headers = dict(scope["headers"])
        self._check_origin(headers)
        client = self._client(path, headers)
        scope["state"]["client"] = body.client = client
        use = self._used.setdefault(client, [0, 0])
        use[0] += 1
        if path in PROBES:
            return
        if self._context.stopping:
            raise self._refused("stopping", busy("the server is stopping"))
        most = self._settings.max_requests
        if self._context.in_flight > most or use[0] > self._share(most):
            raise self._refused("requests", busy("too many requests at a time"))
        if self._settings.calls_per_minute and path.startswith(GUARDED):
            self._check_rate(client or self._device(path, headers))

    def _client(self, path: str, headers: dict[bytes, bytes]) -> str:
        if not path.startswith(GUARDED) or path.startswith(self._open):
            return ""
        client = client_now(self._context.keys, presented_key(headers))
        if client is None:
            raise self._refused("key", GatewayError(401, _DENIED, headers={"www-authenticate": _SCHEME}))
        return client

    def _device(self, path: str, headers: dict[bytes, bytes]) -> str:
        """Whose calls below the open prefixes are counted: a known key has a count of its own, strangers share one."""
        if not path.startswith(self._open):
            return ""
        key, keys = presented_key(headers), self._context.keys
        known = any(knows(key) for knows in self._context.device_keys)
        return f" {key}" if known or (keys.needed and client_now(keys, key) is not None) else ""

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
        """Without keys a page of any site in a browser on this machine could call: refuse what it would send."""
        if not self._checks_origin:
            return
        host = headers.get(b"host", b"localhost")
        origin = headers.get(b"origin", b"")
        if not _is_of_this_host(host):
            raise self._refused(
                "host",
                GatewayError(
                    403, "The Host header must name this machine, e.g. localhost, where there are no keys."
                ),
            )
        if origin and origin.rpartition(b"//")[2] != host:
            raise self._refused("origin", GatewayError(403, "Pages of other sites may not call this server."))

    def _check_rate(self, client: str) -> None:
        """A bucket of one minute's calls a client, filled evenly."""
        now, most = time.monotonic(), self._settings.calls_per_minute
        bucket = self._calls.setdefault(client, [float(most), now])
        self._calls.move_to_end(client)
        if len(self._calls) > _REMEMBERED:
            self._calls.popitem(last=False)
        bucket[0] = min(float(most), bucket[0] + (now - bucket[1]) * most / 60)
        bucket[1] = now
        if bucket[0] < 1:
            wait_s = int((1 - bucket[0]) * 60 / most) + 1
            raise self._refused("rate", busy(f"more than {most} calls a minute", retry_s=wait_s))
        bucket[0] -= 1

    def _refused(self, reason: str, error: HttpError) -> HttpError:
        self._context.measures.refused.labels(reason).inc()
        return error

    # ------------------------------------------------------------ the body

    def take(self, client: str, count: int) -> None:
        """Account for bytes of a body.

        Raises
        ------
        GatewayError
            429, if all bodies together are larger than `max_buffered`, or those of one client than its share.
        """
        self._buffered += count
        use, most = self._used[client], self._settings.max_buffered
        use[1] += count
        if self._buffered > most or use[1] > self._share(most):
            raise self._refused("memory", busy("too many bytes of requests at a time"))

    def _give_back(self, body: "_Body") -> None:
        """What a request used is free again; a client without any request is forgotten."""
        self._buffered -= body.size
        if body.client is not None:
            use = self._used[body.client]
            use[0] -= 1
            use[1] -= body.size
            if use[0] == 0:
                del self._used[body.client]

    def _share(self, most: int) -> int:
        """What one client may use of a bound: where there are others, three quarters, so that they are let in."""
        return most if self._context.keys.count < 2 else max(1, most * 3 // 4)

    @property
    def read_s(self) -> float:
        """Seconds that a body may pause."""
        return self._settings.read_time / 1e9

    def too_slow(self) -> HttpError:
        """408."""
        return self._refused("slow", GatewayError(408, "The request body came too slowly."))

    # ------------------------------------------------------------ after the answer

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        endpoint = scope.get("endpoint")  # set by the route that matched
        operation = getattr(endpoint, "__name__", None) or ("files" if endpoint else "none")
        requests, times = self._counters(operation, status or 499)
        requests.inc()
        times.observe(seconds)

    def _counters_of(self, operation: str, status: int) -> tuple[Counter, Histogram]:
        measures = self._context.measures
        return measures.requests.labels(operation, str(status)), measures.seconds.labels(operation)


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class _Body:
    """The body of one request as the route reads it: in time, within the memory of all, and counted."""

    def __init__(self, shield: Shield, receive: Receive) -> None:
        self._shield = shield
        self._receive = receive
        self._deadline = 0.0
        self._whole = False
        self.size = 0
        self.client: str | None = None

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if not self._deadline:
            self._deadline = now + self._shield.read_s
        patience = min(self._shield.read_s, self._deadline + self.size / LEAST_BYTES_PER_S - now)
        try:
            async with asyncio.timeout(patience):
                message = await self._receive()
        except TimeoutError:
            raise self._shield.too_slow() from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        count = len(message.get("body", b""))
        self.size += count
        self._whole = not message.get("more_body", False)
        assert self.client is not None  # routes read bodies of those who were let in
        self._shield.take(self.client, count)
        return message

    async def drained(self, scope: Scope) -> bool:
        """Read and forget what still comes of a refused body, within bounds; gives whether that was all of it.

        A connection closed while the client still sends would be reset, and the answer lost.
        """
        if any(name == b"expect" for name, _ in scope["headers"]) and not self.size:
            return False  # the client waits for the answer before it sends
        count = 0
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self._whole and count < DRAIN_BYTES:
                    async with asyncio.timeout(DRAIN_PAUSE_S):
                        message = await self._receive()
                    count += len(message.get("body", b""))
                    self._whole = not message.get("more_body", False)
        except TimeoutError:
            pass
        return self._whole


class _Answer:
    """Adds the headers that every answer has, and keeps its status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            headers.append((b"apim-request-id", str(uuid.uuid4()).encode()))
            headers.append((b"x-content-type-options", b"nosniff"))
            wanted = _header(self._scope, b"x-ms-return-client-request-id")
            if wanted and wanted.lower() == b"true":
                request_id = _header(self._scope, b"x-ms-client-request-id")
                if _SAFE_ID.fullmatch(request_id):
                    headers.append((b"x-ms-client-request-id", request_id))
        await self._send(message)


def _header(scope: Scope, name: bytes) -> bytes:
    """The last of this name, b"" where there is none."""
    for each, value in reversed(scope["headers"]):
        if each == name:
            return bytes(value)
    return b""


def client_now(keys: Keys, key: str) -> str | None:
    """The client that a key belongs to by the file as it is now, or None."""
    if (problem := keys.look(time.monotonic())) is not None:
        tell_reload(problem, keys.clients)
    return keys.client_of(key)


def tell_reload(problem: str, clients: list[str]) -> None:
    """Log that the keys file was read again."""
    if problem:
        log.error("the keys file is wrong, the old keys stay in force", extra={"fields": {"reason": problem}})
    else:
        log.info("keys read again", extra={"fields": {"clients": len(clients)}})


def _usual(path: str) -> str:
    """A path as the routes have it."""
    if path.startswith(("http://", "https://")):  # a proxy may ask for the whole URL (RFC 9112, 3.2.2)
        path = "/" + path.partition("//")[2].partition("/")[2]
    if "//" in path:  # endpoints were shown with a slash at their end
        path = _SLASHES.sub("/", path)
    # the service did not tell letters of its own words apart: its client of v1.0 asks for changePoint
    return path.lower() if _STATELESS.match(path) else path


def presented_key(headers: dict[bytes, bytes]) -> str:
    """The key a request carries, in either header; "" = none."""
    key = headers.get(KEY_HEADER)
    if key is None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else b""
    return key.decode("latin-1")


@lru_cache(maxsize=256)
def _is_of_this_host(host: bytes) -> bool:
    """Whether a Host header names this machine."""
    return is_loopback(_host_name(host))


def _host_name(host: bytes) -> str:
    """The name in a Host header, without the port; "" where it is not one."""
    try:
        return urlsplit("//" + host.decode("ascii")).hostname or ""
    except ValueError:
        return ""
