"""The command line itself: help, errors and exit codes, speed of starting."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

from edgead import __version__
from edgead.cli import call, cli

COMMANDS = sorted(cli.commands)
PROFILES = Path(__file__).parents[3] / "firmware-config" / "profiles"


def test_the_commands_are_those_of_the_documents():
    assert {"run", "check", "detect", "replay", "status", "demo"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_has_examples(edgead, command: str):
    ran = edgead(command, "--help")
    assert ran.code == 0
    assert f"Examples:\n    edgead {command}" in ran.out.replace("      ", "    ")


def test_without_a_command_the_help_is_shown(edgead):
    ran = edgead()
    assert (ran.code, ran.err) == (0, "")
    assert "Commands:" in ran.out


def test_the_version(edgead):
    assert edgead("--version").out == f"edgead {__version__}\n"


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        (
            "ApikKey=s3cret",
            "'ApikKey=': expected an option, or one of the former container's Eula=..., Billing=",
        ),
        ("ApikKey=s3cret", 'did you mean "ApiKey"?'),
        ("Elua=s3cret", 'did you mean "Eula"?'),
        ("keys_file=s3cret", 'did you mean "--keys-file"?'),
        ("Port=s3cret", 'did you mean "--port"?'),
        ("xyzzy=s3cret", "'xyzzy='"),
        ("=s3cret", "'='"),
        ("Eula", "'Eula': expected an option"),
        ("server.toml", "'server.toml': expected an option"),
        ("Logging:Console:LogLevel:Default=s3cret", "optional setting of the former container"),
    ],
)
def test_serve_refuses_what_the_container_did_not_want_and_keeps_its_value_to_itself(
    edgead, argument: str, error: str
):
    ran = edgead("serve", "Eula=accept", argument)
    assert ran.code == 2
    assert error in ran.err
    assert "s3cret" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["frobnicate"], "No such command 'frobnicate'."),
        (["check"], "Missing option '-c' / '--config'."),
        (
            ["check", "-c", "none.toml"],
            "none.toml: cannot be read (No such file or directory), expected a TOML file",
        ),
        (["detect", "none.csv"], "none.csv: cannot be read (No such file or directory), expected a CSV file"),
        (["detect", "x.csv", "--window", "5"], "window: 5 is out of range, expected 12..8640"),
        (["detect", "x.csv", "--detector", "magic"], "detector: 'magic' is unknown"),
        (
            ["detect", "x.csv", "--interval", "soon"],
            "Invalid value for '--interval': 'soon': expected a duration",
        ),
        (["detect", "x.csv", "--series", "a"], "-c and --series belong together"),
        (
            ["replay", "x.csv", "--topic", "t", "--rate", "0"],
            "Invalid value for '--rate': '0': expected rows a second",
        ),
    ],
)
def test_a_failure_is_one_line_and_exit_code_2(edgead, arguments: list[str], error: str):
    ran = edgead(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"edgead: error: {error}")
    assert ran.err.count("\n") == 1


def test_every_mistake_of_a_configuration_has_its_line(edgead, tmp_path: Path):
    (tmp_path / "gw.toml").write_text("[mqtt]\nport = 0\n[http]\nlisten = 5\n")
    ran = edgead("check", "-c", tmp_path / "gw.toml")
    assert ran.code == 2
    assert [line.split(": ")[3].split(" ")[0] for line in ran.err.splitlines()] == [
        "mqtt.port",
        "http.listen",
    ]


@pytest.mark.parametrize("profile", sorted(PROFILES.glob("*.toml")), ids=lambda path: path.stem)
def test_each_profile_passes_edgead_check(edgead, profile: Path):
    ran = edgead("check", "-c", profile)
    assert (ran.code, ran.err) == (0, "")
    assert "note:" not in ran.out
    watched = "plant/{machine}/{variable} (value) as {machine}.{variable}: every 1s"
    lines = ["server   http://127.0.0.1:5000"] if profile.stem == "server" else [watched, "memory   at most "]
    assert all(line in ran.out for line in lines)


def test_check_says_what_may_not_have_been_meant(edgead, tmp_path: Path):
    (tmp_path / "gw.toml").write_text(
        '[mqtt]\nhost = "broker"\nusername = "u"\n[http]\nlisten = "0.0.0.0:1"\n[limits]\nmemory_budget = "1MiB"\n'
        '[[series]]\ntopic = "a/#"\n'
    )
    out = edgead("check", "-c", tmp_path / "gw.toml").out
    for part in (
        "can be reached from outside",
        "node.id is the default",
        "in clear",
        "1000 series can need more than limits.memory_budget; those that come last are refused",
    ):
        assert part in out


def test_several_blocks_with_wildcards_share_max_series_and_its_memory(edgead, tmp_path: Path):
    one = '[[series]]\ntopic = "a/#"\ndetector = "spectral-residual"\n'
    (tmp_path / "one.toml").write_text(one)
    (tmp_path / "three.toml").write_text(one + one.replace("a/#", "b/#") + one.replace("a/#", "c/+"))
    outs = [edgead("check", "-c", tmp_path / name).out for name in ("one.toml", "three.toml")]
    memory = [line for out in outs for line in out.splitlines() if line.startswith("  memory ")]
    assert memory[0] == memory[1]
    assert "for 1000 series" in memory[0]
    assert "note:" not in outs[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_password_for_this_machine_is_not_warned_of(edgead, tmp_path: Path, host: str):
    (tmp_path / "gw.toml").write_text(f'[mqtt]\nhost = "{host}"\nusername = "u"\n')
    assert "note:" not in edgead("check", "-c", tmp_path / "gw.toml").out


def test_check_shows_the_ids_that_topics_and_events_will_have(edgead, tmp_path: Path):
    (tmp_path / "gw.toml").write_text(
        '[[series]]\ntopic = "halle/Öfen"\n[[series]]\ntopic = "a/b"\nvalue = ["x", "y"]\n', encoding="utf-8"
    )
    out = edgead("check", "-c", tmp_path / "gw.toml").out
    assert "halle/Öfen (value) as halle._fen-" in out
    assert "a/b (x, y) as a.b.x, a.b.y: every 1s" in out


def test_a_state_directory_of_another_user_is_told_so(
    edgead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "gw.toml").write_text('[node]\nstate_dir = "state"\n')

    def refuse(folder: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("edgead.config.loading.os.listdir", refuse)
    ran = edgead("status", "-c", tmp_path / "gw.toml")
    assert ran.code == 1
    assert ran.err == (
        f"edgead: error: state directory {tmp_path}/state: Permission denied;"
        " run this as the user of the agent, or as root\n"
    )


def test_check_says_when_more_series_are_named_than_allowed(edgead, tmp_path: Path):
    blocks = "".join(f'[[series]]\ntopic = "a/{number}"\n' for number in range(3))
    (tmp_path / "gw.toml").write_text(f"[limits]\nmax_series = 2\n{blocks}")
    out = edgead("check", "-c", tmp_path / "gw.toml").out
    assert "note: 3 series are named here, more than limits.max_series = 2" in out


def test_a_file_without_series_is_right_and_says_so(edgead, tmp_path: Path):
    (tmp_path / "gw.toml").write_text("")
    assert "no [[series]] in the file" in edgead("check", "-c", tmp_path / "gw.toml").out


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    def broken(context: click.Context) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "invoke", broken)
    with pytest.raises(ZeroDivisionError):
        call(["check"])


def test_help_needs_neither_numpy_nor_msgspec():
    code = "import sys; from edgead.cli import call; call(['--help']); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout.split()
    assert not {"numpy", "msgspec", "paho", "sqlite3", "matplotlib"} & set(loaded)


def test_a_reader_that_stops_reading_is_no_failure(tmp_path: Path):
    (tmp_path / "r.csv").write_text("v\n" + "1\n" * 50_000)
    command = f"{sys.executable} -m edgead detect r.csv --format json | head -n 1"
    ran = subprocess.run(
        command, shell=True, cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())}, capture_output=True
    )
    assert ran.stderr == b""
    assert ran.stdout.count(b"\n") == 1


def test_a_progress_bar_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path):
    (tmp_path / "r.csv").write_text("v\n" + "1\n" * 20_000)
    command = [sys.executable, "-m", "edgead", "detect", str(tmp_path / "r.csv")]
    root = Path(__file__).parents[3]
    assert subprocess.run(command, capture_output=True, cwd=root, check=True).stderr == b""
    ours, theirs = pty.openpty()
    subprocess.run(command, stderr=theirs, stdout=subprocess.DEVNULL, cwd=root, check=True)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "judging" in shown
    assert "100%" in shown
