"""What runs a server: probes, metrics, the description of the API and its page."""

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route
from swagger_ui_bundle import swagger_ui_path

from edgead._version import VERSION
from edgead.server.context import ServerContext
from edgead.server.description import describe
from edgead.server.measures import CONTENT_TYPE
from edgead.server.wire import JSON, GatewayError, encode, json_response


def routes(context: ServerContext) -> list[BaseRoute]:
    """/ready, /status, /healthz, /metrics, /openapi.json, /swagger and its files."""
    description = encode(describe())

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

    async def openapi(request: Request) -> Response:
        return Response(description, media_type=JSON)

    async def swagger(request: Request) -> Response:
        return Response(_PAGE, media_type="text/html", headers=_PAGE_HEADERS)

    async def swagger_file(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "start.js":
            return Response(_START, media_type="text/javascript", headers=_PAGE_HEADERS)
        if name not in _FILES:
            raise GatewayError(404, "Resource not found: no such file.")
        return FileResponse(str(swagger_ui_path / name), headers=_PAGE_HEADERS)

    return [
        Route("/openapi.json", openapi),
        Route("/swagger", swagger),
        Route("/swagger/{name}", swagger_file),
        Route("/ready", ready),
        Route("/healthz", healthz),
        Route("/status", status),
        Route("/metrics", metrics),
    ]


_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_PAGE_HEADERS = {
    "cache-control": "no-cache",
    # nothing is fetched from anywhere else; the library styles its own elements in place
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Anomaly Detector, self-hosted by edgead</title>
<link rel="icon" href="/swagger/favicon-32x32.png">
<link rel="stylesheet" href="/swagger/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/swagger/swagger-ui-bundle.js"></script>
<script src="/swagger/start.js"></script>
</body>
</html>
"""
# no validator: that of the library's authors would be told about this server
_START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis]
});
"""


def _health(good: str, problems: dict[str, str]) -> Response:
    body = {"status": "unavailable" if problems else good, "problems": problems}
    return json_response(body, status=503 if problems else 200, headers={"cache-control": "no-store"})
