"""A device for which onnxruntime has no wheel: `default` is the light detector there, said wherever one looks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgead.univariate.streaming import FALLBACK

ROOT = Path(__file__).resolve().parents[2]
#: The command line with onnxruntime blocked, as far as imports can tell not installed; and with it.
BLOCKED = "import sys; sys.modules['onnxruntime'] = None; "
CALL = (
    "import sys; import edgead.univariate.streaming as s; s.BEST = 'srcnn'; "
    "from edgead.cli import call; sys.exit(call(sys.argv[1:]))"
)


def edgead(*arguments: object, blocked: bool) -> subprocess.CompletedProcess[str]:
    code = (BLOCKED if blocked else "") + CALL
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)


def config(folder: Path, detector: str = "default") -> Path:
    path = folder / "gateway.toml"
    path.write_text(
        f'[node]\nstate_dir = "{folder}/state"\n[[series]]\ntopic = "plant/a"\ndetector = "{detector}"\n'
    )
    return path


def recording(folder: Path) -> Path:
    path = folder / "a.csv"
    rows = [f"{1_700_000_000 + i},{10 + (7 * i % 11) / 10 + (50 if i == 500 else 0)}" for i in range(600)]
    path.write_text("\n".join(["timestamp,value", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("blocked", "found"), [(True, FALLBACK), (False, "srcnn")], ids=["without onnxruntime", "with it"]
)
def test_check_says_what_default_is_and_detect_runs_it(tmp_path: Path, blocked: bool, found: str):
    checked = edgead("check", "-c", config(tmp_path), blocked=blocked)
    assert checked.returncode == 0, checked.stderr
    assert f"default = {found}, window 1440" in checked.stdout
    note = f'note: detector "default" is {FALLBACK} here, not srcnn: onnxruntime is not installed'
    assert (note in checked.stdout) is blocked
    detected = edgead("detect", recording(tmp_path), "--events", blocked=blocked)
    assert detected.returncode == 0, detected.stderr
    events = [json.loads(line) for line in detected.stdout.splitlines()]
    assert events
    assert {event["model"].partition("@")[0] for event in events} == {found}


def test_asking_for_the_network_without_onnxruntime_is_a_mistake_of_the_file(tmp_path: Path):
    path = config(tmp_path, "srcnn")
    checked = edgead("check", "-c", path, blocked=True)
    assert checked.returncode == 2
    (line,) = checked.stderr.splitlines()
    assert f'{path}:5: series[0].detector = "srcnn": expected "default", which takes what there is' in line
    assert "onnxruntime is not installed" in line
    detected = edgead("detect", recording(tmp_path), "--detector", "srcnn", blocked=True)
    assert detected.returncode == 2
    assert "--detector srcnn: onnxruntime is not installed" in detected.stderr
    assert "Traceback" not in detected.stderr
    assert edgead("check", "-c", path, blocked=False).returncode == 0


def test_info_and_status_tell_it(tmp_path: Path):
    code = (
        f"{BLOCKED}import edgead.univariate.streaming as s; s.BEST = 'srcnn'; "
        "from edgead import agent; from edgead.config import load; import sys; "
        "made = agent.build(load(sys.argv[1])); info = []; "
        "made._link.publish = lambda topic, payload, **_: info.append(payload); made._introduce(10**18); "
        "made.saving.commit(10**18, everything=True); made.saving.close(); print(info[0].decode())"
    )
    command = [sys.executable, "-c", code, str(config(tmp_path))]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=True)
    info = json.loads(told.stdout.splitlines()[-1])
    assert info["default_detector"] == FALLBACK
    assert "onnxruntime is not installed" in info["default_reason"]
    assert info["models"] == {}
    assert "not the best detector" in told.stderr
    status = edgead("status", "-c", config(tmp_path), blocked=True)
    assert status.returncode == 0, status.stderr
    assert f'note: detector "default" is {FALLBACK} here, not srcnn' in status.stdout
