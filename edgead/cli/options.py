"""Types of options, and the progress bar, shared by the commands."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A duration such as ``250ms`` or ``5min``; nanoseconds inside."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Nanoseconds above 0."""
        from edgead.config.units import parse_duration

        try:
            ns = value if isinstance(value, int) else parse_duration(value)
        except ValueError:
            ns = 0
        if ns <= 0:
            self.fail(f"{value!r}: expected a duration such as 250ms, 1s, 5min, 1h", param, ctx)
        return ns


DURATION = Duration()

config_option = click.option(
    "-c",
    "--config",
    "config_file",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False),
    help="Configuration file (docs/configuration.md).",
)


@contextmanager
def progress(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal; gives what to call with each step done."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
