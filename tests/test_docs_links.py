"""The documents agree with the tree: links, anchors, files, tests, decisions and commands that they name exist."""

import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

from edgead.cli import cli

ROOT = Path(__file__).parents[1]
ADR = ROOT / "docs" / "adr"
TEXT = {".md", ".toml", ".service", ".timer", ".conf", ".sh", ".h", ".py"}


@cache
def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split("\n")


def documents() -> list[str]:
    return [name for name in tracked() if name.endswith(".md")]


@cache
def prose(name: str) -> str:
    """Without fenced code, whose lines may look like headings and links."""
    return re.sub(r"^```.*?^```", "", (ROOT / name).read_text(), flags=re.S | re.M)


@cache
def anchors(path: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", prose(path.relative_to(ROOT).as_posix()), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.append(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return {
        f"{name}-{found[:at].count(name)}" if name in found[:at] else name for at, name in enumerate(found)
    }


@pytest.mark.parametrize("name", documents())
def test_every_link_leads_to_a_file_and_a_heading(name: str):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.resolve()), link


@pytest.mark.parametrize("name", documents())
def test_every_file_of_ours_that_is_named_exists(name: str):
    """Python, C and shell files by their name, others by a path from the root of the tree."""
    top = {path.split("/")[0] for path in tracked()}
    for named in re.findall(r"`([\w.*/-]+\.\w+)`", prose(name)):
        if "*" in named or named.startswith("/"):
            continue
        if (
            named.endswith((".py", ".h", ".sh"))
            or (named.endswith(".c") and named.count(".") == 1)
            or named.split("/")[0] in top - {"models"}
        ):
            assert any(f"/{path}".endswith(f"/{named}") for path in tracked()), named


def test_every_decision_is_listed_with_its_title():
    titles = {path.name: path.read_text().split("\n", 1)[0] for path in sorted(ADR.glob("0*.md"))}
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+?) \|", (ADR / "README.md").read_text(), re.M)
    assert [(name, f"# {number} {title}") for number, name, title in listed] == list(titles.items())
    assert all(name.startswith(f"{number}-") for number, name, _ in listed)


def test_every_decision_that_is_named_exists():
    known = {path.name[:4] for path in ADR.glob("0*.md")}
    for name in tracked():
        if Path(name).suffix in TEXT:
            for number in re.findall(r"(?:ADR|adr/|decision) \[?(\d{4})\b", (ROOT / name).read_text()):
                assert number in known, (name, number)


def commands() -> list[tuple[str, str]]:
    """Every command line of edgead in fenced or indented code of the documents."""
    found = []
    for name in documents():
        text = (ROOT / name).read_text()
        code = re.findall(r"^```(?:sh|console|)\n(.*?)^```", text, re.S | re.M) + re.findall(
            r"^ {4,}(edgead .*(?:\\\n.*)*)", text, re.M
        )
        for line in "\n".join(code).replace("\\\n", " ").split("\n"):
            if line.removeprefix("$ ").strip().startswith("edgead "):
                found.append((name, line.removeprefix("$ ").strip()))
    return found


def options_of(words: list[str]) -> set[str]:
    """Options that a command line may have; KeyError where there is no such command."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        command = command.commands[word]
    return {option for one in (cli, command) for each in one.params for option in each.opts} | {"--help"}


@pytest.mark.parametrize(("name", "line"), commands())
def test_every_command_line_names_a_command_and_its_options(name: str, line: str):
    words = shlex.split(line, comments=True)[1:]
    assert {word for word in words if word.startswith("-") and len(word) > 1} <= options_of(words)


def test_the_picture_of_the_architecture_is_the_one_that_is_checked():
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [sorted(re.findall(r"\w+", layer)) for layer in contract["layers"]]
    chain = re.search(r"`(cli > .*?)`", architecture.replace("\n", " "))
    assert chain is not None
    assert [sorted(re.findall(r"\w+", layer)) for layer in chain[1].split(">")] == layers[1:]
    for module in (name for layer in layers for name in layer if not name.startswith("_")):
        folder = (ROOT / "edgead" / module).is_dir()
        assert f"`edgead/{module}/`" in architecture if folder else f"{module}.py`" in architecture, module


def test_the_changelog_says_everything_once_and_in_a_line_of_its_own():
    lines = [line for line in (ROOT / "CHANGELOG.md").read_text().split("\n") if line.startswith("- ")]
    assert len(lines) == len(set(lines))
    assert [line for line in lines if re.search(r"[.;]- ", line)] == []
