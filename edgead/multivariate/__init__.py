"""A model of many variables of one machine: alignment, judgement, and who caused it.

`Scorer` judges windows with a loaded network, `align` makes the table it reads, `ModelSpec` says what the network
was trained for.
"""

from edgead.multivariate.align import Table, VariableState, align
from edgead.multivariate.interpret import Contributor, changed_variables, interpretation
from edgead.multivariate.scoring import Judgement, Network, Scorer, severity, wire_score
from edgead.multivariate.spec import (
    AlignPolicy,
    ModelSpec,
    Scaler,
    Thresholds,
    Variable,
    check_spec,
)

__all__ = [
    "AlignPolicy",
    "Contributor",
    "Judgement",
    "ModelSpec",
    "Network",
    "Scaler",
    "Scorer",
    "Table",
    "Thresholds",
    "Variable",
    "VariableState",
    "align",
    "changed_variables",
    "check_spec",
    "interpretation",
    "severity",
    "wire_score",
]
