"""Rules of topic patterns, id templates and payload paths, as the bridge will read them."""

import re
from collections.abc import Sequence

#: Stands in an id template for the field of the payload that the value came from.
FIELD = "field"

_BINDING = re.compile(r"\{([^{}]*)\}")
_VARYING = re.compile(r"\{[^{}]*\}|[+#]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH_STEP = re.compile(r"""(?:^|(?<=.)\.)([^.\[\]"]+)|\[(\d{1,6})\]|\["([^"]*)"\]""", re.ASCII)


def bindings(pattern: str) -> list[str]:
    """Names bound by a topic pattern or used by a template, in order."""
    return _BINDING.findall(pattern)


def pattern_fault(pattern: str) -> str:
    """What was expected of a topic pattern instead, or "" when nothing is wrong."""
    levels = pattern.split("/")
    if levels[0] in ("$share", "$queue"):
        return "no shared subscription: the broker deals its messages out and each series would miss readings"
    if "\0" in pattern or any("\ud800" <= letter <= "\udfff" for letter in pattern):
        return "a topic without NUL and half characters"
    for level in levels[:-1]:
        if level == "#":
            return '"#" as the last level only'
    return next(filter(None, map(_level_fault, levels)), "") or _names_fault(bindings(pattern))


def _level_fault(level: str) -> str:
    text = _BINDING.sub("", level)
    if level not in ("+", "#") and ("+" in level or "#" in level):
        return f'"+" and "#" to fill a whole level, got "{level}"'
    if "{" in text or "}" in text:
        return f'a binding such as {{name}}, got "{level}"'
    return f'text between two bindings of one level, got "{level}"' if "}{" in level else ""


def _names_fault(names: list[str]) -> str:
    for name in names:
        if not _NAME.fullmatch(name) or name == FIELD:
            return f"a binding of letters, digits and _ (not {FIELD}), got {{{name}}}"
        if names.count(name) > 1:
            return f"each binding once, got {{{name}}} twice"
    return ""


def template_fault(template: str, pattern: str) -> str:
    """What was expected of an id template for this topic pattern instead, or ""."""
    known = [*bindings(pattern), FIELD]
    unbound = [name for name in bindings(template) if name not in known]
    if not unbound:
        return ""
    return f"bindings of the topic only ({', '.join(f'{{{name}}}' for name in known)}), got {{{unbound[0]}}}"


def field_name(path: str) -> str | None:
    """Name of the field at a path, ``a.b.0`` for ``a.b[0]``; None when it is no path."""
    steps, at = [], 0
    while at < len(path):
        found = _PATH_STEP.match(path, at)
        if found is None:
            return None
        key, index, quoted = found.groups()
        steps.append(str(int(index)) if index else (quoted if key is None else key))
        at = found.end()
    return ".".join(steps)


def literal_ids(topic: str, template: str, fields: Sequence[str]) -> list[str]:
    """Series ids of a block whose topic is one topic; nothing for a pattern.

    Parameters
    ----------
    topic, template : str
        Without a template, the topic with dots for slashes.
    fields : sequence of str
        Names of the fields; ``[""]`` for a block of one value.  They replace ``{field}``, or are appended.
    """
    if any(mark in topic for mark in "+#{"):
        return []
    base = template or topic.replace("/", ".")
    if "{field}" in base:
        return [base.replace("{field}", field) for field in fields]
    return [f"{base}.{field}" if field else base for field in fields]


def ids_of(topic: str, template: str, field: str) -> re.Pattern[str]:
    """Matches the ids that a block gives its series of one field ("" = a block of one value).

    Letters that an id cannot hold have become ``_`` in it, with a digest of eight digits at the end.
    """
    base = template or topic.replace("/", ".")
    if "{field}" in base:
        base = base.replace("{field}", field)
    elif field:
        base = f"{base}.{field}"
    text = [re.escape(_UNSAFE.sub("_", part)) for part in _VARYING.split(base)]
    return re.compile(".+".join(text) + "(?:-[0-9a-f]{8})?")
