"""The page at ``/``: try the detector on a series of your own.  Everything it needs is in the wheel."""

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgead.server.context import ServerContext

#: What the page may do: load its own files, call its own server, and nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".svg": "image/svg+xml",
}


def routes(context: ServerContext) -> list[BaseRoute]:
    """GET / and the files of the page; they need no key, the calls that the page makes do."""
    names = [entry.name for entry in files(__name__).iterdir() if _ending(entry.name) in _TYPES]
    return [
        Route("/" if name == "index.html" else f"/pages/{name}", _file(name), methods=["GET"])
        for name in names
    ]


def _ending(name: str) -> str:
    return "." + name.rpartition(".")[2]


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    """One file, held in memory; a browser that has it is told so."""
    content = (files(__name__) / name).read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {
        "content-type": _TYPES[_ending(name)],
        "etag": tag,
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }

    async def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return page
