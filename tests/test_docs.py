"""What can be set, called or seen is documented, and what the documents state is so."""

import io
import re
from pathlib import Path
from typing import get_type_hints

import click
import pytest

from edgead.agent.vitals import Vitals, to_health
from edgead.cli import cli
from edgead.config import MqttConfig, TlsConfig, UplinkConfig, UplinkDataConfig, parse
from edgead.config.settings import BLOCKS, TABLES, Section
from edgead.config.units import parse_duration, parse_size
from edgead.errors import ConfigError
from edgead.uplink.reasons import REASONS
from edgead.uplink.signed import DAYS

ROOT = Path(__file__).parents[1]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()

SECTIONS = {
    **{f"## `[{name}]`": kind for name, kind in TABLES.items()},
    "### `[mqtt.tls]`": TlsConfig,
    "### `[uplink.data]`": UplinkDataConfig,
    **{f"## `[[{name}]]`": kind for name, (kind, _) in BLOCKS.items()},
}


def rows_below(heading: str) -> dict[str, str]:
    """Key to documented default of the table below a heading."""
    part = CONFIGURATION.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", part, re.M))


@pytest.mark.parametrize(("heading", "kind"), SECTIONS.items())
def test_every_setting_is_documented_with_its_default(heading: str, kind: type[Section]):
    rows = rows_below(heading)
    tables = {(MqttConfig, "tls"), (UplinkConfig, "data")}  # with a heading of their own
    expected = {name for name in get_type_hints(kind) if (kind, name) not in tables}
    assert rows.keys() == expected
    for name, text in rows.items():
        if text:
            required = next((keys for block, keys in BLOCKS.values() if block is kind), ())
            default = getattr(kind(**dict.fromkeys(required, "")), name)
            assert default in (readings := _as_read(text)), (name, default, readings)


def _as_read(text: str) -> list[object]:
    """What a documented default may stand for: the text itself, a switch, a number, a duration or a size."""
    bare = text.strip('"')
    read: list[object] = [bare, {"true": True, "false": False}.get(bare, bare)]
    for reader in (int, float, parse_duration, parse_size):
        try:
            read.append(reader(bare))
        except ValueError:
            continue
    return read


UPLINK = (ROOT / "docs" / "uplink.md").read_text()


def test_every_refusal_of_a_sync_is_documented():
    part = UPLINK.split("\n### Why something was refused\n", 1)[1].split("\n### ", 1)[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", part, re.M) == sorted(REASONS, key=part.index)
    assert set(re.findall(r"^\| `([a-z-]+)` \|", part, re.M)) == set(REASONS)


def test_how_long_signatures_last_is_documented():
    part = UPLINK.split("\n### How long signatures last\n", 1)[1].split("\n### ", 1)[0]
    assert {role: int(days) for role, days in re.findall(r"^\| (\w+) \| (\d+) \|", part, re.M)} == DAYS


def mistake_rows() -> list[tuple[str, str]]:
    part = CONFIGURATION.split("\n## Mistakes\n", 1)[1]
    rows = []
    for line in part.split("\n"):
        if line.startswith("| `"):
            file, message = (re.findall(r"`([^`]*)`", cell) for cell in line.strip("|").split(" | "))
            rows.append(("\n".join(file), message[0]))
    return rows


def test_the_table_of_mistakes_is_long_enough():
    assert len(mistake_rows()) >= 20


@pytest.mark.parametrize(("text", "message"), mistake_rows())
def test_a_documented_mistake_gives_its_documented_message(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "gw.toml")
    assert caught.value.mistakes == [message]


#: What may be missing where a sample is read without the files and blocks around it.
AROUND = ("no such file", "no such folder", "expected a series that a", "url is missing")
SAMPLES = [
    text
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for text in re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.S | re.M)
]


@pytest.mark.parametrize("text", SAMPLES)
def test_every_sample_of_a_configuration_is_right(text: str):
    mistakes: list[str] = []
    try:
        parse(text.encode(), "gw.toml")
    except ConfigError as error:
        mistakes = error.mistakes
    assert [each for each in mistakes if not any(part in each for part in AROUND)] == []


COMMANDS = (ROOT / "docs" / "commands.md").read_text()


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_and_option_is_documented(name: str):
    part = COMMANDS.split(f"\n## `edgead {name}", 1)[1].split("\n## ", 1)[0]
    documented = set(re.findall(r"`(--?[a-z0-9-]+)`", "".join(re.findall(r"^\| (`-.*?) \|", part, re.M))))
    command = cli.commands[name]
    below = list(command.commands.values()) if isinstance(command, click.Group) else []
    options = {
        option
        for one in (command, *below)
        for parameter in one.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert documented == options


def test_no_command_is_documented_that_does_not_exist():
    assert set(re.findall(r"^## `edgead (\w+)", COMMANDS, re.M)) == set(cli.commands)


OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_every_metric_of_the_agent_is_documented():
    counts = dict.fromkeys(get_type_hints(Vitals), 1)
    vitals = Vitals(**{**counts, "dropped": {"late": 1}, "problems": [], "clock": "trusted"})
    names = {f"edgead_{metric.name}" for metric in to_health(vitals).metrics}
    part = OPERATIONS.split("\n## Probes and metrics\n", 1)[1].split("\n### ", 1)[0]
    rows = re.findall(r"^\| (`edgead_.*?) \|", part, re.M)
    assert set(re.findall(r"`(edgead_\w+)", "".join(rows))) == names


def test_every_cause_of_a_drop_is_documented():
    part = OPERATIONS.split("\n### What is counted\n", 1)[1].split("\n## ", 1)[0]
    documented = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", part, re.M))))
    counted = {"command_retained", "command_failed", "uplink_full", "uplink_data"}
    for name in ("agent/intake.py", "stream/series.py", "stream/engine.py"):
        text = (ROOT / "edgead" / name).read_text()
        for key in re.findall(r"\bcounts\[(.*?)\] \+=", text):
            counted |= set(re.findall(r'(?<!f)"(\w+)"', key))
    assert documented == {name for name in counted if not name.startswith("payload_")} - {"readings"}


# ---------------------------------------------------------------- the HTTP API

HTTP_API = (ROOT / "docs" / "http-api.md").read_text()


@pytest.fixture(scope="module")
def routes(tmp_path_factory) -> list[str]:
    """Paths of every route, versions and names in braces as the document has them."""
    from edgead.server.app import MODULES
    from edgead.server.context import ServerContext
    from edgead.server.settings import ServerSettings

    context = ServerContext.of(ServerSettings(state_dir=str(tmp_path_factory.mktemp("state"))))
    paths = {route.path for module in MODULES for route in module(context)}
    context.turns.close()
    return sorted(re.sub(r"/v1\.[01](-preview(\.1)?)?/", "/{version}/", path) for path in paths)


def test_every_route_is_documented(routes: list[str]):
    """By its whole path, or below the heading that names the beginning of it."""
    plain = re.sub(r"\{(model|result)_id\}", lambda match: "{" + match[1] + "Id}", HTTP_API)
    for path in routes:
        path = re.sub(r"\{(model|result)_id\}", lambda match: "{" + match[1] + "Id}", path)
        path = re.sub(r"timeseries/\w+/", "timeseries/{mode}/", path)
        short = path.removeprefix("/anomalydetector/{version}/multivariate/")
        short = re.sub(r"^/pages/.*", "/pages/{name}", short)
        short = re.sub(r"/\{again\}$", "", short)  # a client that appends the id to a link that has it
        assert f"{short}`" in plain or f"{short}?" in plain, path


def test_every_addition_is_in_the_description_of_the_api(routes: list[str]):
    from edgead.server.description import describe

    described = {path.replace("Id}", "_id}") for path in describe()["paths"]}
    for path in routes:
        if path.startswith("/edgead/v1/") and "tuf" not in path:
            assert path in described, path


def test_every_code_of_a_refusal_is_documented():
    told = HTTP_API + UPLINK + COMMANDS + (ROOT / "docs" / "moving-from-azure.md").read_text()
    for path in (ROOT / "edgead" / "server").rglob("*.py"):
        codes = re.findall(r'(?:code=|Error\(\d+, )"([A-Z]\w+)"', path.read_text())
        assert [code for code in codes if f"`{code}`" not in told and f'"{code}"' not in told] == [], path


def test_every_metric_of_the_server_is_documented():
    from edgead.server.measures import Measures

    ours = re.findall(r"^# TYPE (edgead_\w+)", Measures().render().decode(), re.M)
    documented = set(re.findall(r"`(edgead_\w+)", HTTP_API))
    assert {name for name in ours if not name.endswith("_created")} <= documented


def test_the_first_call_of_the_http_api_gives_its_documented_answer():
    import json

    from edgead import detect

    asked, answer = re.search(r"-d '(\{.*?\})'\n(\{.*?\})\n```", HTTP_API, re.S).groups()
    assert detect("last", json.loads(asked)) == pytest.approx(json.loads(answer))


def test_the_sample_of_the_readme_runs(capsys: pytest.CaptureFixture[str]):
    (sample,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(compile(sample, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("True ")


@pytest.mark.parametrize("at", range(2))
def test_the_samples_of_the_model_package_run(at: int, monkeypatch: pytest.MonkeyPatch):
    samples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "model-package.md").read_text(), re.S)
    assert len(samples) == 2
    monkeypatch.chdir(ROOT / "models")
    monkeypatch.setattr(
        "builtins.open", lambda path, mode: io.BytesIO(Path(path).read_bytes())
    )  # which nobody closes
    exec(compile(samples[at], "docs/model-package.md", "exec"), {})
