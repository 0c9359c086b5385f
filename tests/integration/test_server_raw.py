"""Requests as the clients of other languages write them, over TLS with a self-signed certificate."""

import json
import signal
import ssl
import time
import uuid

import pytest

from tests.certificates import trusting, write_certificate
from tests.raw_http import connect, exchange, post, read_answer
from tests.server_process import ServerProcess

KEY = "0123456789abcdef0123456789abcdef"
VALUES = [32858923.0 + 1000 * (i % 7) + (20_000_000 if i == 30 else 0) for i in range(40)]


def days(count: int) -> list[str]:
    return [time.strftime("%Y-%m-%d", time.gmtime(1519862400 + 86400 * i)) for i in range(count)]


#: What .NET (Azure.AI.AnomalyDetector 3.0.0-preview.6), Java (3.0.0-beta.5), JavaScript and Go's net/http send.
DOTNET = (
    f"Ocp-Apim-Subscription-Key: {KEY}",
    "x-ms-client-request-id: 9c8f1b3e-4c51-4a5c-9c8c-5ac04b0d8f6a",
    "x-ms-return-client-request-id: true",
    "User-Agent: azsdk-net-AI.AnomalyDetector/3.0.0-preview.6 (.NET 6.0.11; Microsoft Windows 10.0.22621)",
    "traceparent: 00-0f2ac5b5c2a4c8de0a7e2ac9b3b0c2d1-1b2c3d4e5f607182-00",
    "Accept: application/json",
    "Content-Type: application/json",
)
JAVA = (
    "Accept: application/json",
    f"Ocp-Apim-Subscription-Key: {KEY}",
    "Content-Type: application/json",
    "User-Agent: azsdk-java-azure-ai-anomalydetector/3.0.0-beta.5 (17.0.5; Windows 11; 10.0)",
    "Date: Thu, 01 Dec 2022 02:20:15 GMT",
    "x-ms-client-request-id: 5f9c3f0f-0d3c-4ea1-b0f3-0fd2dbb6b2a4",
)
JAVASCRIPT = (
    "content-type: application/json; charset=UTF-8",
    "accept-encoding: gzip,deflate",
    f"ocp-apim-subscription-key: {KEY}",
    "user-agent: azsdk-js-ai-anomalydetector-rest/1.0.0-beta.1 core-rest-pipeline/1.10.0 Node/18.12.0",
    "x-ms-useragent: azsdk-js-ai-anomalydetector-rest/1.0.0-beta.1",
    "connection: keep-alive",
)


def body(stamp: str, value=lambda x: x) -> bytes:
    series = [
        {"timestamp": stamp.format(day), "value": value(x)} for day, x in zip(days(len(VALUES)), VALUES)
    ]
    return json.dumps(
        {"series": series, "maxAnomalyRatio": 0.25, "sensitivity": 95, "granularity": "daily"}
    ).encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = write_certificate(folder)
    with ServerProcess(folder, ["--tls-cert", str(cert), "--tls-key", str(key)], key=KEY) as server:
        assert server.url.startswith("https://127.0.0.1:")
        yield server, trusting(cert), cert


@pytest.mark.parametrize(
    ("headers", "path", "stamp", "value"),
    [
        (DOTNET, "/anomalydetector/v1.1/timeseries/{}/detect", "{}T00:00:00.0000000Z", float),
        (JAVA, "//anomalydetector/v1.1/timeseries/{}/detect", "{}T00:00:00Z", float),
        (JAVA, "//anomalydetector/v1.0/timeseries/{}/detect", "{}T00:00Z", float),
        (JAVASCRIPT, "/anomalydetector/v1.1/timeseries/{}/detect", "{}T00:00:00.000Z", str),
        (DOTNET, "/anomalydetector//v1.1///timeseries/{}/detect", "{}T00:00:00+00:00", int),
        (DOTNET, "/AnomalyDetector/V1.1/TimeSeries/{}/Detect", "{}T02:00:00+02:00", str),
    ],
    ids=["dotnet", "java", "java-1.0", "javascript", "slashes", "case"],
)
def test_every_language_gets_the_same_answer(served, headers, path, stamp, value):
    server, context, _ = served
    usual = server.ask(
        "POST", "/anomalydetector/v1.1/timeseries/entire/detect", body("{}T00:00:00Z"), context=context
    ).json()
    for mode in ("entire", "last", "changepoint"):
        answer = exchange(server.port, post(path.format(mode), body(stamp, value), *headers), context)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/json"
        assert uuid.UUID(answer.headers["apim-request-id"])
        if mode == "entire":
            assert answer.json()["isAnomaly"] == usual["isAnomaly"]
            assert answer.json()["isAnomaly"][30]


def capitals(names: dict) -> dict:
    return {name[0].upper() + name[1:]: value for name, value in names.items()}


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
@pytest.mark.parametrize("mode", ["entire", "last", "changepoint"])
def test_power_bi_writes_names_with_capitals_and_reads_them(served, version: str, mode: str):
    server, context, _ = served
    path = f"/anomalydetector/{version}/timeseries/{mode}/detect"
    usual = {**json.loads(body("{}T00:00:00Z")), "imputeMode": "zero", "customInterval": 1}
    del usual["series"][7]
    written = capitals({**usual, "series": [capitals(point) for point in usual["series"]]})
    expected = exchange(server.port, post(path, json.dumps(usual).encode(), *JAVA), context)
    answer = exchange(server.port, post(path, json.dumps(written).encode(), *JAVA), context)
    assert (expected.status, answer.status) == (200, 200)
    assert answer.json() == capitals(expected.json())
    written["Granularity"] = "hourly"
    written["CustomInterval"] = 5
    refused = exchange(server.port, post(path, json.dumps(written).encode(), *JAVA), context)
    assert (refused.status, refused.code) == (400, "InvalidSeries")
    for series in (None, [], [5] * 12, {"Value": 1}, "x"):
        refused = exchange(
            server.port, post(path, json.dumps({**written, "Series": series}).encode(), *JAVA), context
        )
        assert (refused.status, refused.code) == (400, "BadArgument")


def test_the_client_s_request_id_comes_back_when_it_asks_for_it(served):
    server, context, _ = served
    path = "/anomalydetector/v1.1/timeseries/last/detect"
    answer = exchange(server.port, post(path, body("{}T00:00:00Z"), *DOTNET), context)
    assert answer.headers["x-ms-client-request-id"] == "9c8f1b3e-4c51-4a5c-9c8c-5ac04b0d8f6a"
    answer = exchange(server.port, post(path, body("{}T00:00:00Z"), *JAVA), context)
    assert "x-ms-client-request-id" not in answer.headers


def test_a_body_in_chunks_and_one_that_waits_for_100_continue(served):
    server, context, _ = served
    data = body("{}T00:00:00Z")
    head = "POST /anomalydetector/v1.1/timeseries/last/detect HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Ocp-Apim-Subscription-Key: {KEY}\r\nContent-Type: application/json\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:7], data[7:1000], data[1000:]))
    whole = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"
    assert exchange(server.port, whole, context).status == 200
    with connect(server.port, context) as line:
        line.sendall(f"{head}Expect: 100-continue\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 100 ")
        line.sendall(data)
        assert read_answer(line).status == 200


def test_a_refusal_comes_before_the_body_to_a_client_that_waits_for_it(served):
    server, context, _ = served
    with connect(server.port, context) as line:
        line.sendall(
            b"POST /anomalydetector/v1.1/timeseries/last/detect HTTP/1.1\r\nHost: localhost\r\n"
            b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
        )
        answer = read_answer(line)
    assert (answer.status, answer.code) == (401, "401")
    assert answer.headers["www-authenticate"].startswith("AzureApiManagementKey")


def test_one_connection_carries_many_requests(served):
    server, context, _ = served
    request = post("/anomalydetector/v1.1/timeseries/last/detect", body("{}T00:00:00Z"), *DOTNET)
    with connect(server.port, context) as line:
        for _ in range(3):
            line.sendall(request)
            assert read_answer(line).status == 200
        line.sendall(post("/anomalydetector/v1.1/timeseries/last/detect", b"{}", *DOTNET))
        assert read_answer(line).code == "RequiredSeries"
        line.sendall(request + request)  # not waiting for the first answer
        assert read_answer(line).status == 200


def test_a_proxy_may_ask_for_the_whole_url(served):
    server, context, _ = served
    path = "/anomalydetector/v1.1/timeseries/last/detect"
    for scheme in ("https", "http"):
        request = post(f"{scheme}://localhost:{server.port}/{path}", body("{}T00:00:00Z"), *DOTNET)
        assert exchange(server.port, request, context).status == 200
        refused = exchange(server.port, post(f"{scheme}://localhost{path}", b"{}"), context)
        assert (refused.status, refused.code) == (401, "401")


def test_an_offer_of_http_2_is_not_taken_and_not_worth_a_line(served):
    server, context, _ = served
    offer = (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
    )
    request = post("/anomalydetector/v1.1/timeseries/last/detect", body("{}T00:00:00Z"), *JAVA, *offer)
    with connect(server.port, context) as line:
        for _ in range(2):
            line.sendall(request)
            assert read_answer(line).status == 200
    assert "upgrade" not in server.log.read_text().lower()


def test_delete_without_a_body_but_with_its_length(served):
    server, context, _ = served
    request = (
        f"DELETE //anomalydetector/v1.1/multivariate/models/{uuid.uuid4()} HTTP/1.1\r\nHost: localhost\r\n"
        f"Ocp-Apim-Subscription-Key: {KEY}\r\nContent-Length: 0\r\n\r\n"
    )
    answer = exchange(server.port, request.encode(), context)
    assert (answer.status, answer.code) == (404, "ModelNotExist")
    assert answer.headers["x-ms-error-code"] == "ModelNotExist"


def test_a_model_of_many_variables_is_asked_for_as_java_and_dotnet_do(served):
    server, context, _ = served
    listed = "GET //anomalydetector/v1.1/multivariate/models?skip=0&top=10 HTTP/1.1\r\nHost: localhost\r\n"
    answer = exchange(server.port, f"{listed}Ocp-Apim-Subscription-Key: {KEY}\r\n\r\n".encode(), context)
    assert answer.status == 200
    assert answer.json()["models"] == []
    train = {
        "dataSource": "/nowhere/table.csv",
        "startTime": "2021-01-02T00:00:00.0000000Z",
        "endTime": "2021-01-02T05:00:00.0000000Z",
        "displayName": "from .NET",
    }
    answer = exchange(
        server.port,
        post("/anomalydetector/v1.1/multivariate/models", json.dumps(train).encode(), *DOTNET),
        context,
    )
    # the times were read; only the source is not one that this server may read
    assert (answer.status, answer.code) == (403, "StorageReadError")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(served, version):
    server, _, cert = served
    with connect(server.port, trusting(cert, version)) as line:
        line.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(line).status == 200


def test_tls_1_1_is_refused(served):
    server, _, cert = served
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context = trusting(cert, ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        connect(server.port, context)


def test_plain_http_on_the_tls_port_hurts_nobody(served):
    server, context, _ = served
    assert exchange(server.port, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n") is None
    assert server.ask("GET", "/ready", context=context).status == 200


def test_a_new_certificate_is_taken_on_sighup_and_a_bad_one_is_not(tmp_path):
    cert, key = write_certificate(tmp_path)
    with ServerProcess(tmp_path, ["--tls-cert", str(cert), "--tls-key", str(key)]) as server:
        old = trusting(cert)
        assert server.ask("GET", "/ready", context=old).status == 200

        def hang_up(wanted):
            server.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 20
            while wanted not in server.log.read_text():
                assert time.monotonic() < until
                time.sleep(0.05)

        key.write_text("nothing")
        hang_up("the old certificate stays in use")
        assert server.ask("GET", "/ready", context=old).status == 200
        write_certificate(tmp_path)
        hang_up("certificate read again")
        assert server.ask("GET", "/ready", context=trusting(cert)).status == 200
        with pytest.raises(OSError, match="certificate verify failed"):
            server.ask("GET", "/ready", context=old)


def test_a_certificate_that_is_none_is_told_at_the_start(tmp_path):
    cert, key = write_certificate(tmp_path)
    key.write_text("nothing")
    server = ServerProcess(tmp_path, ["--tls-cert", str(cert), "--tls-key", str(key)])
    with pytest.raises(AssertionError, match="cannot be used as certificate and key"):
        server.start()
    assert server.process.returncode == 2
