"""Programs in JavaScript with the retired service's client from npm, as the lock file fixes it."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

JS = Path(__file__).parent / "conformance" / "js"


def install() -> None:
    """``npm ci``, once for a lock file, however many tests ask at a time."""
    npm = shutil.which("npm")
    assert npm is not None, "the tests of the JavaScript client need npm (apt-get install npm)"
    with open(JS / "package-lock.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = JS / "node_modules" / ".installed"
        wanted = lock.read()
        if installed.exists() and installed.read_text() == wanted:
            return
        run = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=JS,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        installed.write_text(wanted)


def run_program(program: Path, given: Any, env: Mapping[str, str]) -> Any:
    """What a program prints as JSON, given JSON on stdin; it finds its packages in `JS`."""
    install()
    node = shutil.which("node")
    assert node is not None
    run = subprocess.run(
        [node, str(program)],
        input=json.dumps(given),
        env={**os.environ, **env},
        cwd=JS,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
