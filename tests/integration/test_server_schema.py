"""Requests made from ``/openapi.json``, right and wrong: no 5xx, and every answer is one that the document has."""

import os
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server_process import ServerProcess

#: In all, over the operations and the three ways to make a request.
REQUESTS = 5000 if os.environ.get("EDGEAD_SOAK") else 500
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
TIMESERIES = ("entire", "last", "changepoint")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ServerProcess(tmp_path_factory.mktemp("schema")) as process:
        yield process


def values(n: int) -> st.SearchStrategy[list[float | str]]:
    number = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
    return st.lists(number | number.map(str), min_size=n, max_size=n)


#: What a document cannot say: series that are in order, on the grid, and long enough, with options out of their ranges
#: now and then.
@st.composite
def sensible(draw, mode):
    n = draw(st.integers(12, 60))
    series = [
        {"timestamp": f"2021-01-{1 + i // 24:02}T{i % 24:02}:00:00Z", "value": value}
        for i, value in enumerate(draw(values(n)))
    ]
    options = {
        "customInterval": st.integers(0, 3),
        "period": st.integers(-1, 40),
        "maxAnomalyRatio": st.floats(0, 0.6),
        "sensitivity": st.integers(-1, 101),
        "imputeMode": st.sampled_from(["auto", "previous", "linear", "fixed", "zero", "notFill", "none"]),
        "imputeFixedValue": st.floats(-1e3, 1e3),
        "threshold": st.floats(0, 1),
        "stableTrendWindow": st.integers(2, 40),
    }
    body = draw(st.fixed_dictionaries({}, optional=options))
    granularity = draw(st.sampled_from(["hourly", "none", "hourly", "daily"]))
    return {"series": series, "granularity": granularity, **body}


def operations(schema):
    return [result.ok() for result in schema.get_all_operations()]


def test_every_answer_is_one_of_the_document(server):
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    found = operations(schema)
    stateless = [each for each in found if "/timeseries/" in each.path]
    each_way = REQUESTS // (2 * len(found) + len(stateless)) + 1
    seen: Counter[int] = Counter()

    def judge(operation, case):
        response = case.call(headers={"connection": "keep-alive"})
        seen[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    def run(operation, strategy, count):
        @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(strategy)
        def go(case):
            judge(operation, case)

        go()

    for operation in found:
        for generation in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            run(operation, operation.as_strategy(generation_mode=generation), each_way)
    rest = REQUESTS - sum(seen.values())  # calls without a body have few forms
    for operation in stateless:
        mode = next(mode for mode in TIMESERIES if f"/{mode}/" in operation.path)
        make = sensible(mode).map(
            lambda body, operation=operation: operation.Case(body=body, media_type="application/json")
        )
        run(operation, make, rest // len(stateless) + 1)
    assert sum(seen.values()) >= REQUESTS, seen
    assert seen[200] > 20, seen
    assert max(seen) < 500
