"""Runs Python on a build of the extension with AddressSanitizer and UndefinedBehaviorSanitizer.

As a program, from the repository root::

    python tests/sanitized.py -m pytest tests/property
    python tests/sanitized.py some_fuzzer.py --seed 3

From a test::

    done = sanitized.run("-c", "from edgead import native; ...")
    assert done.returncode == 0, done.stderr

The build lies in build/asan and is brought up to date on first use.  A memory error ends the child with EXIT_CODE and
names the line of C on stderr.  Leaks are not looked for: the core has no heap, and Python keeps memory on
purpose.
"""

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "asan"
EXIT_CODE = 99


@functools.cache
def build() -> Path:
    """Bring the sanitized build up to date; the folder to import `edgead` from.  Safe from several processes."""
    BUILD.mkdir(parents=True, exist_ok=True)
    folders = ["--build-lib", str(BUILD / "lib"), "--build-temp", str(BUILD / "temp")]
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "setup.py", "-q", "build", *folders],
            cwd=ROOT,
            env=os.environ | {"EDGEAD_SANITIZE": "1"},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(f"the sanitized build failed:\n{done.stdout}{done.stderr}")
    return BUILD / "lib"


def environment() -> dict[str, str]:
    """The environment a Python process needs to load the sanitized build in place of the ordinary one."""
    compiler = os.environ.get("CC", "gcc").split()[0]
    found = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    return os.environ | {
        "LD_PRELOAD": found.stdout.strip(),
        "ASAN_OPTIONS": f"detect_leaks=0:exitcode={EXIT_CODE}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:exitcode={EXIT_CODE}",
        "PYTHONMALLOC": "malloc",  # small objects too lie between red zones
        "EDGEAD_HYPOTHESIS_PROFILE": "sanitized",  # fewer examples: everything is several times slower
        "PYTHONPATH": os.pathsep.join([str(build()), str(ROOT)]),
        "PYTHONSAFEPATH": "1",  # or the script's own folder, the root, would shadow the build
    }


def command(*arguments: str) -> list[str]:
    """The command line; pytest is told to leave the root out of its path."""
    if arguments[:2] == ("-m", "pytest"):
        arguments = ("-m", "pytest", "-o", "pythonpath=", "-p", "no:cacheprovider", *arguments[2:])
    return [sys.executable, *arguments]


def run(*arguments: str, timeout: float = 600, **more: object) -> subprocess.CompletedProcess[str]:
    """Run ``python *arguments`` on the sanitized build from the root and wait; output captured as text."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(),
        timeout=timeout,
        capture_output=True,
        text=True,
        **more,
    )


if __name__ == "__main__":
    os.chdir(ROOT)
    os.execve(sys.executable, command(*sys.argv[1:]), environment())
