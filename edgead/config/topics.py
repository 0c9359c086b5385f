"""Rules of topic patterns, id templates and payload paths."""

import re

_BINDING = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATH = re.compile(r"[^.\[\]\s]+(\[[0-9]{1,6}\])*(\.[^.\[\]\s]+(\[[0-9]{1,6}\])*)*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


def bindings(pattern: str) -> list[str]:
    """Names bound by a topic pattern, in order."""
    return _BINDING.findall(pattern)


def is_literal(pattern: str) -> bool:
    """Whether the pattern is exactly one topic."""
    return not any(mark in pattern for mark in "+#{")


def pattern_fault(pattern: str) -> str:
    """What is wrong with a topic pattern, or ""."""
    levels = pattern.split("/")
    if levels[0] == "$share":
        return "no shared subscription: a broker deals its messages out and each series would miss readings"
    if "#" in levels[:-1]:
        return '"#" as the last level only'
    if not pattern.isprintable():
        return "a topic without control characters"
    for level in levels:
        if level in ("+", "#") or _BINDING.fullmatch(level):
            continue
        if any(mark in level for mark in "+#{}"):
            return f'"+", "#" or a binding such as {{name}} to fill a whole level, got "{level}"'
    names = bindings(pattern)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        return f"each binding once, got {{{repeated[0]}}} twice"
    return "{value} to be left to the id, it stands for the value path" if "value" in names else ""


def path_fault(path: str) -> str:
    """What is wrong with a path into a payload, or ""."""
    if not path or (len(path) <= 256 and _PATH.fullmatch(path)):
        return ""
    return 'a path such as "value", "a.b" or "a.b[0]"'


def template_fault(template: str, pattern: str) -> str:
    """What is wrong with an id template for this topic pattern, or ""."""
    known = [*bindings(pattern), "value"]
    unbound = [name for name in bindings(template) if name not in known]
    if unbound:
        bound = ", ".join(f"{{{name}}}" for name in known)
        return f"bindings of the topic only ({bound}), got {{{unbound[0]}}}"
    return ""


def literal_ids(topic: str, template: str, values: tuple[str, ...]) -> list[str]:
    """Series ids of a block whose topic is one topic; nothing for a pattern.

    The rule is the bridge's: dots for slashes where no template is given, ``{value}`` or an appended ``.path``
    to tell several values apart, and ``_`` for every character an id cannot hold.
    """
    if not is_literal(topic):
        return []
    base = template or topic.replace("/", ".")
    if len(values) > 1 and "{value}" not in base:
        base += ".{value}"
    return [_UNSAFE.sub("_", base.replace("{value}", value)) for value in values]
