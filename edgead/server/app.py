"""The application: every module's routes behind the shield."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from edgead.server import additions, fleet, multivariate, operations, pages, tuf, univariate
from edgead.server.context import ServerContext
from edgead.server.shield import Shield

#: Each gives the routes of its subject; the first that matches a path answers.
MODULES: tuple[Callable[[ServerContext], list[BaseRoute]], ...] = (
    univariate.routes,
    multivariate.routes,
    additions.routes,
    tuf.routes,
    fleet.routes,
    operations.routes,
    pages.routes,
)


def create_app(context: ServerContext) -> ASGIApp:
    """The server as an ASGI application.

    Parameters
    ----------
    context : ServerContext
        Built by `ServerContext.of`; belongs to this application.

    Returns
    -------
    ASGI application
        With a lifespan that starts and stops the context.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        await context.start()
        try:
            yield
        finally:
            await context.stop()

    routes = [route for module in MODULES for route in module(context)]
    router = Router(routes, redirect_slashes=False, lifespan=lifespan, default=_not_found)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = router  # makes the router raise what it refuses, instead of answering in plain text
        await router(scope, receive, send)

    return Shield(application, context)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    raise HTTPException(404, "Resource not found: no such path or version.")
