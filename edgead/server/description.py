"""What ``/openapi.json`` says: the service's official documents, in one, and what edgead adds.

The documents lie unchanged beside this file (``openapi/NOTICE`` has their licence).  They are kept, rather than written
anew, because client generators and tests of users compare with them.
"""

from importlib.resources import files
from typing import Any

import msgspec

from edgead._version import VERSION

#: Version -> prefix of its names, so that two documents fit in one.
VERSIONS = {"v1.1": "", "v1.0": "V1.0."}
#: Answers that the gateway gave and the documents leave out.
GATEWAY = {
    "401": "No key, or a wrong one.",
    "403": "Refused to a page of another site, or a source that this server may not read.",
    "404": "No such path, model or result.",
    "405": "Not by this method.",
    "408": "The body came too slowly.",
    "429": "Too many calls; Retry-After says when to come again.",
}
#: Told by the service as well, in its own shape.
_BY_BOTH = ("403", "404")


def describe() -> dict[str, Any]:
    """The Swagger 2.0 document of this server."""
    additions = _read("additions.json")
    document: dict[str, Any] = {
        "swagger": "2.0",
        "info": {
            "title": "Anomaly Detector, self-hosted by edgead",
            "version": VERSION,
            "description": "The Anomaly Detector API v1.1 and v1.0, and edgead's additions below /edgead/v1/.",
        },
        "basePath": "/",
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "key": {"type": "apiKey", "in": "header", "name": "Ocp-Apim-Subscription-Key"},
        },
        "security": [{"key": []}],
        "paths": {},
        "parameters": {},
        "definitions": {},
    }
    for version, prefix in VERSIONS.items():
        official = _renamed(_read(f"{version}.json"), prefix)
        document["definitions"] |= official["definitions"]
        document["parameters"] |= official.get("parameters", {})
        for path, operations in official["paths"].items():
            document["paths"][f"/anomalydetector/{version}{path}"] = operations
    document["definitions"] |= additions["definitions"]
    document["paths"] |= additions["paths"]
    document["parameters"].pop("V1.0.Endpoint", None)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _add_gateway(path, operation)
    return document


def _read(name: str) -> Any:
    return msgspec.json.decode(files("edgead.server").joinpath("openapi", name).read_bytes())


def _renamed(node: Any, prefix: str, key: str = "") -> Any:
    """A copy with prefixed names and references, without links to example files that are not served."""
    if isinstance(node, list):
        return [_renamed(item, prefix) for item in node]
    if not isinstance(node, dict):
        if key == "$ref":
            folder, _, name = node.rpartition("/")
            return f"{folder}/{prefix}{name}"
        return prefix.replace(".", "_") + node if key == "operationId" else node
    named = key in ("definitions", "parameters")
    return {
        (prefix + name if named else name): _renamed(value, prefix, "" if named else name)
        for name, value in node.items()
        if name != "x-ms-examples"
    }


def _add_gateway(path: str, operation: dict[str, Any]) -> None:
    for status, description in GATEWAY.items():
        # what may come from the gateway and from the service has either shape, which Swagger 2.0 cannot say
        both = status in _BY_BOTH and "/timeseries/" not in path
        schema = {"type": "object"} if both else {"$ref": "#/definitions/GatewayError"}
        operation["responses"].setdefault(status, {"description": description, "schema": schema})
