"""The unit file that we ship."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from edgead.cli.publish import publish

FIRMWARE = Path(__file__).parents[2] / "firmware-config"
UNIT = FIRMWARE / "systemd" / "edgead.service"


SERVER = FIRMWARE / "systemd" / "edgead-serve.service"


def settings(unit: Path = UNIT) -> dict[str, str]:
    """Last value of each key."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M))


def test_it_is_watched_and_has_a_user_of_its_own():
    unit = settings()
    assert (unit["Type"], unit["DynamicUser"], unit["RestartPreventExitStatus"]) == ("notify", "yes", "2")
    assert int(unit["WatchdogSec"]) > 0
    assert unit["ExecStart"] == "/usr/bin/edgead run -c /etc/edgead/edgead.toml"


def test_its_state_directory_is_that_of_the_gateway_profiles():
    for profile in ("gateway-512m", "gateway-2g"):
        node = tomllib.loads((FIRMWARE / "profiles" / f"{profile}.toml").read_text())["node"]
        assert node["state_dir"] == f"/var/lib/{settings()['StateDirectory']}"


def test_it_is_exposed_no_more_than_stated():
    analyze = shutil.which("systemd-analyze")
    if analyze is None:  # another init system: what the tool would have looked at
        assert {"ProtectSystem", "SystemCallFilter", "CapabilityBoundingSet"} <= settings().keys()
        return
    command = [analyze, "security", "--offline=true", "--no-pager", str(UNIT)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    exposure = re.search(r"Overall exposure level for edgead.service: ([0-9.]+)", printed)
    assert exposure is not None
    assert float(exposure[1]) <= 1.1


def test_the_publisher_signs_every_day_with_a_command_that_exists():
    unit = (FIRMWARE / "systemd" / "edgead-publish.service").read_text()
    timer = (FIRMWARE / "systemd" / "edgead-publish.timer").read_text()
    command = re.search(r"^ExecStart=/usr/bin/edgead (.*)$", unit, re.M)
    assert command is not None
    words = command[1].split()
    assert words[:2] == ["publish", "refresh"]
    known = {option for parameter in publish.commands["refresh"].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert "OnCalendar=daily" in timer
    assert "PrivateNetwork=yes" in unit


def test_the_server_has_a_unit_with_the_state_directory_of_its_profile():
    unit = settings(SERVER)
    node = tomllib.loads((FIRMWARE / "profiles" / "server.toml").read_text())["node"]
    assert node["state_dir"] == f"/var/lib/{unit['StateDirectory']}"
    assert unit["ExecStart"] == "/usr/bin/edgead serve -c /etc/edgead/server.toml"
    assert (unit["DynamicUser"], unit["RestartPreventExitStatus"]) == ("yes", "2")
    if analyze := shutil.which("systemd-analyze"):
        printed = subprocess.run([analyze, "verify", str(SERVER)], capture_output=True, text=True).stderr
        assert "Unknown" not in printed
