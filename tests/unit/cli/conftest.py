"""Running commands in the process of the test."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from edgead.cli import call


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def edgead(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Ran]:
    """Runs ``edgead`` with these arguments."""

    def run(*arguments: object) -> Ran:
        code = call([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Ran(code, out.decode(), err.decode())

    return run
