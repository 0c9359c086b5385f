"""SIGKILL of the server, or of a job's process, at any moment of trainings and detections."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edgead.store.jobs import JobStore
from tests.served import ModelServer, machine, status_of, write_table

SEED = 6
#: Of both kinds together.
KILLS = 50 if os.environ.get("EDGEAD_SOAK") else 5
#: Trainings that may wait at a time.
HEAP = 4
#: A job takes about so long on an idle machine, most of it a training.
LONGEST_S = 4.0


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_every_job_ends_and_no_result_is_lost(tmp_path: Path):
    """After every kill: old results as they were, jobs begun again, and in the end none without an end."""
    draw = random.Random(SEED)
    server = ModelServer(tmp_path, "jobs = 2")
    write_table(server.data / "machine.csv", machine(fault=10))
    found: dict[str, dict[str, Any]] = {}
    with server:
        ready = server.train()
        assert status_of(server.wait(f"models/{ready}")) == "READY"
        models = [ready]
        for kill in range(KILLS):
            if len(models) > HEAP:
                server.wait(f"models/{models[-HEAP]}", seconds=600)
            models.append(server.train())
            asked = [server.detect(ready, first=first) for first in (50, 300)]
            found |= {result: {} for result in asked}
            time.sleep(draw.uniform(0.0, LONGEST_S))
            _note_finished(server, found)
            _kill(server, draw, worker=kill % 2 == 1)
            _check_finished(server, found)
        ended = [server.wait(f"models/{model}", seconds=600) for model in models]
        ended += [server.wait(f"detect-batch/{result}", seconds=600) for result in found]
        for document in ended:
            errors = (document.get("summary") or document["modelInfo"])["errors"]
            assert (status_of(document) == "READY") != bool(errors), (SEED, document)
            assert all("was begun" in error["message"] for error in errors), (SEED, document)
        _check_finished(server, found)
        assert sum(status_of(document) == "READY" for document in ended) > len(ended) // 4, SEED
    assert server.workers() == []
    _check_store(server.state / "server", [document.get("modelId", "") for document in ended])


def _kill(server: ModelServer, draw: random.Random, *, worker: bool) -> None:
    """Kill a job's process, if there is one just then, or the server, which is then started again."""
    workers = server.workers()
    if worker and workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(draw.choice(workers), signal.SIGKILL)
        return
    server.kill()
    deadline = time.monotonic() + 10.0
    while any(_alive(pid) for pid in workers):  # they notice that nobody listens
        assert time.monotonic() < deadline, "a job outlived its server"
        time.sleep(0.02)
    server.start()


def _note_finished(server: ModelServer, found: dict[str, dict[str, Any]]) -> None:
    for result, known in found.items():
        document = server.v11("GET", f"detect-batch/{result}").json()
        if not known and status_of(document) == "READY":
            found[result] = document


def _check_finished(server: ModelServer, found: dict[str, dict[str, Any]]) -> None:
    for result, known in found.items():
        if known:
            assert server.v11("GET", f"detect-batch/{result}").json() == known, SEED


def _check_store(folder: Path, models: list[str]) -> None:
    store = JobStore.open(folder, now_ns=0)
    with contextlib.closing(store):
        assert (store.notices, store.problems()) == ([], [])
        rows = [row for key in store.models() if (row := store.model(key)) is not None]
        ready = {row.id for row in rows if row.status == "READY"}
    assert {path.stem for path in (folder / "models").iterdir()} == ready
    assert set(filter(None, models)) >= ready
    assert list((folder / "work").iterdir()) == []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
