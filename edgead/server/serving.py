"""The process: listen, answer, heed signals, stop."""

import asyncio
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from edgead.errors import ConfigError, OuterWorldError, StoreError
from edgead.server.app import create_app
from edgead.server.context import ServerContext
from edgead.server.patience import patient_protocol
from edgead.server.settings import ServerSettings
from edgead.server.shield import tell_reload

log = logging.getLogger("edgead")

#: Seconds that a connection without a request is kept.
KEEP_ALIVE_S = 30
#: Bytes of the line and headers of one request.
MAX_HEADER_BYTES = 32 * 1024
_HANDSHAKE_S = 10.0
_BACKLOG = 512


def serve(settings: ServerSettings, *, ready: Callable[[str], None] | None = None) -> None:
    """Answer until SIGTERM or SIGINT; SIGHUP reads keys and certificate again.

    Parameters
    ----------
    settings : ServerSettings
        Checked here.
    ready : callable, optional
        Called with the server's URL once it listens.

    Raises
    ------
    ConfigError, OuterWorldError
        Before anything was started.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes before we listen must not end the process
    context = ServerContext.of(settings)
    tls = tls_context(settings)
    _make(settings.state)
    listening = _listen(settings)
    config = uvicorn.Config(
        create_app(context),
        http=patient_protocol(settings.max_connections, settings.read_time / 1e9),
        ws="none",
        lifespan="off",  # `_run` does it, so that a failure keeps its type
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, settings.stop_time // 10**9),
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.load()
    config.ssl = tls
    _log_as_ours("uvicorn.error", "asyncio")
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(_run(_Server(config, context, ready), context, listening))
    log.info("stopped")


async def _run(server: "_Server", context: ServerContext, listening: socket.socket) -> None:
    try:
        await context.start()
        gc.freeze()  # what is there now stays: no collection needs to look at it
        await server.serve(sockets=[listening])
    finally:
        await context.stop()


def _make(state: Path) -> None:
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        sentence = (
            f"state directory {state}: {error.strerror}, expected one that can be written (--state-dir)"
        )
        raise StoreError(sentence) from None


def _log_as_ours(*names: str) -> None:
    """Lines of libraries go where ours go: in their form, bounded in rate."""
    for name in names:
        theirs = logging.getLogger(name)
        theirs.handlers, theirs.propagate = log.handlers, False
        theirs.setLevel(logging.WARNING)


def tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or later with the certificate of the settings, or None.

    Raises
    ------
    ConfigError
        If a file cannot be used.
    """
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if problem := _load_certificate(context, settings):
        raise ConfigError([problem])
    return context


def _load_certificate(context: ssl.SSLContext, settings: ServerSettings) -> str:
    """Use the certificate as its files are now; gives what is wrong with them ("" = nothing)."""
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_password)
    except (OSError, ValueError) as error:
        files = f"{settings.tls_cert}, {settings.tls_key}"
        return f"{files}: cannot be used as certificate and key ({error})"
    return ""


def _no_password() -> str:
    raise ValueError("the key needs a password, expected a key without one")


def _listen(settings: ServerSettings) -> socket.socket:
    """The listening socket, opened before anything else so that a port in use is told at once."""
    host = settings.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # localhost has two addresses; old programs have 127.0.0.1 in their settings
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        # with the protocol named: asyncio asks for it before it turns Nagle's delay (40 ms an answer) off
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OuterWorldError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from None
    return listening


def _url(settings: ServerSettings, listening: socket.socket) -> str:
    name = settings.host.strip("[]")
    name = f"[{name}]" if ":" in name else name
    return f"http{'s' * bool(settings.tls_cert)}://{name}:{listening.getsockname()[1]}"


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose servers do not wait a minute for a handshake."""

    async def create_server(self, *args, **options):  # type: ignore[no-untyped-def]
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", _HANDSHAKE_S)
        return await super().create_server(*args, **options)


class _Server(uvicorn.Server):
    """uvicorn's server with our signals: a stop that was asked for is not a failure."""

    def __init__(
        self, config: uvicorn.Config, context: ServerContext, ready: Callable[[str], None] | None
    ) -> None:
        super().__init__(config)
        self._context = context
        context.tasks = self.server_state.tasks
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        url = _url(self._context.settings, sockets[0])
        keys = self._context.keys
        clients = len(keys.clients) if keys.needed else "anyone"
        log.info("listening", extra={"fields": {"url": url, "clients": clients}})
        if self._ready is not None:
            self._ready(url)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        yield

    def _stop(self, number: int) -> None:
        self._context.stopping = True
        self.handle_exit(number, None)

    def _reload(self) -> None:
        """Keys and certificate as their files are now; new connections get the new one."""
        keys, tls = self._context.keys, self.config.ssl
        if keys.needed:
            tell_reload(keys.reload(), keys.clients)
        if tls is not None and (problem := _load_certificate(tls, self._context.settings)):
            log.error("the old certificate stays in use", extra={"fields": {"reason": problem}})
        elif tls is not None:
            log.info("certificate read again")
