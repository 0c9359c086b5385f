"""Entire series, last point and change points, in every version that had them."""

from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgead.errors import InvalidInput
from edgead.server.context import ServerContext
from edgead.server.wire import JSON, ServiceError, decode, encode, read_body
from edgead.univariate import rest

Mode = Literal["entire", "last", "changepoint"]

#: Versions that answer as the live service of v1.1 did, and those before, which had equal margins on both sides, no
#: severity and no imputing (the first preview of v1.1 changed nothing here).
NEW, OLD = ("v1.1", "v1.1-preview.1"), ("v1.0", "v1.1-preview")

#: What the service counted; nothing is billed here.
_BILLED = "CognitiveServices.AnomalyDetector.DataPoints"

#: A call with no other beside it is answered in the loop's own thread when its body is no larger (some 4000 points, a
#: few milliseconds): handing it to another thread and back would cost more than it saves.
_BRIEF_BYTES = 256 * 1024


def routes(context: ServerContext) -> list[BaseRoute]:
    """POST /anomalydetector/{version}/timeseries/{entire,last,changepoint}/detect."""
    endpoints = _endpoints(context, old=False), _endpoints(context, old=True)
    return [
        Route(f"/anomalydetector/{version}/timeseries/{mode}/detect", endpoint, methods=["POST"])
        for versions, by_mode in zip((NEW, OLD), endpoints)
        for version in versions
        for mode, endpoint in by_mode.items()
    ]


def _endpoints(context: ServerContext, *, old: bool) -> dict[Mode, Any]:
    """Names of functions are names of operations in the metrics."""

    async def answer(mode: Mode, request: Request) -> Response:
        data = await read_body(request, context.settings.max_body)
        if len(context.tasks) <= 1 and len(data) <= _BRIEF_BYTES:
            body, points = _judge(mode, data, old)
        else:
            body, points = await context.turns.run(request.state.client, _judge, mode, data, old)
        context.measures.points.inc(points)
        return Response(body, media_type=JSON, headers={"csp-billing-usage": f"{_BILLED}={points}"})

    async def detect_entire(request: Request) -> Response:
        return await answer("entire", request)

    async def detect_last(request: Request) -> Response:
        return await answer("last", request)

    async def detect_change_point(request: Request) -> Response:
        return await answer("changepoint", request)

    return {"entire": detect_entire, "last": detect_last, "changepoint": detect_change_point}


def _judge(mode: Mode, data: bytes, old: bool) -> tuple[bytes, int]:
    """The answer to a body, and its number of points; runs in a thread unless it is brief."""
    body = decode(data, rest.read_json)
    capital = rest.is_capital(body)
    if capital:
        body = rest.small_names(body)
    try:
        if old and isinstance(body, dict):
            body = {name: value for name, value in body.items() if not name.startswith("impute")}
            if not rest.EXTRAS["boundaryVersion"](body.get("boundaryVersion")):
                body["boundaryVersion"] = "V1"
        answer = rest.detect(mode, body)
    except InvalidInput as error:
        raise ServiceError(400, error.code, error.message) from None
    if old:
        answer.pop("severity", None)
    series = body["series"]
    return encode(rest.capital_names(answer) if capital else answer), len(
        series.values if isinstance(series, rest.ReadSeries) else series
    )
