"""The newest row of variables sent along: what a body may unfold to."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.multivariate import AlignPolicy
from edgead.server.multivariate import judge_last
from edgead.server.requests import INLINE_ROWS, LastRequest
from edgead.server.shelf import Loaded

MINUTE = 60 * 10**9


def refused(variables: int, shift_ns: int, mode: Any = "Outer") -> str:
    """Code of the refusal by a model that needs more rows than there are; each variable is later by `shift_ns`."""
    names = tuple(f"v{number}" for number in range(variables))
    times, values = np.arange(INLINE_ROWS) * MINUTE, np.zeros(INLINE_ROWS)
    columns = {name: (times + place * shift_ns, values) for place, name in enumerate(names)}
    spec: Any = SimpleNamespace(names=names, align=AlignPolicy(mode), window=10**9)
    loaded = Loaded(spec, None, threading.Lock(), 0)  # type: ignore[arg-type]  # nothing is judged
    with pytest.raises(InvalidInput) as caught:
        judge_last(loaded, LastRequest(columns=columns), "v1.1")
    return caught.value.code


def test_times_that_no_two_variables_share_are_refused_before_they_are_aligned() -> None:
    """A body of 30 MB would be a table of gigabytes."""
    assert refused(300, 1) == "DataExceedsLimit"


@pytest.mark.parametrize(("variables", "shift_ns"), [(300, 0), (50, 1), (300, MINUTE)])
def test_common_times_of_many_variables_and_all_times_of_few_are_aligned(
    variables: int, shift_ns: int
) -> None:
    assert refused(variables, shift_ns) == "NotEnoughInput"


def test_inner_mode_never_has_more_rows_than_one_variable() -> None:
    assert refused(60, 1, "Inner") == "MergeDataFailed"
