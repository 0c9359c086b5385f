"""JSON in and out, times, and the two shapes of errors.

A *service error* is flat, ``{"code": ..., "message": ...}``; a *gateway error* (keys, routes, rates) is nested,
``{"error": {"code": "401", "message": ...}}``.  Clients of the retired service read both.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edgead.errors import EdgeADError

_BOM = b"\xef\xbb\xbf"
#: How bodies begin that some clients can send and the service did not take.
_GZIP, _UTF_16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
JSON = "application/json"


class HttpError(EdgeADError):
    """An answer that is not a success.

    Parameters
    ----------
    status : int
        Of HTTP.
    code : str
        For programs; also sent as ``x-ms-error-code``.
    message : str
        For people: names field, value and what was expected.
    headers : mapping of str to str, optional
        Sent with it.
    """

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """What the client is sent."""
        return {"code": self.code, "message": self.message}

    def response(self) -> Response:
        """The whole answer."""
        return json_response(
            self.body(), status=self.status, headers={"x-ms-error-code": self.code, **self.headers}
        )


class ServiceError(HttpError):
    """A refusal of the service itself, with a code of its lists."""


class GatewayError(HttpError):
    """A refusal before the service: keys, routes, rates.

    Parameters
    ----------
    status : int
        Of HTTP, and as text the code.
    message : str
        For people.
    headers : mapping of str to str, optional
        Sent with it.
    """

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, str(status), message, headers=headers)

    def body(self) -> dict[str, Any]:
        """What the client is sent."""
        return {"error": super().body()}


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON; numbers must be finite."""
    return Response(encode(body), status_code=status, headers=headers, media_type=JSON)


def encode(body: Any) -> bytes:
    """JSON in UTF-8."""
    return msgspec.json.encode(body)


def decode(data: bytes, reader: Callable[[bytes], Any] = msgspec.json.decode) -> Any:
    """What `reader` makes of a JSON text in UTF-8, with or without a byte order mark.

    Raises
    ------
    ServiceError
        400 ``InvalidJsonFormat``.
    """
    try:
        return reader(data.removeprefix(_BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = _why_no_json(data, error)
        raise ServiceError(400, "InvalidJsonFormat", f"The request body is not JSON: {reason}.") from None


def _why_no_json(data: bytes, error: Exception) -> str:
    if not data:
        return "it is empty"
    if data.startswith(_GZIP):
        return "it is compressed, expected plain text"
    if data.startswith(_UTF_16) or isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error) or "nested too deep"


async def read_body(request: Request, at_most: int, *, code: str = "BadArgument") -> bytes:
    """The body of a request, refused as soon as it is known to be larger than `at_most` bytes.

    Raises
    ------
    ServiceError
        413 with `code`.  That it takes too long is the shield's matter.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > at_most:
        raise too_large(at_most, code)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > at_most:
            raise too_large(at_most, code)
        parts.append(part)
    return b"".join(parts)


def too_large(at_most: int, code: str) -> ServiceError:
    """413; the connection is closed, because nobody reads the rest."""
    message = f"The request body is too large: expected at most {at_most} bytes."
    return ServiceError(413, code, message, headers={"connection": "close"})


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as the service wrote times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_text_ns(time_ns: int) -> str:
    """The same for nanoseconds since 1970."""
    return time_text(datetime.fromtimestamp(time_ns // 10**9, UTC))


def read_time(text: object) -> datetime | None:
    """A time as clients write it (any offset, any fraction; no offset means UTC), or None."""
    if not isinstance(text, str) or not 8 <= len(text) <= 64:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
