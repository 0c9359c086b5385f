"""What a configuration lets through, the bridge takes, and by the same rules."""

from hypothesis import given
from hypothesis import strategies as st

from edgead.bridge.payloads import compile_decoder, field_names, parse_path
from edgead.bridge.topics import TopicPattern, to_id
from edgead.config import Config, SeriesConfig, parse
from edgead.config.topics import field_name, literal_ids, pattern_fault, template_fault
from edgead.errors import ConfigError, InvalidInput

PIECES = st.sampled_from(
    ["plant", "a", "+", "#", "{m}", "{n}", "{field}", "{1}", "{", "}", "p-", "é °", "", "$SYS"]
)
LEVELS = st.lists(PIECES, min_size=1, max_size=2).map("".join)
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
TEMPLATES = st.lists(st.sampled_from(["x", ".", "{m}", "{n}", "{field}", "-"]), min_size=1, max_size=4).map(
    "".join
)
PATHS = st.lists(
    st.sampled_from(["a", "b", ".", "[0]", "[007]", "[", '["c.d"]', "é", " "]), min_size=1, max_size=5
).map("".join)


def taken(make, *arguments: object) -> bool:
    try:
        make(*arguments)
    except InvalidInput:
        return False
    return True


@given(TOPICS)
def test_topic_patterns(topic: str):
    assert (pattern_fault(topic) == "") == taken(TopicPattern, topic)


@given(TOPICS, TEMPLATES)
def test_id_templates(topic: str, template: str):
    if pattern_fault(topic) == "":
        assert (template_fault(template, topic) == "") == taken(TopicPattern, topic, template)


@given(PATHS)
def test_paths_and_the_names_of_their_fields(path: str):
    assert (field_name(path) is not None) == taken(parse_path, path)
    if field_name(path) is not None:
        assert field_names([path]) == (field_name(path),)


@given(
    st.lists(st.sampled_from(["plant", "p 1", "é", "x.y"]), min_size=1, max_size=3).map("/".join), TEMPLATES
)
def test_the_ids_of_a_topic_are_known_beforehand(topic: str, template: str):
    fields = ["a", "b.0"]
    if template_fault(template, topic) == "":
        pattern = TopicPattern(topic, template)
        want = [pattern.series_id(topic, {}, field) for field in fields]
        assert [to_id(text) for text in literal_ids(topic, template, fields)] == want


@given(TOPICS, TEMPLATES, st.lists(PATHS, min_size=1, max_size=2, unique=True))
def test_a_block_is_found_again_by_the_ids_it_gives(topic: str, template: str, paths: list[str]):
    block = SeriesConfig(topic=topic, id=template, value=paths)
    usable = not pattern_fault(topic) and not template_fault(template, topic)
    if usable and all(field_name(path) for path in paths):
        pattern = TopicPattern(topic, template)
        sent = "/".join("x1" if level in ("+", "#") else level for level in topic.split("/"))
        sent = sent.replace("{m}", "press").replace("{n}", "7")
        bound = pattern.match(sent)
        if bound is not None:
            found = Config(series=(block,)).block_of(pattern.series_id(sent, bound, block.fields[0]))
            assert found is block


@given(
    TOPICS,
    TEMPLATES,
    st.one_of(PATHS, st.lists(PATHS, max_size=2), st.just("")),
    st.one_of(PATHS, st.just("ts")),
)
def test_every_block_of_a_right_file_compiles(topic: str, template: str, value: object, time: str):
    quoted = [f"{key} = {text!r}" for key, text in (("topic", topic), ("id", template), ("time", time))]
    lines = ["[[series]]", *quoted, f"value = {value!r}"]
    try:
        (block,) = parse("\n".join(lines).encode()).series
    except ConfigError:
        return
    TopicPattern(block.topic, block.id_template)
    compile_decoder(block.value, block.time_path)
