"""Patterns, ids and the router against the obvious definitions."""

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from edgead.bridge.topics import Router, TopicPattern, is_id, to_id

LEVEL = st.text(st.sampled_from("ab$ °"), max_size=3)
TOPIC = st.lists(LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    levels = []
    for place in range(draw(st.integers(1, 4))):
        levels.append(draw(st.one_of(LEVEL, st.just("+"), st.just(f"{{b{place}}}"))))
    if draw(st.booleans()):
        levels.append("#")
    return "/".join(levels) or "+"


@given(patterns(), TOPIC)
def test_a_match_implies_that_the_broker_would_deliver(pattern: str, topic: str) -> None:
    parsed = TopicPattern(pattern)
    bindings = parsed.match(topic)
    delivered = topic_matches_sub(parsed.filter, topic)
    if bindings is not None:
        assert delivered
        assert tuple(bindings) == parsed.names
        assert all(bindings.values())
    elif delivered:
        assert "{" in pattern, "only a binding asks for more than MQTT does: a level that is not empty"


@given(st.text(), st.text())
def test_ids_are_ids_and_different_texts_get_different_ones(one: str, other: str) -> None:
    assert is_id(to_id(one))
    assert to_id(to_id(one)) == to_id(one)
    if one != other:
        assert to_id(one) != to_id(other)


@given(st.lists(TOPIC, max_size=60), st.integers(1, 10))
def test_the_router_answers_the_same_with_and_without_memory(topics: list[str], cache_size: int) -> None:
    rules = [
        (TopicPattern("a/{x}"), ("",)),
        (TopicPattern("#", "all"), ("p", "q")),
        (TopicPattern("+/b"), ("",)),
    ]
    router = Router(rules, own_prefix="edgead/gw1/", cache_size=cache_size)
    for topic in topics:
        fresh = Router(rules, own_prefix="edgead/gw1/")
        assert router.routes(topic) == fresh.routes(topic)
        assert len(router) <= max(2, cache_size)
