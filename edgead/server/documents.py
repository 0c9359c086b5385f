"""Models, results and rows as JSON, in the shapes of v1.1 and of the two preview versions before it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from edgead.multivariate import VariableState
from edgead.package import Manifest
from edgead.server.answers import Answer, Cause, Row
from edgead.server.diagnostics import Diagnostics
from edgead.server.requests import NAME_CHARS, PAD, DetectRequest, TrainRequest
from edgead.server.shelf import InstalledModel
from edgead.server.wire import encode, read_time, time_text_ns
from edgead.store.jobs import ModelRow, ResultRow

Version = Literal["v1.1-preview", "v1.1-preview.1", "v1.1"]
Document = dict[str, Any]

#: What the source of an installed package is called: where its training data lay is not known.
INSTALLED_SOURCE = "edgead:installed/"


def model_document(model: ModelRow | InstalledModel, version: Version) -> Document:
    """The whole document of a model."""
    info = _trained_info(model) if isinstance(model, ModelRow) else _installed_info(model.manifest)
    created, updated = _times(model)
    if version != "v1.1":
        info = _old_info(info, version)
    else:
        info["diagnosticsInfo"]["variableStates"] = _states(
            info["diagnosticsInfo"]["variableStates"], version
        )
    return {"modelId": model.id, "createdTime": created, "lastUpdatedTime": updated, "modelInfo": info}


def model_record(model: ModelRow | InstalledModel) -> Document:
    """The short record that lists of the preview versions held."""
    info = _trained_info(model) if isinstance(model, ModelRow) else _installed_info(model.manifest)
    created, updated = _times(model)
    variables = info["diagnosticsInfo"]["variableStates"]
    return {
        "modelId": model.id,
        "createdTime": created,
        "lastUpdatedTime": updated,
        "status": info["status"],
        "displayName": info["displayName"],
        "variablesCount": len(variables) if isinstance(model, ModelRow) else len(model.manifest.variables),
    }


def created_ns(manifest: Manifest) -> int:
    """When an installed model was trained; 0 where its manifest does not say it."""
    moment = read_time(manifest.training.created)
    return 0 if moment is None else int(moment.timestamp()) * 10**9


def result_document(row: ResultRow, version: Version) -> Document:
    """The document of a detection but for its rows, whose list is empty and comes last."""
    request = msgspec.json.decode(row.request, type=DetectRequest)
    setup: Document = {"startTime": request.start, "endTime": request.end}
    if version == "v1.1":
        setup = {"dataSource": request.source, "topContributorCount": request.top, **setup}
    else:
        setup = {"source": request.source, **setup}
    states = msgspec.json.decode(row.states or b"[]", type=tuple[VariableState, ...])
    return {
        "resultId": row.id,
        "summary": {
            "status": row.status,
            "errors": msgspec.json.decode(row.errors or b"[]"),
            "variableStates": _states(states, version),
            "setupInfo": setup,
        },
        "results": [],
    }


def around_rows(document: Document) -> tuple[bytes, bytes]:
    """The JSON of `result_document` before its rows, and what comes after them."""
    text = encode(document)
    return text[:-2], text[-2:]


def rows_text(row: ResultRow, answer: Answer, version: Version) -> bytes:
    """Judged rows of a detection as JSON, without the brackets of their list."""
    top = msgspec.json.decode(row.request, type=DetectRequest).top
    return encode(rows_document(answer, top, version))[1:-1]


def last_document(answer: Answer, states: Sequence[VariableState], top: int, version: Version) -> Document:
    """The answer about rows that were sent along."""
    return {"variableStates": _states(states, version), "results": rows_document(answer, top, version)}


def rows_document(answer: Answer, top: int, version: Version) -> list[Document]:
    """Judged rows, each with a value or with the reason why it has none."""
    return [_row(row, answer, top, version) for row in answer.rows]


def _row(row: Row, answer: Answer, top: int, version: Version) -> Document:
    timestamp = time_text_ns(row.time_ns)
    if row.score is None:
        message = f"There are fewer rows before this timestamp than the window of {answer.window} needs."
        return {
            "timestamp": timestamp,
            "errors": [{"code": "InsufficientHistoricalData", "message": message}],
        }
    value: Document = {"isAnomaly": row.is_anomaly, "severity": row.severity, "score": row.wire_score}
    causes = row.causes[:top]
    if version == "v1.1-preview":
        value["contributors"] = [_contributor(cause, answer.names) for cause in causes]
    else:
        changes = _changes(row.changed, answer.names, values=version != "v1.1")
        value["interpretation"] = [
            {**_contributor(cause, answer.names), "correlationChanges": changes} for cause in causes
        ]
    return {"timestamp": timestamp, "value": value, "errors": []}


def _contributor(cause: Cause, names: Sequence[str]) -> Document:
    return {"variable": names[cause.variable], "contributionScore": cause.share}


def _changes(changed: Iterable[Cause], names: Sequence[str], *, values: bool) -> Document:
    found: Document = {"changedVariables": [names[each.variable] for each in changed]}
    if values:
        found["changedValues"] = [each.share for each in changed]
    return found


def _states(states: Iterable[VariableState], version: Version) -> list[Document]:
    first, last = ("firstTimestamp", "lastTimestamp") if version == "v1.1" else ("startTime", "endTime")
    found = []
    for state in states:
        document = {
            "variable": state.variable,
            "filledNARatio": state.filled_ratio,
            "effectiveCount": state.count,
            first: time_text_ns(state.first_ns),
            last: time_text_ns(state.last_ns),
        }
        found.append({**document, "errors": []} if version == "v1.1-preview" else document)
    return found


def _times(model: ModelRow | InstalledModel) -> tuple[str, str]:
    if isinstance(model, ModelRow):
        return time_text_ns(model.created_ns), time_text_ns(model.updated_ns)
    return (time_text_ns(created_ns(model.manifest)),) * 2


def _trained_info(row: ModelRow) -> Document:
    """`modelInfo` of v1.1, but for the variable states, which are not documents yet."""
    request = msgspec.json.decode(row.request, type=TrainRequest)
    known = msgspec.json.decode(row.diagnostics, type=Diagnostics) if row.diagnostics else Diagnostics()
    return {
        "dataSource": request.source,
        "dataSchema": request.schema,
        "startTime": request.start,
        "endTime": request.end,
        "displayName": request.display_name,
        "slidingWindow": request.window,
        "alignPolicy": {
            "alignMode": request.mode,
            "fillNAMethod": request.fill,
            "paddingValue": request.padding,
        },
        "status": row.status,
        "errors": msgspec.json.decode(row.errors or b"[]"),
        "diagnosticsInfo": {
            "modelState": msgspec.to_builtins(known.model_state),
            "variableStates": known.states,
        },
    }


def _installed_info(manifest: Manifest) -> Document:
    policy = manifest.align
    return {
        "dataSource": f"{INSTALLED_SOURCE}{manifest.name}/{manifest.id}",
        "dataSchema": "OneTable",
        "startTime": manifest.training.start,
        "endTime": manifest.training.end,
        "displayName": manifest.name[:NAME_CHARS],
        "slidingWindow": manifest.window,
        "alignPolicy": {
            "alignMode": policy.mode,
            "fillNAMethod": policy.fill,
            "paddingValue": policy.padding_value,
        },
        "status": "READY",
        "errors": [],
        "diagnosticsInfo": {
            "modelState": msgspec.to_builtins(Diagnostics().model_state),
            "variableStates": (),
        },
    }


def _old_info(info: Mapping[str, Any], version: Version) -> Document:
    """`modelInfo` as the preview versions had it: another name of the source, no schema, other variable states."""
    old = {key: value for key, value in info.items() if key not in ("dataSource", "dataSchema")}
    align = dict(info["alignPolicy"])
    if version == "v1.1-preview":
        align["paddingValue"] = round(align["paddingValue"])
        align["fillNAMethod"] = PAD if align["fillNAMethod"] == "Fixed" else align["fillNAMethod"]
    diagnostics = {
        **info["diagnosticsInfo"],
        "variableStates": _states(info["diagnosticsInfo"]["variableStates"], version),
    }
    return {"source": info["dataSource"], **old, "alignPolicy": align, "diagnosticsInfo": diagnostics}
