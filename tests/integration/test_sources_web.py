"""Sources on web servers: the address is judged and pinned, and no server can hold, flood or redirect us."""

import datetime
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edgead.server.sources import Reader, SourceError, SourceSettings
from tests.hostile_http import Answer, HostileServer, raw, whole
from tests.sources import SECRET, TABLE, Place

GOOD = whole(TABLE.encode(), "Content-Type: text/csv")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer({"/data/one.csv": GOOD, "/secret.csv": whole(SECRET.encode())}) as started:
        yield started


def test_a_table_of_a_listed_server(place: Place, server: HostileServer):
    reader = place.reader(f"{server.url}/data")
    source = f"{server.url}/data/one.csv?sig=a%2Bb"
    reader.check(source)
    assert place.fetch(reader, source).read_text() == TABLE
    head = server.requests[0].decode()
    assert head.startswith("GET /data/one.csv?sig=a%2Bb HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in head
    assert "identity" in head


def test_localhost_by_its_listed_name(place: Place, server: HostileServer):
    reader = place.reader(f"http://localhost:{server.port}/")
    assert place.fetch(reader, f"http://localhost:{server.port}/data/one.csv").read_text() == TABLE
    assert f"Host: localhost:{server.port}".encode() in server.requests[0]


FORGED = [
    "http://127.0.0.1:{port}/secret.csv",
    "http://localhost:{port}/secret.csv",
    "http://LOCALHOST.:{port}/secret.csv",
    "http://2130706433:{port}/secret.csv",
    "http://0x7f000001:{port}/secret.csv",
    "http://0177.0.0.1:{port}/secret.csv",
    "http://017700000001:{port}/secret.csv",
    "http://127.1:{port}/secret.csv",
    "http://127.0.1:{port}/secret.csv",
    "http://127.000.000.001:{port}/secret.csv",
    "http://0:{port}/secret.csv",
    "http://0.0.0.0:{port}/secret.csv",
    "http://[::1]:{port}/secret.csv",
    "http://[::]:{port}/secret.csv",
    "http://[::ffff:127.0.0.1]:{port}/secret.csv",
    "http://[::ffff:7f00:1]:{port}/secret.csv",
    "http://[::127.0.0.1]:{port}/secret.csv",
    "http://[64:ff9b::7f00:1]:{port}/secret.csv",
    "http://\uff11\uff12\uff17.0.0.1:{port}/secret.csv",
    "http://\u2460\u2461\u2466.0.0.1:{port}/secret.csv",
    "http://127\u30020.0.1:{port}/secret.csv",
    "http://files.example@127.0.0.1:{port}/secret.csv",
    "http://files.example:80@127.0.0.1:{port}/secret.csv",
    "http://files.example#@127.0.0.1:{port}/secret.csv",
    "http://files.example?@127.0.0.1:{port}/secret.csv",
    "http://files.example\\@127.0.0.1:{port}/secret.csv",
    "http://127.0.0.1:{port}\\@files.example/secret.csv",
    "http://127.0.0.1:{port}#@files.example/data/",
    "http://files.example.evil.test:{port}/data/x",
    "http://files.example:{port}/../secret.csv",
    "http://files.example:{port}/data/../secret.csv",
    "http://files.example:{port}/data/%2e%2e/secret.csv",
    "http://files.example:{port}/data/..%2fsecret.csv",
    "http://files.example:{port}/data%2f..%2fsecret.csv",
    "http://files.example:{port}/data/%252e%252e/secret.csv",
    "http://files.example:{port}/data\r\nX-Injected: 1/x",
    "http://files.example:{port}/data/x HTTP/1.1\r\nHost: other",
    "http://files.example:{port}/data/%0d%0aX-Injected:%201",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]:{port}/secret.csv",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "gopher://127.0.0.1:{port}/_GET%20/secret.csv",
    "ftp://127.0.0.1:{port}/secret.csv",
    "dict://127.0.0.1:{port}/secret.csv",
    "//127.0.0.1:{port}/secret.csv",
    "http:127.0.0.1:{port}/secret.csv",
    "http:/127.0.0.1:{port}/secret.csv",
    "jar:http://127.0.0.1:{port}/secret.csv!/",
    "zip::http://127.0.0.1:{port}/secret.csv",
    "simplecache::http://127.0.0.1:{port}/secret.csv",
]


@pytest.mark.parametrize("form", FORGED)
def test_a_forged_url_reaches_no_server(place: Place, server: HostileServer, form: str):
    settings = SourceSettings(roots=(str(place.root),), allowed=(f"http://files.example:{server.port}/data",))
    reader = Reader(settings, lookup=lambda host, port: ["127.0.0.1"])
    code = place.code(reader, form.format(port=server.port))
    assert code in {"InvalidBlobURL", "StorageReadError", "FileNotExist"}
    assert server.connections == 0


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"]
)
def test_a_listed_name_whose_server_of_names_answers_a_special_address(
    place: Place, server: HostileServer, address: str
):
    settings = SourceSettings(allowed=(f"http://files.example:{server.port}/",))
    reader = Reader(settings, lookup=lambda host, port: [address])
    assert place.code(reader, f"http://files.example:{server.port}/data/one.csv") == "StorageReadError"
    assert server.connections == 0


def test_a_name_is_looked_up_once_and_the_connection_goes_to_that_answer(place: Place, server: HostileServer):
    """What a second look-up would say (a rebound name) is never asked."""
    asked: list[str] = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["203.0.113.1"]

    listed = (f"http://files.example:{server.port}/", "http://127.0.0.1/")
    reader = Reader(SourceSettings(allowed=listed), lookup=lookup)
    assert place.fetch(reader, f"http://files.example:{server.port}/data/one.csv").read_text() == TABLE
    assert asked == ["files.example"]
    assert f"Host: files.example:{server.port}".encode() in server.requests[0]


def test_the_next_address_is_tried_when_one_does_not_answer(place: Place, server: HostileServer):
    reader = Reader(
        SourceSettings(allowed=(f"http://nas:{server.port}/", "http://127.0.0.1/", "http://127.0.0.9/")),
        lookup=lambda host, port: ["127.0.0.9", "127.0.0.1"],
    )
    assert place.fetch(reader, f"http://nas:{server.port}/data/one.csv").read_text() == TABLE


def test_a_name_that_is_not_found(place: Place):
    def lookup(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    reader = Reader(SourceSettings(allowed=("http://files.example/",)), lookup=lookup)
    assert place.code(reader, "http://files.example/x") == "GetDataError"


def test_a_server_of_names_that_never_answers(place: Place):
    reader = Reader(
        SourceSettings(allowed=("http://files.example/",)),
        lookup=lambda host, port: threading.Event().wait(9) and [],
    )
    started = time.monotonic()
    assert place.code(reader, "http://files.example/x", seconds=0.3) == "GetDataError"
    assert time.monotonic() - started < 5


def test_proxies_of_the_environment_are_not_asked(
    place: Place, server: HostileServer, monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.setitem(os.environ, "no_proxy", "")
    assert place.fetch(place.reader(server.url), f"{server.url}/data/one.csv").read_text() == TABLE


def drip(data: bytes, pause_s: float) -> Answer:
    def answer(connection: object) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))  # type: ignore[attr-defined]
            time.sleep(pause_s)

    return answer


def endless(connection: object) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")  # type: ignore[attr-defined]
    block = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    while True:
        connection.sendall(block)  # type: ignore[attr-defined]


def endless_head(connection: object) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")  # type: ignore[attr-defined]
    while True:
        connection.sendall(b"X: y\r\n" * 1000)  # type: ignore[attr-defined]


def silent(connection: object) -> None:
    connection.recv(1)  # type: ignore[attr-defined]


HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS: dict[str, tuple[Answer, str]] = {
    "moved": (whole(b"", "Location: http://127.0.0.1/secret.csv", status="302 Found"), "GetDataError"),
    "moved to a file": (whole(b"", "Location: file:///etc/passwd", status="301 Moved"), "GetDataError"),
    "not there": (whole(b"", status="404 Not Found"), "FileNotExist"),
    "gone": (whole(b"", status="410 Gone"), "FileNotExist"),
    "forbidden": (whole(b"", status="403 Forbidden"), "StorageReadError"),
    "unauthorized": (whole(b"", status="401 Unauthorized"), "StorageReadError"),
    "broken": (whole(b"", status="500 Oops"), "GetDataError"),
    "partial": (whole(b"a", status="206 Partial Content"), "GetDataError"),
    "nothing": (raw(b""), "GetDataError"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "GetDataError"),
    "old HTTP": (raw(b"<html>"), "GetDataError"),
    "shorter than it says": (raw(HEAD + b"Content-Length: 1000\r\n\r\nabc"), "GetDataError"),
    "two lengths": (raw(HEAD + b"Content-Length: 3\r\nContent-Length: 900\r\n\r\nabc"), "GetDataError"),
    "a length that is none": (raw(HEAD + b"Content-Length: x\r\n\r\nabc"), "GetDataError"),
    "a negative length": (raw(HEAD + b"Content-Length: -5\r\n\r\nabc"), "GetDataError"),
    "says to be huge": (raw(HEAD + b"Content-Length: 99999999999999\r\n\r\n"), "FileSizeTooLarge"),
    "no length": (raw(HEAD + b"\r\nabc"), "GetDataError"),
    "a length and chunks": (
        raw(HEAD + b"Content-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
        "GetDataError",
    ),
    "a head without end": (raw(HEAD + b"Content-Type: text/csv\r\n"), "GetDataError"),
    "chunks without end": (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), "GetDataError"),
    "a gzip": (whole(b"\x1f\x8b" + b"x" * 50, "Content-Encoding: gzip"), "GetDataError"),
    "a broken chunk": (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\nabc"), "GetDataError"),
    "an endless body": (endless, "FileSizeTooLarge"),
    "an endless head": (endless_head, "GetDataError"),
    "a long line in the head": (raw(HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n"), "GetDataError"),
    "silence": (silent, "GetDataError"),
    "a body byte by byte": (drip(HEAD + b"Content-Length: 500\r\n\r\n" + b"y" * 500, 0.05), "GetDataError"),
    "a body byte by byte, then the end": (
        drip(b"HTTP/1.0 200 OK\r\nContent-Length: 500\r\n\r\n" + b"y" * 500, 0.05),
        "GetDataError",
    ),
    "chunks byte by byte": (
        drip(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * 90, 0.05),
        "GetDataError",
    ),
    "a head byte by byte": (drip(HEAD + b"X-Pad: " + b"y" * 500, 0.05), "GetDataError"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_bad_answer_ends_in_its_code(place: Place, name: str):
    answer, code = ANSWERS[name]
    with HostileServer({"/x.csv": answer}) as server:
        reader = place.reader(server.url, max_bytes=8000)
        started = time.monotonic()
        assert place.code(reader, f"{server.url}/x.csv?sig=SECRET", seconds=2) == code
        assert time.monotonic() - started < 8
        assert server.connections == 1


def test_a_message_names_the_source_without_its_signature(place: Place, server: HostileServer):
    reader = place.reader(server.url)
    for path in ("missing.csv", "data/one.csv"):
        server.answers["/data/one.csv"] = raw(b"")
        with pytest.raises(SourceError) as caught:
            place.fetch(reader, f"{server.url}/{path}?sig=HIDDEN")
        assert path in caught.value.message
        assert "HIDDEN" not in caught.value.message


def test_nobody_listens(place: Place):
    with HostileServer({}) as server:
        url = server.url
    assert place.code(place.reader(url), f"{url}/x") == "GetDataError"


Certify = Callable[[str], ssl.SSLContext]


@pytest.fixture
def certify(tmp_path: Path) -> Certify:
    """Server contexts with a certificate of its own for a name, written to ``NAME.pem``."""

    def make(name: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (tmp_path / f"{name}.pem").write_bytes(pem)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / f"{name}.key").write_bytes(private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        return context

    return make


def test_tls_checks_the_certificate_against_the_name_and_sends_the_name(
    place: Place, certify: Certify, tmp_path: Path
):
    names: list[str | None] = []
    context = certify("files.example")
    context.sni_callback = lambda connection, name, context: names.append(name)  # type: ignore[assignment]
    with HostileServer({"/one.csv": GOOD}, context) as server:
        listed = (
            f"https://files.example:{server.port}/",
            f"https://other.example:{server.port}/",
            "http://127.0.0.1/",
        )

        def read(host: str, ca: str) -> Path:
            settings = SourceSettings(allowed=listed, ca=ca)
            reader = Reader(settings, lookup=lambda host, port: ["127.0.0.1"])
            return place.fetch(reader, f"https://{host}:{server.port}/one.csv")

        ca = str(tmp_path / "files.example.pem")
        assert read("files.example", ca).read_text() == TABLE
        assert names == ["files.example"]
        assert f"Host: files.example:{server.port}".encode() in server.requests[0]
        for host, authorities in (("other.example", ca), ("files.example", "")):
            with pytest.raises(SourceError) as caught:
                read(host, authorities)
            assert caught.value.code == "GetDataError"
            assert "certificate" in caught.value.message.lower()
        assert len(server.requests) == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_a_slow_answer_over_tls_is_cut(place: Place, certify: Certify, tmp_path: Path, head: bytes):
    answers = {"/x.csv": drip(head + b"Content-Length: 500\r\n\r\n" + b"y" * 500, 0.05)}
    with HostileServer(answers, certify("localhost")) as server:
        url = f"https://localhost:{server.port}/x.csv"
        reader = place.reader(url, ca=str(tmp_path / "localhost.pem"))
        started = time.monotonic()
        assert place.code(reader, url, seconds=1.5) == "GetDataError"
        assert time.monotonic() - started < 6
        assert len(server.requests) == 1


def test_a_tls_handshake_that_never_ends(place: Place):
    """A server that takes the connection and stays silent is left at the deadline."""
    with HostileServer({}) as server:
        url = server.url.replace("http://", "https://")
        started = time.monotonic()
        assert place.code(place.reader(url), f"{url}/x", seconds=1) == "GetDataError"
        assert time.monotonic() - started < 6
