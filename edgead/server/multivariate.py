"""Models of many variables over HTTP: v1.1, and the preview versions' paths with their own shapes."""

import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from edgead.errors import InvalidInput, ModelPackageError, StoreError
from edgead.multivariate import align
from edgead.recording import Times
from edgead.server import documents, requests
from edgead.server.answers import Answer, decode_answer
from edgead.server.assembly import prepare_jobs
from edgead.server.context import ServerContext
from edgead.server.documents import Version
from edgead.server.jobs import Jobs
from edgead.server.quotas import BUSY
from edgead.server.shelf import InstalledModel, Loaded
from edgead.server.wire import JSON, GatewayError, ServiceError, decode, json_response, read_body
from edgead.server.work import judge_row, states_between
from edgead.store.jobs import ModelRow, ResultRow

log = logging.getLogger("edgead")

#: HTTP status by code; every other refusal is 400.
STATUS = {
    "ModelNotExist": 404,
    "ResultNotExist": 404,
    "StorageReadError": 403,
    "StorageWriteError": 403,
    "InvalidFileSize": 413,
    "FileSizeTooLarge": 413,
}
#: Models of a page of a list when the client does not say, and the most.
PAGE: dict[Version, int] = {"v1.1": 10, "v1.1-preview.1": 5, "v1.1-preview": 5}
MAX_PAGE = 1000
#: Values of the aligned table of a detect-last, 64 MiB: ten times what 300 variables with common times have.
MAX_CELLS = 2**23
#: Seconds after which a client whose detections are too many may come again.
RETRY_S = 5
PREVIEWS: tuple[Version, ...] = ("v1.1-preview", "v1.1-preview.1")

_Answer = TypeVar("_Answer")
#: What a proxy tells of the address that the client used.
_SCHEME, _HOST = re.compile("https?"), re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,64}){1,8}/?")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def routes(context: ServerContext) -> list[BaseRoute]:
    """The seven multivariate operations of v1.1, and those of the previews."""
    prepare_jobs(context)
    found: list[BaseRoute] = _Api(context, "v1.1").routes()
    for version in PREVIEWS:
        found += _Api(context, version).routes()
    return found


class _Api:
    """The operations of one version."""

    def __init__(self, context: ServerContext, version: Version) -> None:
        self._context = context
        self._version = version
        self._base = f"/anomalydetector/{version}/multivariate"

    def routes(self) -> list[BaseRoute]:
        base, model = self._base, f"{self._base}/models/{{model_id}}"
        shared = [
            Route(f"{base}/models", self.train_model, methods=["POST"]),
            Route(f"{base}/models", self.list_models, methods=["GET"]),
        ]
        if self._version == "v1.1":
            operations = [
                Route(f"{model}:detect-batch", self.detect_batch, methods=["POST"]),
                Route(f"{model}:detect-last", self.detect_last_row, methods=["POST"]),
                Route(f"{base}/detect-batch/{{result_id}}", self.get_result, methods=["GET"]),
                # for clients that append the id to Operation-Location once more
                Route(f"{base}/detect-batch/{{result_id}}/{{again}}", self.get_result, methods=["GET"]),
            ]
        else:
            operations = [
                Route(f"{model}/detect", self.detect_batch, methods=["POST"]),
                Route(f"{model}/last/detect", self.detect_last_row, methods=["POST"]),
                Route(f"{model}/export", self.export_model, methods=["GET"]),
                Route(f"{base}/results/{{result_id}}", self.get_result, methods=["GET"]),
            ]
        return [
            *shared,
            *operations,
            Route(model, self.get_model, methods=["GET"]),
            Route(model, self.delete_model, methods=["DELETE"]),
        ]

    @property
    def _jobs(self) -> Jobs:
        return self._context.jobs

    @property
    def _preview(self) -> bool:
        return self._version != "v1.1"

    # ---- models

    async def train_model(self, request: Request) -> Response:
        """201 with the place of a new model, which is trained later."""
        body = await read_body(request, self._context.settings.max_body)

        def take() -> ModelRow:
            asked = requests.train_request(decode(body), preview=self._preview)
            self._jobs.check_source(asked.source)
            return self._jobs.train(request.state.client, asked)

        row = await _answered(take)
        location = {"location": f"{_root(request)}{self._base}/models/{row.id}"}
        if self._preview:
            return Response(status_code=201, headers=location)
        return json_response(documents.model_document(row, self._version), status=201, headers=location)

    async def list_models(self, request: Request) -> Response:
        """One page of models, the one updated last first."""
        return json_response(await _answered(lambda: self._page(request)))

    def _page(self, request: Request) -> dict[str, Any]:
        skip, top = requests.page(request.query_params, top=PAGE[self._version])
        top = min(top, MAX_PAGE)
        installed = self._jobs.shelf.installed()
        times = self._jobs.models(request.state.client)
        times |= {identity: documents.created_ns(one.manifest) for identity, one in installed.items()}
        listed = sorted(times, key=times.__getitem__, reverse=True)
        shown = [installed.get(each) or self._jobs.store.model(each) for each in listed[skip : skip + top]]
        models = [each for each in shown if each is not None]  # one may have been deleted just now
        following = ""
        if top and skip + top < len(listed):
            query = urlencode({"skip": skip + top, "top": top})
            following = f"{_root(request)}{self._base}/models?{query}"
        show = documents.model_record if self._preview else self._shown
        return {
            "models": [show(each) for each in models],
            "currentCount": len(listed),
            "maxCount": max(self._jobs.quotas.models + len(installed), len(listed)),
            "nextLink": following,
        }

    def _shown(self, model: ModelRow | InstalledModel) -> dict[str, Any]:
        return documents.model_document(model, self._version)

    async def get_model(self, request: Request) -> Response:
        """Status and diagnostics of a model."""
        return json_response(await _answered(lambda: self._document(request)))

    def _document(self, request: Request) -> dict[str, Any]:
        model_id = _identity(request, "model_id")
        installed = self._jobs.shelf.installed().get(model_id)
        model = installed or self._jobs.model(request.state.client, model_id)
        return self._shown(model)

    async def delete_model(self, request: Request) -> Response:
        """Forget a model, and stop what runs with it."""
        await _answered(lambda: self._jobs.delete(request.state.client, _identity(request, "model_id")))
        return Response(status_code=204)

    async def export_model(self, request: Request) -> Response:
        """The package of a model."""
        return await package_response(self._jobs, request)

    # ---- detection

    async def detect_batch(self, request: Request) -> Response:
        """202 (201 in the previews) with the place of a result, which is found later."""
        body = await read_body(request, self._context.settings.max_body)

        def take() -> ResultRow:
            model_id = _identity(request, "model_id")
            self._jobs.expect_ready(request.state.client, model_id)
            asked = requests.detect_request(decode(body), preview=self._preview)
            self._jobs.check_source(asked.source)
            return self._jobs.detect(request.state.client, model_id, asked)

        row = await _answered(take)
        if self._preview:
            return Response(
                status_code=201, headers={"location": f"{_root(request)}{self._base}/results/{row.id}"}
            )
        place = f"{_root(request)}{self._base}/detect-batch/{row.id}"
        headers = {"operation-id": row.id, "operation-location": place}
        document = documents.result_document(row, self._version)
        return json_response(document, status=202, headers=headers)

    async def get_result(self, request: Request) -> Response:
        """Status of a detection, and what it found: read and sent a part at a time, however much that is."""
        row, count, first = await _answered(lambda: self._result(request))
        before, after = documents.around_rows(documents.result_document(row, self._version))
        if count <= 1:
            return Response(before + first + after, media_type=JSON)

        async def told() -> AsyncIterator[bytes]:
            yield before + first
            for number in range(1, count):
                yield b"," + await _answered(partial(self._rows, row, number))
            yield after

        return StreamingResponse(told(), media_type=JSON)

    def _result(self, request: Request) -> tuple[ResultRow, int, bytes]:
        """A detection, the number of its parts, and the first as JSON: damage is told before an answer begins."""
        result_id = _identity(request, "result_id", code="ResultNotExist")
        if request.path_params.get("again", result_id) != result_id:
            raise InvalidInput("The result does not exist or has expired.", code="ResultNotExist")
        row = self._jobs.result(request.state.client, result_id)
        count = self._jobs.store.parts(result_id) if row.status == "READY" else 0
        return row, count, self._rows(row, 0) if count else b""

    def _rows(self, row: ResultRow, number: int) -> bytes:
        try:
            answer = decode_answer(self._jobs.store.part(row.id, number) or b"")
        except ValueError:
            message = "The stored result is damaged; ask for the detection again."
            raise InvalidInput(message, code="UnexpectedError") from None
        return documents.rows_text(row, answer, self._version)

    async def detect_last_row(self, request: Request) -> Response:
        """The newest row of the data sent along, judged at once."""
        body = await read_body(request, self._context.settings.max_large_body)
        judged = await self._context.turns.run(
            request.state.client, _coded, lambda: self._last(request, body)
        )
        return json_response(judged)

    def _last(self, request: Request, body: bytes) -> dict[str, Any]:
        model_id = _identity(request, "model_id")
        self._jobs.expect_ready(request.state.client, model_id)
        asked = requests.last_request(decode(body), preview=self._preview)
        return judge_last(self._jobs.shelf.load(model_id), asked, self._version)


def judge_last(loaded: Loaded, asked: requests.LastRequest, version: Version) -> dict[str, Any]:
    """The answer about the newest rows of variables sent along.

    Raises
    ------
    InvalidInput
        ``ColumnNotFound``, ``RedundantFile``, ``NotEnoughInput``, or what the alignment refuses.
    """
    spec = loaded.spec
    missing = [name for name in spec.names if name not in asked.columns]
    if missing:
        raise InvalidInput(f"The variable {missing[0]!r} of the model is missing.", code="ColumnNotFound")
    strange = [name for name in asked.columns if name not in spec.names]
    if strange:
        raise InvalidInput(f"The variable {strange[0]!r} is none of the model's.", code="RedundantFile")
    columns = {name: asked.columns[name] for name in spec.names}
    _check_size([times for times, _ in columns.values()], spec.align.mode)
    table = align(columns, spec.align)
    count = len(table.rows)
    if count < spec.window:
        raise InvalidInput(
            f"Not enough input data: {count} aligned rows, the model needs {spec.window}.",
            code="NotEnoughInput",
        )
    first = max(0, count - asked.rows)
    with loaded.lock:
        rows = tuple(judge_row(loaded.scorer, table.rows, table.times_ns, at) for at in range(first, count))
    states = states_between(columns, spec.align, table.times_ns[first:])
    return documents.last_document(Answer(spec.names, spec.window, rows), states, asked.top, version)


def _check_size(times: Sequence[Times], mode: str) -> None:
    """Refuse what unfolds in memory: in Outer mode every variable gets a value at every time of any other."""
    if mode != "Outer":
        return
    distinct = list({id(each): each for each in times}.values())  # most have the same times, read once
    rows = sum(map(len, distinct))
    if rows * len(times) > MAX_CELLS:
        rows = len(np.unique(np.concatenate(distinct)))
    if rows * len(times) > MAX_CELLS:
        raise InvalidInput(
            f"{len(times)} variables with {rows} different times are aligned to {rows * len(times)} values, at most "
            f"{MAX_CELLS}: expected times that variables have in common.",
            code="DataExceedsLimit",
        )


async def package_response(jobs: Jobs, request: Request) -> Response:
    """The package of the model in the path, as a file."""

    def read() -> bytes:
        model_id = _identity(request, "model_id")
        jobs.expect_ready(request.state.client, model_id)
        return jobs.shelf.read(model_id)

    data = await _answered(read)
    name = f"{request.path_params['model_id']}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/zip", headers=headers)


async def _answered(work: Callable[[], _Answer]) -> _Answer:
    """Do work that waits for the disk in a thread."""
    return await run_in_threadpool(_coded, work)


def _coded(work: Callable[[], _Answer]) -> _Answer:
    """What a part refuses becomes the answer of the service."""
    try:
        return work()
    except InvalidInput as error:
        if error.code == BUSY:  # passes by itself, and clients of old come again by themselves
            headers = {"retry-after": str(RETRY_S)}
            raise GatewayError(429, error.message, headers=headers) from None
        raise ServiceError(STATUS.get(error.code, 400), error.code, error.message) from None
    except StoreError as error:  # a full disk may pass, and clients of old come again
        log.error("the state cannot be read or saved", extra={"fields": {"reason": str(error)}})
        headers = {"retry-after": str(RETRY_S)}
        message = "The server cannot read or save its state just now."
        raise ServiceError(500, "UnexpectedError", message, headers=headers) from None
    except ModelPackageError as error:
        raise ServiceError(400, "ModelFailed", f"The model cannot be used: {error}.") from None


def _identity(request: Request, name: str, *, code: str = "ModelNotExist") -> str:
    """The id in the path in the one spelling that is stored; what is no id names nothing."""
    text = str(request.path_params[name])
    if not _UUID.fullmatch(text):
        what = "model does not exist" if code == "ModelNotExist" else "result does not exist or has expired"
        raise InvalidInput(f"The {what}.", code=code)
    return text.lower()


def _root(request: Request) -> str:
    """Scheme, host and prefix as the client reached us, or the proxy before us.

    A client that makes up these headers gets its own links wrong and nobody else's.
    """

    def told(name: str, form: re.Pattern[str], default: str) -> str:
        text = request.headers.get(f"x-forwarded-{name}", "").partition(",")[0].strip()
        return text if form.fullmatch(text) else default

    scheme, host = told("proto", _SCHEME, request.url.scheme), told("host", _HOST, request.url.netloc)
    return f"{scheme}://{host}{told('prefix', _PREFIX, '').rstrip('/')}"
