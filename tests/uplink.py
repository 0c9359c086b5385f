"""A publisher, a web server that can be made hostile, and a device: the three sides of a sync, each the real thing."""

import datetime as dt
import hashlib
import ipaddress
import json
import re
import shutil
import ssl
import threading
import time
import types
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tuf.api.metadata import TargetFile

from edgead.config import UplinkConfig
from edgead.registry.shelf import Shelf
from edgead.uplink.disk import folder_in
from edgead.uplink.publish import Keyring, Publisher, create
from edgead.uplink.release import Release
from edgead.uplink.sync import SyncOutcome, run_sync
from edgead.uplink.trust import give_root

NOW = dt.datetime.now(dt.UTC)
#: Makes an answer in place of the file's; True when it did.
Rule = Callable[["Handler"], None]


def later(days: float) -> Callable[[], dt.datetime]:
    """A publisher's clock, off by so many days."""
    return lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


def passed(monkeypatch: pytest.MonkeyPatch, *, days: float) -> Callable[[], float]:
    """Let days pass for the devices of this process: python-tuf reads its own clock, ours is handed over."""

    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.now(tz) + dt.timedelta(days=days)

    clock = types.SimpleNamespace(datetime=Later, timezone=dt.timezone)
    monkeypatch.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime", clock)
    return lambda: time.time() + days * 86_400


class Handler(BaseHTTPRequestHandler):
    """Files of a folder, with ranges; or what a rule says."""

    protocol_version = "HTTP/1.1"
    server: "RepositoryServer"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        for pattern, rule in list(self.server.rules.items()):
            if re.search(pattern, self.path):
                rule(self)
                return
        self.give_file()

    def give_file(self) -> None:
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.give(b"no", status=404)
            return
        body = path.read_bytes()
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(asked[1])
            if start >= len(body):
                self.give(b"", status=416)
            else:
                told = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                self.give(body[start:], status=206, headers=told)
        else:
            self.give(body)

    def give(
        self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None, length: int = -1
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length < 0 else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.server.sent += len(body)

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ssl.SSLError):  # the client has had enough
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class RepositoryServer(ThreadingHTTPServer):
    """Serves a folder on a free port of loopback.

    Attributes
    ----------
    rules : dict of str to callable
        What happens to requests whose path matches the pattern.
    requests : list of (str, dict)
        Path and headers of each.
    sent : int
        Bytes of bodies.
    connections : int
        Taken so far.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.rules: dict[str, Rule] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sent = self.connections = 0
        self.over = threading.Event()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_address[1]}/"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def get_request(self) -> tuple[Any, Any]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def paths(self) -> list[str]:
        """Paths asked for, in order."""
        return [path for path, _ in self.requests]


class Vendor:
    """Who publishes: a repository, all its keys, and the means to misuse them.

    Parameters
    ----------
    folder : Path
        Holds ``repo`` and ``keys``.
    begun : float
        Days from now to its beginning.

    Attributes
    ----------
    shift : float
        Days its clock is ahead.
    """

    def __init__(self, folder: Path, *, begun: float = 0.0, **options: Any) -> None:
        self.repo, self.keys = folder / "repo", folder / "keys"
        self.shift = begun
        self.first_root = create(self.repo, Keyring([self.keys]), now=later(begun), **options)

    def copy(self, repo: Path) -> "Vendor":
        """Another one with the same keys, going on from here by itself."""
        other = object.__new__(Vendor)
        other.repo, other.keys, other.shift, other.first_root = repo, self.keys, 0.0, self.first_root
        shutil.copytree(self.repo, repo)
        return other

    @property
    def publisher(self) -> Publisher:
        return Publisher(self.repo, Keyring([self.keys]), now=later(self.shift))

    def add(self, data: bytes, **options: Any) -> Release:
        return self.publisher.add(data, **options)

    def release_unchecked(self, data: bytes, *, target: str, **terms: Any) -> str:
        """Sign a target that `add` would refuse; gives the path of its bytes."""
        publisher = self.publisher
        now = publisher._load()
        file = TargetFile.from_data(target, data, ["sha256"])
        release = now.targets.signed.version + 1
        file.unrecognized_fields["custom"] = {"kind": "model", "release": release, **terms}
        folder, _, name = target.rpartition("/")
        path = f"{folder}/{file.hashes['sha256']}.{name}"
        if ".." not in target:
            (self.repo / "targets" / folder).mkdir(parents=True, exist_ok=True)
            (self.repo / "targets" / path).write_bytes(data)
        now.targets.signed.targets[target] = file
        publisher._release(now, targets=True)
        return path

    def metadata(self, name: str) -> Path:
        return self.repo / "metadata" / name

    def edit(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the signed part of metadata and leave the signatures as they were."""
        path = self.metadata(name)
        told = json.loads(path.read_bytes())
        change(told["signed"])
        path.write_text(json.dumps(told, separators=(",", ":"), sort_keys=True))

    def jump(self, role: str, by: int) -> None:
        """Sign a far version with the stolen online keys."""
        publisher = self.publisher
        now = publisher._load()
        getattr(now, role).signed.version += by
        publisher._release(now, targets=role == "targets", snapshot=role != "timestamp")


class Gateway:
    """A device: a state directory, and `sync` as the command calls it, without an agent.

    Parameters
    ----------
    folder : Path
        State directory.
    root : bytes
        First root.
    trial : callable, optional
        Of packages; by default every package passes.
    """

    def __init__(
        self,
        folder: Path,
        root: bytes,
        /,
        *,
        name: str = "gw1",
        trial: Callable[[bytes], None] = lambda data: None,
        **config: Any,
    ) -> None:
        self.folder, self.name = folder, name
        self.config = config
        self.shelf = Shelf(folder / "models", trial=trial)
        if root:
            give_root(folder_in(folder), root, hashlib.sha256(root).hexdigest())

    def sync(self, where: str | Path, **options: Any) -> SyncOutcome:
        source = where if isinstance(where, Path) else None
        config = UplinkConfig(repository="" if source else str(where), **self.config)
        told = {"activate": True, "source": source, **options}
        return run_sync(config, self.shelf, device=self.name, state_dir=self.folder, **told)

    def copy(self, folder: Path) -> "Gateway":
        """Another one in the same state."""
        shutil.copytree(self.folder, folder)
        return Gateway(folder, b"", name=self.name, trial=self.shelf._trial, **self.config)

    def active(self, name: str = "pump") -> str:
        return self.shelf.active_id(name)

    def state(self) -> dict[str, bytes]:
        """Everything a refusal must not change."""
        uplink = self.folder / "uplink"
        files = [path for path in (self.folder / "models").rglob("*") if path.is_file()]
        files += [path for path in (uplink / "trust.json", uplink / "root.json") if path.exists()]
        files += [path for path in (uplink / "config").glob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


class Authority:
    """A certificate authority of one test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"authority {folder.name}")])
        self.file = folder / "ca.pem"
        self.file.write_bytes(
            self._certificate(self._name, self._key.public_key(), None, 0).public_bytes(Encoding.PEM)
        )

    def issue(self, name: str, *, host: str = "127.0.0.1", days: int = 30) -> Path:
        """A certificate and its key in one file; with negative days it has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        pem = self._certificate(subject, key.public_key(), host, days).public_bytes(Encoding.PEM)
        path = self._folder / f"{name}.pem"
        path.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path

    def server(self, certificate: Path, *, clients: bool = False) -> ssl.SSLContext:
        """What a server needs; with `clients`, certificates of ours are asked for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if clients:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _certificate(self, subject: x509.Name, key: Any, host: str | None, days: int) -> x509.Certificate:
        begin, end = NOW - dt.timedelta(days=90), NOW + dt.timedelta(days=days or 90)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if host is None:
            usage = [False, False, False, False, False, True, True, False, False]
            made = made.add_extension(x509.KeyUsage(*usage), critical=True)
        else:
            names: list[x509.GeneralName] = (
                [x509.IPAddress(ipaddress.ip_address(host))] if host[0].isdigit() else [x509.DNSName(host)]
            )
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self._key, hashes.SHA256())
