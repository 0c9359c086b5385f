import json

import pytest

from edgead.bridge.commands import MAX_UNDER_WAY, VERBS, Commands, Outgoing, read_command
from edgead.bridge.topics import CommandAddress, Topics
from edgead.errors import InvalidInput, StoreError

TOPICS = Topics("gw1")


def desk(**handlers) -> Commands:
    return Commands(TOPICS, handlers)


def told(answers: list[Outgoing]) -> list[tuple[str, str]]:
    return [
        (message["status"], message["reason"]) for message in (json.loads(each.payload) for each in answers)
    ]


def run(commands: Commands, verb: str, payload: bytes = b"", **options) -> list[Outgoing]:
    return list(commands.run(f"edgead/gw1/cmd/{verb}", payload, now_ns=10**18, **options))


def test_a_ping_is_answered_step_by_step() -> None:
    commands = desk()
    answers = run(commands, "ping/7")
    assert told(answers) == [("init", ""), ("executing", ""), ("successful", "pong")]
    assert {each.topic for each in answers} == {"edgead/gw1/cmd/ping/7/status"}
    assert all(each.qos == 1 and not each.retain for each in answers)
    assert commands.counts == {"successful": 1, "failed": 0, "retained": 0}


def test_a_command_without_request_is_answered_too() -> None:
    assert run(desk(), "ping")[0].topic == "edgead/gw1/cmd/ping/-/status"


@pytest.mark.parametrize(
    "payload", [b'{"series":"press1.temp","for":3600}', b'{"for":3600.0,"series":"press1.temp"}']
)
def test_mute_says_what_and_how_long(payload: bytes) -> None:
    seen = []
    answers = run(desk(mute=lambda command: seen.append(command) or "muted"), "mute/1", payload)
    assert told(answers)[-1] == ("successful", "muted")
    assert (seen[0].series, seen[0].for_s, seen[0].verb, seen[0].request) == (
        "press1.temp",
        3600.0,
        "mute",
        "1",
    )


@pytest.mark.parametrize(
    "payload", [b"press1.temp", b" press1.temp\n", b'"press1.temp"', b'{"series":"press1.temp"}']
)
def test_a_series_can_be_named_bare_or_in_an_object(payload: bytes) -> None:
    assert read_command(CommandAddress("relearn", "1"), payload).series == "press1.temp"


@pytest.mark.parametrize("payload", [b"group/pump1", b'{"group":"pump1"}', b" group/pump1\n"])
def test_a_group_can_be_named_bare_or_in_an_object(payload: bytes) -> None:
    command = read_command(CommandAddress("mute", "1"), payload)
    assert (command.series, command.group, command.target) == ("", "pump1", "group/pump1")


@pytest.mark.parametrize(
    ("verb", "payload", "words"),
    [
        ("explode", b"", "unknown command, expected one of ping"),
        ("relearn", b"", "expected a series"),
        ("relearn", b"{}", "expected a series"),
        ("relearn", b"a/b", "payload"),
        ("relearn", b'{"series":"a/b"}', "series: expected letters"),
        ("relearn", b'{"series":1}', "payload"),
        ("relearn", b'{"sereis":"a"}', "unknown field"),
        ("relearn", b'{"series":"a","for":1}', "with mute only"),
        ("mute", b'{"series":"a","group":"b"}', "a series or a group, got both"),
        ("mute", b'{"group":"a/b"}', "group: expected letters"),
        ("mute", b"group/", "payload"),
        ("mute", b'{"series":"a","for":0}', "for: expected seconds"),
        ("mute", b'{"series":"a","for":1e99}', "for: expected seconds"),
        ("mute", b'{"series":"a","for":"long"}', "payload"),
        ("mute", b"\xff", "payload"),
        ("mute", b"[" * 4000, "payload"),
        ("mute", b"x" * 5000, "at most 4096 bytes"),
    ],
)
def test_what_is_not_understood_fails_with_the_reason(verb: str, payload: bytes, words: str) -> None:
    commands = desk(relearn=lambda command: "", mute=lambda command: "")
    answers = run(commands, f"{verb}/1", payload)
    assert [status for status, _ in told(answers)] == ["init", "failed"]
    assert words in told(answers)[-1][1]
    assert commands.counts["failed"] == 1


def test_a_handler_that_cannot_do_it_fails_with_its_sentence() -> None:
    def relearn(command) -> str:
        raise StoreError("the disk is full")

    assert told(run(desk(relearn=relearn), "relearn/1", b"a"))[-1] == ("failed", "the disk is full")
    assert told(run(desk(), "relearn/1", b"a"))[-1] == ("failed", "relearn: this node does not do it")


def test_executing_is_told_before_it_is_done() -> None:
    order = []
    commands = desk(relearn=lambda command: order.append("done") or "")
    for answer in commands.run("edgead/gw1/cmd/relearn/1", b"a", now_ns=0):
        order.append(json.loads(answer.payload)["status"])
    assert order == ["init", "executing", "done", "successful"]


def test_a_retained_command_is_ignored_and_counted() -> None:
    commands = desk(relearn=lambda command: pytest.fail("executed"))
    assert run(commands, "relearn/1", b"a", retain=True) == []
    assert commands.counts == {"successful": 0, "failed": 0, "retained": 1}


def test_a_topic_that_is_no_command_is_nothing() -> None:
    assert list(desk().run("plant/a/b", b"", now_ns=0)) == []


def test_mqtt5_answers_go_where_the_sender_wants_them() -> None:
    answers = run(desk(), "ping/7", response_topic="office/answers", correlation=b"\x01\x02")
    assert {(each.topic, each.correlation) for each in answers} == {("office/answers", b"\x01\x02")}


@pytest.mark.parametrize("topic", ["edgead/gw1/cmd/mute", "edgead/gw1/status", "$SYS/x", "a/#", "+/b"])
def test_mqtt5_answers_never_go_where_they_would_speak_in_our_name(topic: str) -> None:
    answers = run(desk(), "ping/7", response_topic=topic, correlation=b"\x01")
    assert {(each.topic, each.correlation) for each in answers} == {("edgead/gw1/cmd/ping/7/status", None)}


def test_commands_for_unknown_requests_are_refused_before_anything_is_done() -> None:
    with pytest.raises(InvalidInput):
        read_command(CommandAddress("explode", "1"), b"")
    of_models = {"sync", "model-install", "model-rollback"}
    assert set(VERBS) == {"ping", "relearn", "mute", "unmute"} | of_models


@pytest.mark.parametrize("payload", [b"pump", b'{"model":"pump"}', b'"pump"', b" pump\n"])
def test_a_model_can_be_named_bare_or_in_an_object(payload: bytes) -> None:
    command = read_command(CommandAddress("model-install", "1"), payload)
    assert (command.model, command.series) == ("pump", "")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"a b",
        b'{"model":"../x"}',
        b'{"model":"pump","series":"a"}',
        b'{"model":"pump","for":3}',
        b"group/g",
    ],
)
def test_what_names_no_model_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"model-rollback: expected a model|payload"):
        read_command(CommandAddress("model-rollback", "1"), payload)


def test_a_model_is_nothing_for_the_other_verbs() -> None:
    with pytest.raises(InvalidInput, match="expected no model"):
        read_command(CommandAddress("mute", "1"), b'{"model":"pump"}')


def test_a_command_that_goes_on_is_answered_until_its_end() -> None:
    seen = []
    commands = desk(sync=seen.append)
    answers = run(commands, "sync/9", response_topic="reply/to", correlation=b"c")
    assert told(answers) == [("init", ""), ("executing", "")]
    further = [
        commands.tell(seen[0], "executing", "half of it", now_ns=2 * 10**18),
        commands.tell(seen[0], "successful", "done", now_ns=3 * 10**18),
    ]
    assert told(further) == [("executing", "half of it"), ("successful", "done")]
    assert {(each.topic, each.correlation) for each in further} == {("reply/to", b"c")}
    assert json.loads(further[1].payload)["ts"] == 3 * 10**12
    assert commands.tell(seen[0], "failed", "too late", now_ns=4 * 10**18) is None
    assert commands.counts == {"successful": 1, "failed": 0, "retained": 0}


def test_only_so_many_commands_go_on_at_one_time() -> None:
    commands = desk(sync=lambda command: None)
    for number in range(MAX_UNDER_WAY):
        assert told(run(commands, f"sync/{number}"))[-1] == ("executing", "")
    assert told(run(commands, "sync/more"))[-1][0] == "failed"
    assert told(run(commands, "ping"))[-1][0] == "failed"
