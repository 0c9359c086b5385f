"""A server with small machines to learn from: what tests of models and detections ask of `ServerProcess`."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.server_process import Answer, ServerProcess

MULTIVARIATE = "/anomalydetector/v1.1/multivariate/"


class ModelServer(ServerProcess):
    """A server whose data root is `data`, and whose trainings are short.

    Parameters
    ----------
    folder : Path
        State, data, log and configuration lie in it.
    settings : str
        More lines of ``[server]``.
    arguments : sequence of str
        More options.
    """

    def __init__(self, folder: Path, settings: str = "", arguments: Sequence[str] = (), **given: Any) -> None:
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        config = folder / "server.toml"
        config.write_text(f"[server]\nepochs = 2\n{settings}\n")
        # one thread: waiting threads of OpenMP are dear where many tests share two processors
        env = {"OMP_NUM_THREADS": "1", **(given.pop("env", None) or {})}
        super().__init__(
            folder, ["-c", str(config), "--data-root", str(self.data), *arguments], env=env, **given
        )

    def v11(self, method: str, path: str, body: object = None, **given: Any) -> Answer:
        """A multivariate call of v1.1."""
        return self.ask(method, MULTIVARIATE + path, body, **given)

    def train(self, source: str = "machine.csv", **more: object) -> str:
        """Ask for a model of `machine`; gives its id."""
        answer = self.v11("POST", "models", train_body(source, **more))  # type: ignore[arg-type]
        assert answer.status == 201, answer
        return str(answer.json()["modelId"])

    def detect(self, model: str, source: str = "machine.csv", *, first: int = 300, last: int = 399) -> str:
        """Ask for a detection over some rows; gives the id of the result."""
        body = {"dataSource": source, "startTime": stamp(first), "endTime": stamp(last)}
        answer = self.v11("POST", f"models/{model}:detect-batch", body)
        assert answer.status == 202, answer
        return str(answer.json()["resultId"])

    def wait(self, path: str, *, seconds: float = 180.0, **given: Any) -> dict[str, Any]:
        """Poll a model or a result until it is finished."""
        end = time.monotonic() + seconds
        while True:
            document: dict[str, Any] = self.v11("GET", path, **given).json()
            if status_of(document) in ("READY", "FAILED"):
                return document
            assert time.monotonic() < end, document
            time.sleep(0.1)

    def wait_for_worker(self, *, seconds: float = 30.0) -> int:
        """The process of a job, once there is one."""
        end = time.monotonic() + seconds
        while not (found := self.workers()):
            assert time.monotonic() < end, "no job began"
            time.sleep(0.01)
        return found[0]

    def workers(self) -> list[int]:
        """Processes of jobs."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.process.pid and b"edgead.server.worker" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found


def status_of(document: dict[str, Any]) -> str:
    """Of a model or a result."""
    return str((document.get("summary") or document["modelInfo"])["status"])


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def machine(rows: int = 400, variables: Sequence[str] = ("flow", "current"), *, fault: int = 0) -> np.ndarray:
    """Rows of a coupled machine, a minute apart; the last variable is off for the last `fault` rows."""
    rng = np.random.default_rng(5)
    load = np.convolve(rng.standard_normal(rows + 20), np.ones(20) / 20, "valid")[:rows]
    table = np.stack(
        [10.0 + (at + 1) * load + 0.05 * rng.standard_normal(rows) for at in range(len(variables))], 1
    )
    if fault:
        table[-fault:, -1] += 6.0
    return table


def stamp(row: int) -> str:
    """Time of a row of `machine`."""
    return str(np.datetime64("2024-01-01T00:00:00") + np.timedelta64(row, "m")) + "Z"


def write_table(path: Path, table: np.ndarray, variables: Sequence[str] = ("flow", "current")) -> None:
    """One CSV with every variable."""
    lines = [",".join(["timestamp", *variables])]
    lines += [",".join([stamp(at), *(f"{value:.17g}" for value in row)]) for at, row in enumerate(table)]
    path.write_text("\n".join(lines) + "\n")


def train_body(source: object, rows: int = 400, *, window: int = 28, **more: object) -> dict[str, object]:
    """A small training."""
    return {
        "dataSource": str(source),
        "startTime": stamp(0),
        "endTime": stamp(rows - 1),
        "slidingWindow": window,
        **more,
    }
