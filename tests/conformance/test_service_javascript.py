"""The retired service's JavaScript client against `edgead serve`: three calls, list, errors, train and detect."""

from typing import Any

import numpy as np
import pytest

import edgead
from tests import node
from tests.served import ModelServer, machine, stamp, write_table

KEY = "0123456789abcdef"
NAMES = ("flow", "current")
ROWS = 400


@pytest.fixture(scope="module")
def series() -> list[dict[str, Any]]:
    values = 50 + 8 * np.sin(np.arange(60) * 2 * np.pi / 7) + np.random.default_rng(3).standard_normal(60)
    values[41] += 30
    days = np.datetime64("2026-01-01") + np.arange(60)
    return [
        {"timestamp": f"{day}T00:00:00Z", "value": round(float(value), 3)} for day, value in zip(days, values)
    ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, series: list[dict[str, Any]]) -> Any:
    """What the program saw; without a slash at the end of the endpoint, and with one it is the same client."""
    folder = tmp_path_factory.mktemp("server")
    table = machine(ROWS, NAMES, fault=20)
    with ModelServer(folder, key=KEY) as server:
        write_table(server.data / "machine.csv", table, NAMES)
        variables = [
            {
                "variable": name,
                "timestamps": [stamp(at) for at in range(40)],
                "values": table[:40, place].tolist(),
            }
            for place, name in enumerate(NAMES)
        ]
        given = {
            "series": series,
            "variables": variables,
            "source": str(server.data / "machine.csv"),
            "start": stamp(0),
            "end": stamp(ROWS - 1),
            "from": stamp(ROWS - 50),
        }
        return node.run_program(node.JS / "client.mjs", given, {"ENDPOINT": f"{server.url}/", "KEY": KEY})


@pytest.mark.parametrize("mode", ["entire", "last", "changepoint"])
def test_univariate_answers_are_those_of_the_library(told: Any, series: list[dict[str, Any]], mode: Any):
    options = {"threshold": 0.9} if mode == "changepoint" else {"sensitivity": 95, "maxAnomalyRatio": 0.25}
    assert told[mode] == edgead.detect(mode, {"series": series, "granularity": "daily", **options})


def test_the_spike_was_found(told: Any):
    assert told["entire"]["isPositiveAnomaly"][41] is True


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("unsorted", "400", "InvalidSeries"),
        ("granularity", "400", "InvalidGranularity"),
        ("key", "401", "401"),
        ("model", "404", "ModelNotExist"),
        ("result", "404", "ResultNotExist"),
        ("window", "400", "InvalidSlidingWindow"),
    ],
)
def test_errors_as_the_client_tells_them(told: Any, name: str, status: str, code: str):
    error = told["errors"][name]
    assert (error["status"], error["code"], error["unexpected"]) == (status, code, True)
    assert error["header"] == code


def test_a_model_is_trained_and_listed(told: Any):
    assert told["trained"]["status"] == "201"
    assert told["trained"]["created"] == "CREATED"
    model = told["model"]
    assert told["trained"]["location"].endswith(
        f"/anomalydetector/v1.1/multivariate/models/{model['modelId']}"
    )
    assert model["modelInfo"]["status"] == "READY", model
    assert model["modelInfo"]["displayName"] == "from node"
    assert {state["variable"] for state in model["modelInfo"]["diagnosticsInfo"]["variableStates"]} == set(
        NAMES
    )
    assert model["modelId"] in told["listed"]


def test_the_fault_is_found_in_the_batch(told: Any):
    assert told["batch"]["status"] == "202"
    assert told["batch"]["operation"] == told["result"]["resultId"]
    assert told["result"]["resultId"] in told["batch"]["location"]
    results = told["result"]["results"]
    assert told["result"]["summary"]["status"] == "READY"
    assert [one["timestamp"] for one in results] == [stamp(at) for at in range(ROWS - 50, ROWS)]
    worst = max(results, key=lambda one: one["value"]["score"])
    assert worst["timestamp"] >= stamp(ROWS - 20)
    assert all(0 <= one["value"]["severity"] <= 1 for one in results)


def test_the_last_row_is_judged_inline(told: Any):
    (row,) = told["lastRow"]["results"]
    assert row["timestamp"] == stamp(39)
    assert row["value"]["isAnomaly"] in (True, False)


def test_a_deleted_model_is_gone(told: Any):
    assert told["deleted"]["status"] == "204"
    assert told["deleted"]["gone"]["code"] == "ModelNotExist"
