"""A model of many variables over a recording: the rows a device would have joined, judged as it judges them."""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import ModelPackageError
from edgead.multivariate import Judgement, ModelSpec, Network, Scorer, VariableState, align
from edgead.recording import Times, Values

#: Rows between two steps of a progress bar.
TOLD_ROWS = 64


class JudgedGroup(msgspec.Struct, frozen=True):
    """What a model says about a recording.

    Attributes
    ----------
    names : tuple of str
        Variables in the model's order.
    times_ns : ndarray of int64, shape (rows,)
        Of the aligned rows.
    learning : int
        Rows at the beginning that end no whole window; they are not judged.
    judged : list of Judgement
        Of the other rows, oldest first.
    states : tuple of VariableState
        What alignment did.
    """

    names: tuple[str, ...]
    times_ns: Times
    learning: int
    judged: list[Judgement]
    states: tuple[VariableState, ...]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores of the judged rows."""
        return np.array([each.score for each in self.judged])

    @property
    def contributions(self) -> NDArray[np.float64]:
        """Shares of the variables in the judged rows' scores, shape (judged rows, variables)."""
        shares = np.array([each.contributions for each in self.judged])
        return shares.reshape(len(self.judged), len(self.names))


def judge_group(
    spec: ModelSpec,
    network: Network,
    columns: Mapping[str, tuple[Times, Values]],
    *,
    start: Callable[[int], Callable[[int], None]] = lambda rows: lambda step: None,
) -> JudgedGroup:
    """Align variables as the model says and judge every row that ends a whole window.

    Parameters
    ----------
    spec : ModelSpec
        Of the model.
    network : Network
        Its loaded network.
    columns : mapping of str to (times, values)
        The model's variables and no others; times in nanoseconds, rising; NaN where there is no value.
    start : callable, optional
        Told the number of rows to judge; what it gives is told of every few rows done.

    Returns
    -------
    JudgedGroup

    Raises
    ------
    InvalidInput
        With a code of the REST contract, when the variables make no table.
    ModelPackageError
        When the network fails on a row; see `Scorer.judge`.
    """
    table = align({name: columns[name] for name in spec.names}, spec.align)
    learning = min(spec.window - 1, len(table.rows))
    advance = start(len(table.rows) - learning)
    judged: list[Judgement] = []
    try:
        for judgement in Scorer(spec, network).judge_table(table.rows):
            judged.append(judgement)
            if len(judged) % TOLD_ROWS == 0:
                advance(TOLD_ROWS)
    except ModelPackageError as error:
        raise ModelPackageError(f"row {learning + len(judged) + 1}: {error}") from error
    advance(len(judged) % TOLD_ROWS)
    return JudgedGroup(spec.names, table.times_ns, learning, judged, table.states)
