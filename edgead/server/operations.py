"""What runs a server: probes, metrics, the description of the API and its page."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgead._version import VERSION
from edgead.server.context import ServerContext
from edgead.server.measures import CONTENT_TYPE
from edgead.server.wire import json_response


def routes(context: ServerContext) -> list[BaseRoute]:
    """/ready, /status, /healthz and /metrics."""

    async def ready(request: Request) -> Response:
        problems = {name: text for name, problem in context.problems.items() if (text := problem())}
        if context.stopping:
            problems["server"] = "stopping"
        return _health("ready", problems)

    async def healthz(request: Request) -> Response:
        return _health("ok", {})

    async def status(request: Request) -> Response:
        """As the container said it; there is no key to be valid or not, because nothing is licensed."""
        return json_response(
            {
                "service": "edgead",
                "version": VERSION,
                "apiStatus": "Valid",
                "apiStatusMessage": "No licence needed.",
            }
        )

    async def metrics(request: Request) -> Response:
        return Response(context.measures.render(), headers={"content-type": CONTENT_TYPE})

    return [
        Route("/ready", ready),
        Route("/healthz", healthz),
        Route("/status", status),
        Route("/metrics", metrics),
    ]


def _health(good: str, problems: dict[str, str]) -> Response:
    body = {"status": "unavailable" if problems else good, "problems": problems}
    return json_response(body, status=503 if problems else 200, headers={"cache-control": "no-store"})
