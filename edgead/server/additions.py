"""What the service never had, all below ``/edgead/v1/``: what this server is, and the packages of its models."""

from importlib.util import find_spec

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgead._version import VERSION
from edgead.server.context import ServerContext
from edgead.server.multivariate import package_response
from edgead.server.wire import json_response


def routes(context: ServerContext) -> list[BaseRoute]:
    """GET /edgead/v1/server and /edgead/v1/models/{modelId}/package."""

    async def server_info(request: Request) -> Response:
        quotas, used = context.jobs.quotas, context.fleet_used()
        return json_response(
            {
                "name": "edgead",
                "version": VERSION,
                "client": request.state.client,
                "apiVersions": ["v1.0", "v1.1-preview", "v1.1-preview.1", "v1.1"],
                "training": bool(context.jobs.trainer),
                "detection": find_spec("onnxruntime") is not None,
                "scheduler": bool(context.settings.scheduler),
                "quotas": {
                    "models": quotas.models,
                    "trainings": quotas.trainings,
                    "detections": quotas.detections,
                    "keepResultsSeconds": quotas.keep_results_ns // 10**9,
                    "sharedModels": quotas.shared,
                    "deviceBytes": context.settings.device_size,
                    "fleetBytes": context.settings.fleet_size,
                },
                "fleet": {"recordBytes": used.records, "readingBytes": used.readings},
            }
        )

    async def model_package(request: Request) -> Response:
        return await package_response(context.jobs, request)

    return [
        Route("/edgead/v1/server", server_info, methods=["GET"]),
        Route("/edgead/v1/models/{model_id}/package", model_package, methods=["GET"]),
    ]
