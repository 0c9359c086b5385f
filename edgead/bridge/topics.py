"""Topics: which messages a rule reads, what series they make, and where everything of ours goes.

A rule's topic is an MQTT filter whose levels may also be *bindings*::

    plant/{machine}/{variable}      binds machine and variable
    plant/press-{n}/+/temp          text around a binding; + matches a level that nobody needs
    site/{line}/#                   # matches the rest, also nothing

Series ids are `[A-Za-z0-9_.-]`.  Characters of a topic outside of that become ``_``, and a digest of the
original is added (``Temp °C`` -> ``Temp__C-3b2f7a01``), so that two names that differ only there stay two
series.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from edgead.errors import InvalidInput
from edgead.records import GROUP_PREFIX

SeriesLeaf = Literal["meta", "state", "anomaly"]

MAX_ID_LENGTH: Final = 128
"""Characters of a series id; longer ones are cut and get a digest.  Keeps topics and log lines readable."""

MAX_TOPIC_BYTES: Final = 65_535
"""MQTT 3.1.1, section 1.5.3: a UTF-8 string is at most this long."""

MAX_REMEMBERED: Final = 256
"""Characters of a topic that the router remembers: 20 000 of the longest possible would be 1.3 GB."""

FIELD: Final = "field"
"""Name that stands for the payload field in an id template: ``{machine}.{field}``."""

_ID = re.compile(r"[A-Za-z0-9_.-]+")
_NOT_ID = re.compile(r"[^A-Za-z0-9_.-]")
_BINDING = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_id(text: str) -> bool:
    """Whether `text` can be a node or series id as it stands."""
    return len(text) <= MAX_ID_LENGTH and _ID.fullmatch(text) is not None


def to_id(text: str) -> str:
    """Turn any text into a series id; the same text always gives the same id.

    Notes
    -----
    The digest is 32 bits of BLAKE2b over the original: two texts of one id need the same readable part as
    well.
    """
    if is_id(text):
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    readable = _NOT_ID.sub("_", text)[: MAX_ID_LENGTH - len(digest) - 1]
    return f"{readable}-{digest}"


class TopicPattern:
    """A rule's topic: what to subscribe to, which topics it takes, and the ids it gives.

    Parameters
    ----------
    topic : str
        Levels of text, ``+``, a last ``#``, and ``{name}`` with or without text around it.
    id_template : str, optional
        Text with ``{name}`` of the topic's bindings and, for rules of several fields, ``{field}``.  Without
        it the id is the topic's levels joined by ``.``; a field that the template does not place is added
        after a ``.``.

    Attributes
    ----------
    filter : str
        The MQTT filter: every binding is a ``+`` there.
    names : tuple of str
        The bindings, in order.

    Raises
    ------
    InvalidInput
        If the topic is no valid filter or the template names something unknown.
    """

    def __init__(self, topic: str, id_template: str | None = None) -> None:
        self.text = topic
        levels = _checked_levels(topic)
        self.names = tuple(name for level in levels for name in _BINDING.findall(level))
        _check_names(topic, self.names)
        self.filter = "/".join("+" if "{" in level else level for level in levels)
        self._regex = re.compile(_regex_of(levels), re.DOTALL)
        self._literal_first = not (levels[0] in ("+", "#") or "{" in levels[0])
        self.id_template = id_template
        if id_template is not None:
            _check_template(id_template, self.names)

    def match(self, topic: str) -> dict[str, str] | None:
        """Bindings of `topic`, or None when it is not this rule's.

        Topics that begin with ``$`` match only a pattern that spells that level out (MQTT 3.1.1, 4.7.2).
        """
        if topic.startswith("$") and not self._literal_first:
            return None
        found = self._regex.fullmatch(topic)
        return None if found is None else found.groupdict()

    def series_id(self, topic: str, bindings: Mapping[str, str], field: str = "") -> str:
        """Id of the series of a matching topic, of one field of its payload when `field` is given."""
        template = self.id_template
        if template is None:
            text = topic.replace("/", ".")
        else:
            values = {**bindings, FIELD: field}
            text = _BINDING.sub(lambda found: values[found.group(1)], template)
            if f"{{{FIELD}}}" in template:
                field = ""
        return to_id(f"{text}.{field}" if field else text)

    def __repr__(self) -> str:
        return f"TopicPattern({self.text!r})"


def _checked_levels(topic: str) -> list[str]:
    """Levels of a rule's topic, or InvalidInput with the reason."""
    if not topic:
        raise InvalidInput("topic: expected an MQTT filter such as plant/{machine}/{variable}, got ''")
    if "\0" in topic or len(topic.encode("utf-8", "replace")) > MAX_TOPIC_BYTES:
        raise InvalidInput(f"topic: expected at most {MAX_TOPIC_BYTES} bytes without NUL")
    levels = topic.split("/")
    if levels[0] in ("$share", "$queue"):
        raise InvalidInput(
            f"topic {topic!r}: a shared subscription deals the messages of one series to several readers; "
            "expected a plain filter"
        )
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            raise InvalidInput(f"topic {topic!r}: expected '#' alone and only as the last level")
        if "+" in level and level != "+":
            raise InvalidInput(f"topic {topic!r}: expected '+' alone in its level, got {level!r}")
        if _BINDING.sub("", level).strip("{}") != _BINDING.sub("", level):
            raise InvalidInput(f"topic {topic!r}: a brace is not closed in {level!r}, expected {{name}}")
        if "}{" in level:
            raise InvalidInput(f"topic {topic!r}: expected text between two bindings, got {level!r}")
    return levels


def _check_names(topic: str, names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name) or name == FIELD:
            raise InvalidInput(
                f"topic {topic!r}: expected a name of letters, digits and _ (not '{FIELD}'), got {{{name}}}"
            )
        if names.count(name) > 1:
            raise InvalidInput(f"topic {topic!r}: {{{name}}} is bound twice, expected each name once")


def _check_template(template: str, names: Sequence[str]) -> None:
    known = (*names, FIELD)
    for name in _BINDING.findall(template):
        if name not in known:
            expected = ", ".join(f"{{{each}}}" for each in known)
            raise InvalidInput(f"id {template!r}: the topic does not bind {{{name}}}, expected {expected}")
    rest = _BINDING.sub("", template)
    if not template or _NOT_ID.search(rest):
        raise InvalidInput(f"id {template!r}: expected letters, digits, '_', '.', '-' and {{name}}")


def _regex_of(levels: Sequence[str]) -> str:
    """Regular expression of the levels; ``a/#`` matches ``a`` too (MQTT 3.1.1, 4.7.1.2)."""
    parts = []
    for level in levels:
        if level == "#":
            parts.append(".*" if len(levels) == 1 else "(?:/.*)?")
            continue
        slash = "/" if parts else ""
        if level == "+":
            parts.append(slash + "[^/]*")
        else:
            pieces = _BINDING.split(level)  # text, name, text, name, ..., text
            named = (f"(?P<{p}>[^/]+?)" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
            parts.append(slash + "".join(named))
    return "".join(parts)


class Route(msgspec.Struct, frozen=True):
    """What one rule makes of one topic.

    Attributes
    ----------
    rule : int
        Place of the rule in the router's list.
    series_ids : dict of str to str
        Payload field -> series id; the field is ``""`` for a rule of one unnamed value.
    bindings : dict of str to str
        What the topic's bindings stood for.
    """

    rule: int
    series_ids: dict[str, str]
    bindings: dict[str, str]


class Router:
    """Finds the rules of a topic, with a memory of bounded size.

    Parameters
    ----------
    rules : sequence of (TopicPattern, sequence of str)
        In the order of the configuration: the pattern and the names of the payload's fields (``("",)`` for
        one unnamed value).
    own_prefix : str
        Topics below this prefix are never read by a rule: our own messages would come back as readings.
    cache_size : int
        Topics remembered; twice as many at most for a moment.

    Notes
    -----
    Every rule that matches applies, so that two blocks can read two fields of one topic.  When two rules
    would make the same series id of one topic, the first one has it: a special rule goes before a general
    one.

    The memory is two dictionaries: when the young one is full it becomes the old one and the old one is
    forgotten. What is asked again moves to the young one.  100 000 topics seen once cost time, not memory.
    """

    def __init__(
        self,
        rules: Sequence[tuple[TopicPattern, Sequence[str]]],
        *,
        own_prefix: str,
        cache_size: int = 20_000,
    ) -> None:
        self._rules = [(pattern, tuple(fields)) for pattern, fields in rules]
        self._own_prefix = own_prefix
        self._half = max(1, cache_size // 2)
        self._young: dict[str, tuple[Route, ...]] = {}
        self._old: dict[str, tuple[Route, ...]] = {}

    def __len__(self) -> int:
        """Topics remembered."""
        return len(self._young) + len(self._old)

    def routes(self, topic: str) -> tuple[Route, ...]:
        """All routes of `topic` in the order of the rules; empty when no rule reads it."""
        found = self._young.get(topic)
        if found is not None:
            return found
        if len(topic) > MAX_REMEMBERED:
            return self._resolve(topic)
        found = self._old.pop(topic, None)
        if found is None:
            found = self._resolve(topic)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[topic] = found
        return found

    def _resolve(self, topic: str) -> tuple[Route, ...]:
        if topic.startswith(self._own_prefix):
            return ()
        routes = []
        taken: set[str] = set()
        for place, (pattern, fields) in enumerate(self._rules):
            bindings = pattern.match(topic)
            if bindings is None:
                continue
            ids = {field: pattern.series_id(topic, bindings, field) for field in fields}
            free = {field: series_id for field, series_id in ids.items() if series_id not in taken}
            taken.update(free.values())
            if free:
                routes.append(Route(place, free, bindings))
        return tuple(routes)


class CommandAddress(msgspec.Struct, frozen=True):
    """What the topic of a command says: ``cmd/{verb}`` or ``cmd/{verb}/{request}``."""

    verb: str
    request: str


NO_REQUEST: Final = "-"
"""Stands in for the request id when a command's topic has none."""


class Topics:
    """Every topic that a node publishes or takes commands on.

    Parameters
    ----------
    node : str
        Id of the node, `[A-Za-z0-9_.-]`.
    root : str
        First level or levels of all topics.

    Raises
    ------
    InvalidInput
        If one of them cannot be part of a topic.
    """

    def __init__(self, node: str, root: str = "edgead") -> None:
        if not is_id(node):
            raise InvalidInput(f"node id: expected letters, digits, '_', '.', '-', got {node!r}")
        if not root or root.startswith("$") or not all(is_id(level) for level in root.split("/")):
            raise InvalidInput(
                f"topic root: expected levels of letters, digits, '_', '.', '-' joined by '/', got {root!r}"
            )
        self.node = node
        self.root = root
        self.prefix = f"{root}/{node}/"
        self.status = f"{self.prefix}status"
        self.info = f"{self.prefix}info"
        self.health = f"{self.prefix}health"
        self.deadletter = f"{self.prefix}deadletter"
        # Two filters and not cmd/#: our own answers, cmd/{verb}/{request}/status, must not come back as
        # commands.
        self.command_filters = (f"{self.prefix}cmd/+", f"{self.prefix}cmd/+/+")

    def is_own(self, topic: str) -> bool:
        """Whether `topic` belongs to this node."""
        return topic.startswith(self.prefix)

    def series(self, series_id: str, leaf: SeriesLeaf, *, replay: bool = False) -> str:
        """``series/{id}/meta | state | anomaly``; below ``replay/`` for what was sent late from the spool."""
        return f"{self.prefix}{'replay/' if replay else ''}series/{series_id}/{leaf}"

    def group(self, group_id: str, leaf: SeriesLeaf, *, replay: bool = False) -> str:
        """``group/{id}/meta | state | anomaly`` of a multivariate group."""
        return f"{self.prefix}{'replay/' if replay else ''}group/{group_id}/{leaf}"

    def named(self, name: str, leaf: SeriesLeaf, *, replay: bool = False) -> str:
        """Topic of a name as records have it: a series id, or ``group/{id}``."""
        if name.startswith(GROUP_PREFIX):
            return self.group(name.removeprefix(GROUP_PREFIX), leaf, replay=replay)
        return self.series(name, leaf, replay=replay)

    def command_status(self, verb: str, request: str) -> str:
        """Where the progress of a command is told."""
        return f"{self.prefix}cmd/{verb}/{request}/status"

    def command(self, topic: str) -> CommandAddress | None:
        """Verb and request of a command's topic, or None when `topic` is no command of this node."""
        head = f"{self.prefix}cmd/"
        if not topic.startswith(head):
            return None
        levels = topic[len(head) :].split("/")
        if len(levels) > 2 or not all(is_id(level) for level in levels):
            return None
        return CommandAddress(levels[0], levels[1] if len(levels) == 2 else NO_REQUEST)

    def check_rule(self, pattern: TopicPattern) -> None:
        """Refuse a rule that can only read this node's own messages.

        Raises
        ------
        InvalidInput
            If the pattern spells the node's own prefix out.
        """
        if f"{pattern.filter}/".startswith(self.prefix):
            raise InvalidInput(
                f"topic {pattern.text!r}: expected a topic outside of this node's own {self.prefix}"
            )
