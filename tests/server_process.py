"""``edgead serve`` as a process of its own on a free port, killed and brought back at will."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

READY_WITHIN_S = 30.0


class Answer(NamedTuple):
    """Status, headers (names in lower case) and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code, in whichever shape."""
        body = self.json()
        return str(body.get("error", body)["code"])


class ServerProcess:
    """A server on a folder of the test.

    Parameters
    ----------
    folder : Path
        State and log lie in it.
    arguments : sequence of str
        Options besides ``--port`` and ``--state-dir``.
    key : str, optional
        Sent with `ask`; with a key the server gets a keys file in which it belongs to ``test``.
    env : mapping of str to str, optional
        Added to the environment.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str] = (),
        *,
        key: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.state = folder / "state"
        self.log = folder / "server.log"
        self.key = key
        self.url = ""
        self._arguments = list(arguments)
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        if key:
            (folder / "keys").write_text(f"test:{key}\n")
            self._arguments += ["--keys-file", str(folder / "keys")]

    def start(self, port: int = 0) -> None:
        """Start it, and wait until it listens; `url` is known then."""
        began = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edgead", "serve", "--port", str(port)]
                + ["--state-dir", str(self.state), *self._arguments],
                stderr=log,
                env=self._env,
            )
        try:
            self.url = self._listening(began)
        except AssertionError:
            self.kill()
            raise

    def _listening(self, began: int) -> str:
        until = time.monotonic() + READY_WITHIN_S
        while not (
            told := re.search(rb'listening.*url"?[=:] ?"?(http[^\s"]+)', self.log.read_bytes()[began:])
        ):
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < until, "the server did not listen in time"
            time.sleep(0.02)
        return told[1].decode()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        context: Any = None,
        timeout: float = 60.0,
    ) -> Answer:
        """One request; a body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        told = {"Content-Type": "application/json", "Ocp-Apim-Subscription-Key": self.key, **(headers or {})}
        request = urllib.request.Request(self.url + path, data, told, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
                return Answer(answer.status, _lower(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _lower(error.headers), error.read())

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(READY_WITHIN_S)

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self.stop()


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
