"""The signed repository of models: served as the plain files it is, and a model of this server released into it.

The files need no protection from whoever reads them: devices believe signatures, not this server.  Who may read the
models themselves is another question, so a key is needed where the server needs one, unless the settings say otherwise.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from edgead.errors import EdgeADError, ModelPackageError, UplinkError
from edgead.server.context import ServerContext
from edgead.server.shield import client_now, presented_key
from edgead.server.wire import GatewayError, ServiceError, json_response, read_body

if TYPE_CHECKING:
    from edgead.uplink.release import Release

PREFIX = "/edgead/v1/tuf/"
#: What a repository holds; nothing else in its folder is served.
_FILE = re.compile(
    r"metadata/(?:timestamp|[1-9][0-9]{0,8}\.(?:root|snapshot|targets))\.json"
    r"|targets/(?:models|config)/[0-9a-f]{64}\.[A-Za-z0-9][A-Za-z0-9_.-]{0,200}"
)
_MAX_BODY = 64 * 1024


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of a publication.

    Attributes
    ----------
    groups : list of str
        Groups of devices; none = all.
    share : float
        Part of the devices, above 0 and at most 1.
    """

    groups: list[str] = []
    share: float = 1.0


def routes(context: ServerContext) -> list[BaseRoute]:
    """GET /edgead/v1/tuf/... and POST /edgead/v1/models/{modelId}/publish, where the settings name a repository."""
    settings = context.settings
    if not settings.repository:
        return []
    context.open_prefixes.append(PREFIX)
    repository = Path(settings.repository)

    async def serve(request: Request) -> Response:
        _check_reader(context, request)
        path = request.path_params["path"]
        if not _FILE.fullmatch(path) or not await run_in_threadpool((repository / path).is_file):
            raise GatewayError(404, "Resource not found: the repository has no such file.")
        # all but the timestamp carry their version or hash in their name
        kept = "no-cache" if path.endswith("/timestamp.json") else "public, max-age=31536000, immutable"
        return FileResponse(repository / path, headers={"cache-control": kept})

    async def publish(request: Request) -> Response:
        _check_publisher(context, request)
        order = _order(await read_body(request, _MAX_BODY))
        model_id, client = request.path_params["model_id"], request.state.client

        def released() -> "Release":
            context.jobs.expect_ready(client, model_id)
            return _release(context, context.jobs.shelf.read(model_id), order)

        return json_response(_told(await run_in_threadpool(_coded, released)), status=201)

    return [
        Route(f"{PREFIX}{{path:path}}", serve, methods=["GET"]),
        Route("/edgead/v1/models/{model_id}/publish", publish, methods=["POST"]),
    ]


def _check_reader(context: ServerContext, request: Request) -> None:
    if context.settings.repository_open or not context.keys.needed:
        return
    key = presented_key(dict(request.scope["headers"]))
    if client_now(context.keys, key) is None and not any(known(key) for known in context.device_keys):
        raise GatewayError(
            401, "Access denied: the repository of this server needs a key of a client or a device."
        )


def _check_publisher(context: ServerContext, request: Request) -> None:
    if context.keys.needed and request.state.client not in context.settings.publishers:
        raise GatewayError(403, "Releasing models is for the clients that [server] publishers names.")


def _order(body: bytes) -> Order:
    try:
        order = msgspec.json.decode(body or b"{}", type=Order)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError(400, "BadArgument", f"The request body: {error}.") from None
    if not 0 < order.share <= 1:
        raise ServiceError(
            400, "BadArgument", f"share = {order.share:g}: expected more than 0 and at most 1."
        )
    return order


def _release(context: ServerContext, package: bytes, order: Order) -> "Release":
    try:
        from edgead.uplink.publish import Keyring, Publisher, passphrases_from
    except ModuleNotFoundError as error:
        raise ServiceError(
            501,
            "NotSupported",
            f"{error.name} is not installed on this server: pip install 'edgead[uplink]'.",
        ) from None
    settings = context.settings
    keyring = Keyring([Path(settings.repository_keys)], passphrases_from(os.environ, []))
    return Publisher(Path(settings.repository), keyring).add(package, groups=order.groups, share=order.share)


def _coded(work: Any) -> Any:
    """What a part refuses becomes an answer."""
    try:
        return work()
    except (ServiceError, GatewayError):
        raise
    except (UplinkError, ModelPackageError) as error:
        raise ServiceError(409, "PublishFailed", f"The model was not released: {error}.") from None
    except EdgeADError as error:
        code = getattr(error, "code", "BadArgument")
        raise ServiceError(404 if code == "ModelNotExist" else 400, code, str(error)) from None


def _told(release: "Release") -> dict[str, Any]:
    terms = release.terms
    groups: Iterable[str] = terms.groups
    return {
        "target": release.target,
        "name": terms.name,
        "version": terms.version,
        "id": terms.id,
        "groups": list(groups),
        "share": terms.share_ppm / 1_000_000,
        "sha256": release.sha256,
        "length": release.length,
    }
