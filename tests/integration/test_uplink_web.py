"""The HTTP of a device: bandwidth, proxies, keys, certificates, connections that are kept."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from edgead.config import UplinkConfig
from edgead.errors import UplinkError
from edgead.uplink.reasons import Refused, Unreachable
from edgead.uplink.web import Web
from tests import packages
from tests.uplink import Gateway, Handler, RepositoryServer, Vendor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path / "vendor")


def test_no_faster_than_the_bandwidth(vendor: Vendor, tmp_path: Path):
    vendor.add(packages.PUMP)
    device = Gateway(tmp_path / "state", vendor.first_root, bandwidth=120_000)
    with RepositoryServer(vendor.repo) as server:
        outcome = device.sync(server.url)
    assert outcome.state == "installed"
    assert outcome.took_s >= len(packages.PUMP) / 120_000 - 0.2


class Other:
    """Somebody at the other end, in a thread, who notes what he was asked for."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        raise AssertionError("who inherits says what it does")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class HttpProxy(Other):
    """A proxy for plain HTTP."""

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                head = b"".join(iter(lines.readline, b"\r\n"))
                self.asked.append(head.split(b"\r\n")[0])
                host, path = head.split(b" ")[1].removeprefix(b"http://").split(b"/", 1)
                name, _, port = host.partition(b":")
                with socket.create_connection((name.decode(), int(port))) as server:
                    server.sendall(
                        b"GET /" + path + b" HTTP/1.1\r\nConnection: close\r\n" + head.split(b"\r\n", 1)[1]
                    )
                    server.sendall(b"\r\n")
                    while data := server.recv(65536):
                        client.sendall(data)


def test_by_way_of_a_proxy_and_never_by_the_environments(vendor: Vendor, tmp_path: Path, monkeypatch):
    vendor.add(packages.PUMP)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    proxy = HttpProxy()
    with RepositoryServer(vendor.repo) as server:
        device = Gateway(tmp_path / "direct", vendor.first_root)
        assert device.sync(server.url).state == "installed"
        device = Gateway(tmp_path / "state", vendor.first_root, proxy=proxy.url)
        assert device.sync(server.url).state == "installed"
        assert len(proxy.asked) == 5
        assert all(line.startswith(b"GET http://127.0.0.1:") for line in proxy.asked)
        proxy.close()
        assert device.sync(server.url).state == "unreachable"


def test_the_key_is_sent_and_never_told(vendor: Vendor, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text("s3cret-key\n")
    device = Gateway(tmp_path / "state", vendor.first_root, credentials_file=str(key))
    with RepositoryServer(vendor.repo) as server:
        server.rules[r"timestamp"] = lambda handler: handler.give(b"no", status=401)
        outcome = device.sync(server.url)
        assert server.requests[0][1]["Authorization"] == "Bearer s3cret-key"
        assert "401" in outcome.detail
    told = b"".join(path.read_bytes() for path in device.folder.rglob("*") if path.is_file())
    assert b"s3cret-key" not in told
    assert "s3cret-key" not in str(outcome)


def test_the_key_of_the_server_is_not_sent_to_a_mirror(vendor: Vendor, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text("s3cret-key\n")
    vendor.add(packages.PUMP)
    with RepositoryServer(vendor.repo) as mirror, RepositoryServer(vendor.repo) as server:
        given = {"credentials_file": str(key), "url": server.url}
        device = Gateway(tmp_path / "state", vendor.first_root, **given)
        assert device.sync(mirror.url).state == "installed"
        assert all("Authorization" not in heads for _, heads in mirror.requests)
        device.sync(server.url)
        assert all(heads["Authorization"] == "Bearer s3cret-key" for _, heads in server.requests)


@pytest.mark.parametrize("content", ["", "\n", "two words", "x" * 5000, "schlüssel"])
def test_a_file_without_a_key(content: str, tmp_path: Path):
    (tmp_path / "key").write_text(content)
    with pytest.raises(UplinkError, match="key"):
        Web(UplinkConfig(credentials_file=str(tmp_path / "key")))


@pytest.mark.parametrize("key", ["ca", "client_cert"])
def test_a_file_without_a_certificate(key: str, tmp_path: Path):
    (tmp_path / "x.pem").write_text("hello")
    with pytest.raises(UplinkError, match="no usable certificate"):
        Web(UplinkConfig(**{key: str(tmp_path / "x.pem")}))


def test_a_body_goes_up_at_the_bandwidth_and_an_answer_is_bounded(tmp_path: Path):
    taken: list[bytes] = []

    class Sink(RepositoryServer):
        pass

    def post(handler: Handler) -> None:
        taken.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        handler.give(b"x" * 2000)

    Handler.do_POST = post  # type: ignore[attr-defined]
    try:
        with Sink(tmp_path) as server:
            web = Web(UplinkConfig(bandwidth=50_000))
            began = time.monotonic()
            with web.open("POST", f"{server.url}x", body=b"y" * 40_000) as answer:
                assert answer.status == 200
                assert answer.read(2000) == b"x" * 2000
            assert time.monotonic() - began > 0.6
            with (
                pytest.raises(Refused, match="endless-data"),
                web.open("POST", f"{server.url}x", body=b"y") as answer,
            ):
                answer.read(1999)
            web.close()
    finally:
        del Handler.do_POST  # type: ignore[attr-defined]
    assert taken[0] == b"y" * 40_000


class ForgetfulServer(Other):
    """Keeps a connection open after an answer, and ends it when it is asked again on it."""

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client:
                    self.asked.append(client.recv(65536).split(b" ")[0])
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    self.asked.append(client.recv(65536).split(b" ")[0])


@pytest.mark.parametrize("by_proxy", [False, True])
def test_a_kept_connection_that_ends_at_that_moment_is_no_failure(by_proxy: bool):
    server = ForgetfulServer()
    url = "http://far.invalid/" if by_proxy else server.url
    web = Web(UplinkConfig(url=url, proxy=server.url if by_proxy else ""))
    for _ in range(2):
        with web.open("GET", url) as answer:
            assert answer.read(10) == b"ok"
    assert server.asked == [b"GET", b"GET", b"GET"]
    with (
        pytest.raises(Unreachable, match=r"^[A-Z][a-z ]+: .*(closed|reset)") as told,
        web.open("POST", url, body=b"x"),
    ):
        pass  # who knows whether it was done
    assert "(" not in str(told.value)
    assert server.asked[3:] == [b"POST"]
    web.close()
    server.close()
