"""docs/mqtt-api.md says what the code does: every sample, topic, field, cause and verb."""

import json
import math
import re
from pathlib import Path

import msgspec
import pytest

from edgead.bridge import messages
from edgead.bridge.commands import VERBS, read_command
from edgead.bridge.payloads import CAUSES, MAX_VALUES, compile_decoder
from edgead.bridge.topics import NO_REQUEST, CommandAddress, TopicPattern, Topics

DOCUMENT = (Path(__file__).parents[3] / "docs" / "mqtt-api.md").read_text()
NS = 1_763_750_000_123 * 10**6
ARRIVAL_NS = NS + 10**9

MESSAGES: dict[str, type[messages.Message]] = {
    "status": messages.Status,
    "info": messages.Info,
    "health": messages.Health,
    "series/{id}/meta": messages.Meta,
    "series/{id}/state": messages.State,
    "series/{id}/anomaly": messages.EventMessage,
    "group/{id}/meta": messages.GroupMeta,
    "group/{id}/state": messages.GroupState,
    "group/{id}/anomaly": messages.GroupEventMessage,
    "deadletter": messages.DeadLetter,
    "cmd/{verb}/{request}/status": messages.CommandStatus,
}


def section(heading: str) -> str:
    """Text below a heading, up to the next one."""
    start = DOCUMENT.index(f"\n{heading}\n") + len(heading) + 2
    end = re.search(r"^##", DOCUMENT[start:], re.MULTILINE)
    return DOCUMENT[start : start + end.start()] if end else DOCUMENT[start:]


def rows(text: str) -> list[list[str]]:
    """Cells of the first table of a text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def code(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]*)`", cell)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_sample_has_exactly_the_fields_of_its_message(name: str) -> None:
    text = section(f"### `{name}`")
    (sample,) = re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)
    kind = MESSAGES[name]
    decoded = msgspec.json.decode(sample, type=kind)
    assert json.loads(decoded.encode()) == json.loads(sample)
    assert list(json.loads(sample)) == list(kind.__struct_fields__)
    documented = [field for row in rows(text) for field in code(row[0])]
    assert sorted(documented) == sorted(kind.__struct_fields__)


def test_every_message_has_its_section() -> None:
    kinds = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, messages.Message)
    }
    assert kinds - {messages.Message} == set(MESSAGES.values())


def test_every_topic_that_the_code_can_make_is_documented_and_no_other() -> None:
    documented = {code(row[0])[0] for row in rows(section("## Messages"))}
    topics = Topics("NODE")
    made = {
        topics.status,
        topics.info,
        topics.health,
        topics.deadletter,
        topics.command_status("VERB", "REQUEST"),
    }
    for leaf in ("meta", "state", "anomaly"):
        made |= {topics.series("ID", leaf), topics.group("ID", leaf)}
    made |= {topics.series("ID", "anomaly", replay=True), topics.group("ID", "anomaly", replay=True)}
    places = {"NODE": "{node}", "ID": "{id}", "VERB": "{verb}", "REQUEST": "{request}"}
    assert documented == {
        re.sub("NODE|ID|VERB|REQUEST", lambda found: places[found.group()], each) for each in made
    }


@pytest.mark.parametrize("row", rows(section("### Topics")), ids=lambda row: row[0])
def test_the_table_of_topics(row: list[str]) -> None:
    (topic,), reads, default, templated = code(row[0]), code(row[1]), code(row[2]), row[3]
    topic, reads = topic, reads or [topic]
    pattern = TopicPattern(topic)
    for each in reads:
        assert pattern.match(each) is not None
    bindings = pattern.match(reads[-1])
    assert bindings is not None
    assert [pattern.series_id(reads[-1], bindings)] == default
    if templated.startswith("refused"):
        with pytest.raises(ValueError, match="does not bind"):
            TopicPattern(topic, "{machine}.{variable}")
    else:
        assert [TopicPattern(topic, "{machine}.{variable}").series_id(reads[-1], bindings)] == code(templated)


@pytest.mark.parametrize("row", rows(section("### Payloads")), ids=lambda row: row[2])
def test_the_table_of_payloads(row: list[str]) -> None:
    (value,), time, (payload,) = code(row[0]), code(row[1]), code(row[2])
    decode = compile_decoder(json.loads(value), json.loads(time[0]) if time else None)
    decoded = decode(payload.encode(), ARRIVAL_NS)
    assert {time_ns for _, time_ns, _, _ in decoded[:1]} == {
        NS if "1763750000" in payload or "+01:00" in payload else ARRIVAL_NS
    }
    numbers = [float(each) for each in code(row[3]) if re.fullmatch(r"[\d.]+", each)]
    if "two series" in row[3]:
        assert [f".{field}" for field, *_ in decoded] == code(row[3])
    elif "gap" in row[3]:
        assert [math.isnan(number) for _, _, number, _ in decoded] == [True]
    else:
        assert [number for _, _, number, _ in decoded] == numbers


def test_the_causes_and_their_meanings() -> None:
    assert {code(row[0])[0]: row[1] for row in rows(section("### What cannot be read"))} == CAUSES


def test_the_bounds() -> None:
    text = section("### Payloads")
    assert "1 MiB a payload" in text
    assert f"{MAX_VALUES:,}".replace(",", " ") in text


def test_the_verbs_and_their_payloads() -> None:
    table = rows(section("## Commands"))
    assert [code(row[0])[0] for row in table] == list(VERBS)
    for row in table:
        for payload in code(row[1]) or [""]:
            command = read_command(CommandAddress(code(row[0])[0], NO_REQUEST), payload.encode())
            if command.model:
                assert (command.model, command.target) == ("pump", "")
                continue
            assert command.target in (("press1.temp", "group/pump1") if payload else ("",))
