import pytest

from edgead.bridge.topics import MAX_ID_LENGTH, NO_REQUEST, Router, TopicPattern, Topics, is_id, to_id
from edgead.errors import InvalidInput


def rule(topic: str, template: str | None = None, fields: tuple[str, ...] = ("",)):
    return (TopicPattern(topic, template), fields)


@pytest.mark.parametrize(
    ("pattern", "mqtt_filter", "topic", "bindings"),
    [
        ("plant/press1/temp", "plant/press1/temp", "plant/press1/temp", {}),
        ("plant/{machine}/{variable}", "plant/+/+", "plant/a/b", {"machine": "a", "variable": "b"}),
        ("plant/{machine}/+/temp", "plant/+/+/temp", "plant/a/x/temp", {"machine": "a"}),
        ("plant/press-{n}/temp", "plant/+/temp", "plant/press-7/temp", {"n": "7"}),
        ("plant/{line}-{n}/temp", "plant/+/temp", "plant/a-b-7/temp", {"line": "a", "n": "b-7"}),
        ("plant/{machine}/#", "plant/+/#", "plant/a", {"machine": "a"}),
        ("plant/{machine}/#", "plant/+/#", "plant/a/b/c", {"machine": "a"}),
        ("#", "#", "anything/at/all", {}),
        ("+/temp", "+/temp", "/temp", {}),
        ("$SYS/broker/{what}", "$SYS/broker/+", "$SYS/broker/load", {"what": "load"}),
    ],
)
def test_a_pattern_takes_what_its_filter_subscribes_to(pattern, mqtt_filter, topic, bindings) -> None:
    parsed = TopicPattern(pattern)
    assert parsed.filter == mqtt_filter
    assert parsed.match(topic) == bindings


@pytest.mark.parametrize(
    ("pattern", "topic"),
    [
        ("plant/press1/temp", "plant/press1/temp2"),
        ("plant/press1/temp", "Plant/press1/temp"),
        ("plant/{machine}/temp", "plant/a/b/temp"),
        ("plant/{machine}/temp", "plant//temp"),
        ("plant/press-{n}/temp", "plant/pump-7/temp"),
        ("plant/+", "plant"),
        ("plant/{machine}/#", "plant"),
        ("#", "$SYS/broker/load"),
        ("+/broker/load", "$SYS/broker/load"),
        ("{any}/broker/load", "$SYS/broker/load"),
        ("plant.press/temp", "plantxpress/temp"),
    ],
)
def test_a_pattern_leaves_the_rest(pattern: str, topic: str) -> None:
    assert TopicPattern(pattern).match(topic) is None


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("", "expected an MQTT filter"),
        ("plant/#/temp", "only as the last level"),
        ("plant/a#", "'#' alone"),
        ("plant/a+/temp", "'+' alone"),
        ("plant/{machine", "not closed"),
        ("plant/machine}", "not closed"),
        ("plant/{machine}/{machine}", "bound twice"),
        ("plant/{a}{b}", "text between two bindings"),
        ("plant/{my name}/x", "letters, digits"),
        ("plant/{}/x", "letters, digits"),
        ("plant/{field}/x", "not 'field'"),
        ("$share/group/plant/#", "shared subscription"),
        ("plant/\0/x", "without NUL"),
        ("x" * 65_536, "at most 65535 bytes"),
    ],
)
def test_a_topic_that_cannot_be_is_refused_with_the_reason(topic: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=None) as caught:
        TopicPattern(topic)
    assert words in str(caught.value)


@pytest.mark.parametrize("template", ["", "{nobody}.x", "a/b", "{machine} x", "{machine"])
def test_an_id_template_that_cannot_be_is_refused(template: str) -> None:
    with pytest.raises(InvalidInput, match=r"^id "):
        TopicPattern("plant/{machine}/{variable}", template)


@pytest.mark.parametrize(
    ("template", "field", "series_id"),
    [
        (None, "", "plant.press1.temp"),
        (None, "rms", "plant.press1.temp.rms"),
        ("{machine}.{variable}", "", "press1.temp"),
        ("{machine}.{variable}", "a.b.0", "press1.temp.a.b.0"),
        ("{machine}-{field}", "rms", "press1-rms"),
        ("fixed", "", "fixed"),
    ],
)
def test_ids_come_from_the_template_or_the_topic(template, field, series_id) -> None:
    pattern = TopicPattern("plant/{machine}/{variable}", template)
    bindings = pattern.match("plant/press1/temp")
    assert bindings is not None
    assert pattern.series_id("plant/press1/temp", bindings, field) == series_id


def test_names_that_differ_only_in_strange_characters_stay_different_series() -> None:
    names = [
        "Temp °C",
        "Temp °F",
        "Temp_°C",
        "Temp__C",
        "Temp %C",
        "Temp/C",
        "Temp\udcffC",
        "温度",
        "湿度",
        "",
    ]
    ids = [to_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(is_id(each) for each in ids)
    assert ids == [to_id(name) for name in names]
    assert to_id("Temp °C").startswith("Temp__C-")


def test_long_names_are_cut_and_stay_different() -> None:
    first, second = to_id("x" * 5000 + "1"), to_id("x" * 5000 + "2")
    assert first != second
    assert len(first) == MAX_ID_LENGTH
    assert to_id("x" * MAX_ID_LENGTH) == "x" * MAX_ID_LENGTH


def test_every_rule_that_matches_applies_and_the_first_keeps_an_id() -> None:
    router = Router(
        [
            rule("plant/press1/temp", "press1.temp"),
            rule("plant/{m}/{v}", "{m}.{v}"),
            rule("plant/{m}/{v}", "{m}.{v}", ("a", "b")),
        ],
        own_prefix="edgead/gw1/",
    )
    special, fields = router.routes("plant/press1/temp")
    assert (special.rule, special.series_ids) == (0, {"": "press1.temp"})
    assert (fields.rule, fields.series_ids) == (2, {"a": "press1.temp.a", "b": "press1.temp.b"})
    general, _ = router.routes("plant/press2/temp")
    assert (general.rule, general.bindings) == (1, {"m": "press2", "v": "temp"})
    assert router.routes("elsewhere") == ()


def test_our_own_messages_are_never_readings() -> None:
    router = Router([rule("#"), rule("edgead/+/series/#", "other")], own_prefix=Topics("gw1").prefix)
    assert router.routes("edgead/gw1/series/press1.temp/anomaly") == ()
    assert router.routes("edgead/gw1/status") == ()
    assert len(router.routes("edgead/gw10/series/x/state")) == 2


def test_a_hundred_thousand_topics_do_not_grow_the_router() -> None:
    router = Router([rule("plant/{m}/temp")], own_prefix="edgead/gw1/", cache_size=1000)
    for number in range(100_000):
        assert router.routes(f"plant/m{number}/temp")
        router.routes("plant/always/temp")
    assert len(router) <= 1000
    before = router.routes("plant/always/temp")
    assert router.routes("plant/always/temp") is before, "a busy topic stays remembered"


def test_very_long_topics_are_routed_and_not_remembered() -> None:
    router = Router([rule("plant/{m}/temp")], own_prefix="edgead/gw1/")
    (route,) = router.routes(f"plant/{'x' * 60_000}/temp")
    assert len(route.series_ids[""]) == MAX_ID_LENGTH
    assert len(router) == 0


def test_outgoing_topics() -> None:
    topics = Topics("gw1", "site/edgead")
    assert topics.status == "site/edgead/gw1/status"
    assert topics.info == "site/edgead/gw1/info"
    assert topics.health == "site/edgead/gw1/health"
    assert topics.deadletter == "site/edgead/gw1/deadletter"
    assert topics.series("press1.temp", "meta") == "site/edgead/gw1/series/press1.temp/meta"
    assert topics.series("p", "anomaly", replay=True) == "site/edgead/gw1/replay/series/p/anomaly"
    assert topics.group("g", "state") == "site/edgead/gw1/group/g/state"
    assert topics.group("g", "anomaly", replay=True) == "site/edgead/gw1/replay/group/g/anomaly"
    assert topics.command_status("ping", "7") == "site/edgead/gw1/cmd/ping/7/status"


def test_command_topics() -> None:
    topics = Topics("gw1")
    command = topics.command("edgead/gw1/cmd/relearn/42")
    assert command is not None
    assert (command.verb, command.request) == ("relearn", "42")
    bare = topics.command("edgead/gw1/cmd/ping")
    assert bare is not None
    assert (bare.verb, bare.request) == ("ping", NO_REQUEST)
    for other in (
        "edgead/gw2/cmd/ping",
        "edgead/gw1/cmd/",
        "edgead/gw1/cmd/ping/1/status",
        "edgead/gw1/cmd/a b",
    ):
        assert topics.command(other) is None


def test_our_own_command_answers_do_not_match_what_we_subscribe_to() -> None:
    topics = Topics("gw1")
    patterns = [TopicPattern(each) for each in topics.command_filters]
    assert all(each.match(topics.command_status("ping", NO_REQUEST)) is None for each in patterns)
    assert any(each.match("edgead/gw1/cmd/ping") is not None for each in patterns)
    assert any(each.match("edgead/gw1/cmd/ping/1") is not None for each in patterns)


@pytest.mark.parametrize(
    ("node", "root"), [("", "edgead"), ("a/b", "edgead"), ("gw1", ""), ("gw1", "$SYS"), ("gw1", "a//b")]
)
def test_nodes_and_roots_that_cannot_be_topics(node: str, root: str) -> None:
    with pytest.raises(InvalidInput):
        Topics(node, root)


def test_a_rule_for_our_own_messages_is_refused() -> None:
    topics = Topics("gw1")
    for own in ("edgead/gw1/#", "edgead/gw1/series/{id}/state", "edgead/gw1"):
        with pytest.raises(InvalidInput, match="own"):
            topics.check_rule(TopicPattern(own))
    for fine in ("edgead/gw2/#", "edgead/{node}/series/#", "#", "plant/#"):
        topics.check_rule(TopicPattern(fine))
