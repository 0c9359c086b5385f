"""Univariate calls of a real `edgead serve`: the service's clients, the recorded cases, the harness of the contract."""

import json
import re
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.ai.anomalydetector import AnomalyDetectorClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError

from tests.server_process import ServerProcess

SHARED = Path(__file__).resolve().parents[3] / "shared"
HARNESS = SHARED / "contract" / "sdk_conformance.py"
#: v1.1 follows the recorded service, whose margins contradict these two printed samples (contract.md 9.7).
LEFT_OUT = ("entire.example_no_extras", "last.example_not_anomalous")
KEY = "a-key-of-the-tests"
SERIES = [
    {"timestamp": f"2021-03-{day:02}T00:00:00Z", "value": 100.0 + (day % 7) * 3 + (40 if day == 20 else 0)}
    for day in range(1, 31)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ServerProcess(tmp_path_factory.mktemp("server"), key=KEY) as process:
        yield process


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, str(program), *arguments], capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout


def test_every_univariate_check_of_the_contract_passes(server):
    code, told = run(
        *(HARNESS, "--endpoint", server.url, "--key", KEY),
        *("--no-multivariate", "--skip", ",".join(LEFT_OUT), "--timeout", "120"),
    )
    failures = [line for line in told.splitlines() if line.startswith(("FAIL", "SKIP"))]
    assert not failures
    assert code == 0
    assert int(re.search(r"(\d+) passed, 0 failed", told)[1]) >= 150


def test_the_recorded_cases_are_accepted_over_http(tmp_path):
    with ServerProcess(tmp_path) as server:
        code, told = run(
            *(SHARED / "cases" / "run_cases.py", "--url", f"{server.url}/anomalydetector/v1.1"),
            str(SHARED / "cases" / "public"),
        )
    assert told.splitlines()[-1] == "66 passed, 0 failed"
    assert code == 0


def test_an_answer_over_http_is_the_library_s(server):
    import edgead

    for mode in ("entire", "last", "changepoint"):
        body = {"series": SERIES, "granularity": "daily", "sensitivity": 90}
        answer = server.ask("POST", f"/anomalydetector/v1.1/timeseries/{mode}/detect", body)
        assert answer.json() == edgead.detect(mode, body)
        assert answer.headers["csp-billing-usage"] == "CognitiveServices.AnomalyDetector.DataPoints=30"


# ---------------------------------------------------------------- the client of v1.0


def old_client(url, key):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # msrest's own imports are deprecated, as is the whole client
        from azure.cognitiveservices.anomalydetector import AnomalyDetectorClient as OldClient
        from msrest.authentication import CognitiveServicesCredentials
    return OldClient(url, CognitiveServicesCredentials(key))


def old_request(**changes):
    from azure.cognitiveservices.anomalydetector.models import Point, Request

    start = datetime(2021, 1, 1, tzinfo=UTC)
    points = [
        Point(timestamp=start + timedelta(hours=i), value=50.0 + i % 24 + (90 if i == 100 else 0))
        for i in range(168)
    ]
    return Request(**{"series": points, "granularity": "hourly", "sensitivity": 90, **changes})


def test_the_client_of_v1_0_gets_its_three_answers(server):
    client = old_client(server.url, KEY)
    whole = client.entire_detect(old_request())
    assert whole.is_anomaly[100]
    assert whole.is_positive_anomaly[100]
    assert len(whole.expected_values) == 168
    assert whole.period == 24
    last = client.last_detect(old_request())
    assert last.suggested_window == 97
    assert last.is_anomaly is False
    from azure.cognitiveservices.anomalydetector.models import ChangePointDetectRequest

    request = ChangePointDetectRequest(series=old_request().series, granularity="hourly")
    found = client.change_point_detect(request)
    assert len(found.is_change_point) == len(found.confidence_scores) == 168


def test_v1_0_keeps_its_margins_and_has_no_severity_and_no_imputing(server):
    import edgead

    body = {"series": SERIES, "granularity": "daily", "sensitivity": 95, "imputeMode": "nonsense"}
    old = server.ask("POST", "/anomalydetector/v1.0/timeseries/entire/detect", body).json()
    first = {name: value for name, value in body.items() if name != "imputeMode"} | {"boundaryVersion": "V1"}
    want = edgead.detect("entire", first)
    assert old == {name: value for name, value in want.items() if name != "severity"}
    assert old["upperMargins"] == pytest.approx([0.05 * value for value in old["expectedValues"]])
    preview = server.ask("POST", "/anomalydetector/v1.1-preview/timeseries/entire/detect", body).json()
    assert preview == old
    new = server.ask(
        "POST", "/anomalydetector/v1.1-preview.1/timeseries/entire/detect", {**body, "imputeMode": "auto"}
    ).json()
    assert "severity" in new


@pytest.mark.parametrize("version", ["v1.0", "v1.1-preview", "v1.1-preview.1", "v1.1"])
@pytest.mark.parametrize("value", [5, 1.5, True, "v9", None, ["V1"], {"V": 1}])
def test_properties_that_the_documents_do_not_have_are_ignored_whatever_they_hold(server, version, value):
    body = {"series": SERIES, "granularity": "daily", "sensitivity": 95}
    strange = {"boundaryVersion": value, "alpha": [value], "apiVersion": 7, "5": value}
    path = f"/anomalydetector/{version}/timeseries/entire/detect"
    answer = server.ask("POST", path, body | strange)
    assert answer.status == 200
    assert answer.json() == server.ask("POST", path, body).json()


def test_the_client_of_v1_0_raises_its_own_errors(server):
    from azure.cognitiveservices.anomalydetector.models import APIErrorException

    with pytest.raises(APIErrorException) as told:
        old_client(server.url, KEY).entire_detect(old_request(granularity="daily"))
    assert told.value.error.code == "InvalidSeries"
    with pytest.raises(APIErrorException) as told:
        old_client(server.url, "wrong").entire_detect(old_request())
    assert told.value.response.status_code == 401


# ---------------------------------------------------------------- keys as programs have them


@pytest.mark.parametrize("key", ["", "whatever"])
def test_a_server_without_keys_takes_any_and_none(tmp_path, key):
    with ServerProcess(tmp_path, ["Eula=accept", "Billing=https://x", f"ApiKey={key}"]) as server:
        client = AnomalyDetectorClient(server.url, AzureKeyCredential(key))
        answer = client.detect_univariate_entire_series({"series": SERIES, "granularity": "daily"})
        assert answer.is_anomaly[19]
        data = json.dumps({"series": SERIES, "granularity": "daily"}).encode()
        path = "/anomalydetector/v1.1/timeseries/last/detect"
        assert server.ask("POST", path, data, headers={"Ocp-Apim-Subscription-Key": key}).status == 200


def test_a_wrong_key_is_the_client_s_authentication_error(server):
    client = AnomalyDetectorClient(server.url, AzureKeyCredential("wrong"), retry_total=0)
    with pytest.raises(ClientAuthenticationError, match="Access denied due to invalid subscription key"):
        client.detect_univariate_last_point({"series": SERIES, "granularity": "daily"})
