"""A real mosquitto for tests: own configuration, free loopback port, killed and brought back at will.

::

    with Mosquitto(tmp_path, persistence=True) as broker:
        client.connect("127.0.0.1", broker.port)
        broker.kill()          # SIGKILL: what was not saved is lost
        broker.start()         # the same port, the same persistence file

"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

SHIPPED_CONFIG = Path(__file__).parent.parent / "firmware-config" / "mosquitto"
READY_WITHIN_S = 20.0


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """One broker process with a configuration of its own.

    Parameters
    ----------
    folder : Path
        Where configuration, log and persistence file go; one folder a broker.
    persistence : bool
        Keep sessions and queued messages in a file that is saved after every change (so that SIGKILL loses
        next to nothing).  False: everything lives in memory and a kill loses it.
    shipped : bool
        Include the project's own ``firmware-config/mosquitto/edgead.conf``; with `persistence` its rare saves are
        replaced by ours after every change.
    config : str
        More configuration lines, after ours.
    anonymous : bool
        Let clients in without a name.
    tls : tuple of (ca, cert, key), optional
        Serve TLS with this certificate instead of plain TCP.
    """

    def __init__(
        self,
        folder: Path,
        *,
        persistence: bool = False,
        shipped: bool = False,
        config: str = "",
        anonymous: bool = True,
        tls: tuple[Path, Path, Path] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_path = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = [f"allow_anonymous {str(anonymous).lower()}"]
        if os.geteuid() == 0:
            self._lines.append("user root")
        if persistence:
            self._lines += ["persistence true", f"persistence_location {folder}/"]
            self._lines += ["autosave_on_changes true", "autosave_interval 1"]
        if not shipped and "max_queued_messages" not in config:
            # a test that is slow, for a machine that is, loses nothing: by default 1000 wait for a client at most
            self._lines.append("max_queued_messages 100000")
        if shipped:
            self._lines += [
                line for line in _shipped_lines(folder) if line.split()[0] not in self._settings()
            ]
        self._listener = []
        if tls is not None:
            ca, cert, key = tls
            self._listener += [f"cafile {ca}", f"certfile {cert}", f"keyfile {key}"]
        self._config = config

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _settings(self) -> set[str]:
        return {line.split()[0] for line in self._lines}

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything the broker has logged since the folder was made."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        """Start (again, on the same port) and wait until connections are accepted."""
        if self._process is not None:
            raise AssertionError("the broker is running already")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "mosquitto.conf"
        listener = [f"listener {self.port} 127.0.0.1", *self._listener]
        path.write_text("\n".join([*self._lines, *listener, self._config]) + "\n")
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [_binary(), "-v", "-c", str(path)], stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._process = None
                raise AssertionError(f"mosquitto did not start:\n{self.log[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.kill()
        raise AssertionError(f"mosquitto was not ready within {READY_WITHIN_S} s:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """Let it save and end (SIGTERM); nothing to do when it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no farewell, no last save."""
        self._end(signal.SIGKILL)

    def save(self) -> None:
        """Make it write its persistence file now (SIGUSR1), and wait for that.

        Without it a kill loses what is on its way to a client that is connected: mosquitto saves for
        changes of subscriptions, retained messages and messages of clients that are away, not for those.
        """
        saved = self.log.count("Saving in-memory database")
        os.kill(self.pid, signal.SIGUSR1)
        deadline = time.monotonic() + READY_WITHIN_S
        while self.log.count("Saving in-memory database") == saved:
            assert time.monotonic() < deadline, "mosquitto did not save"
            time.sleep(0.01)
        time.sleep(0.05)  # the line is logged before the file is renamed into place

    def restart(self) -> None:
        """SIGKILL, then start on the same port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze the process: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if number != signal.SIGKILL:
            process.send_signal(signal.SIGCONT)  # a frozen process hears SIGTERM only after this
        process.send_signal(number)
        try:
            process.wait(timeout=READY_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _shipped_lines(folder: Path) -> list[str]:
    """Settings of the shipped configuration, with its files in `folder`."""
    text = (SHIPPED_CONFIG / "edgead.conf").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [
        f"persistence_location {folder}/" if line.startswith("persistence_location") else line
        for line in lines
    ]


def _binary() -> str:
    """Path of the broker; Debian keeps it in /usr/sbin, which is not on every user's PATH."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    assert found, "mosquitto is needed for these tests (Debian package: mosquitto)"
    return found
