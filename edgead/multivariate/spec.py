"""What a model of many variables is told: variables in order, window, alignment, scaling, thresholds."""

from typing import Literal

import msgspec

from edgead.errors import InvalidInput

AlignMode = Literal["Inner", "Outer"]
FillMethod = Literal["Previous", "Subsequent", "Linear", "Zero", "Fixed"]

#: Shortest and longest window, most variables (limits of the cloud service).
MIN_WINDOW, MAX_WINDOW, MAX_VARIABLES = 28, 2880, 300
#: Seconds between rows: times are told in nanoseconds, and no bus brings readings faster than a microsecond apart.
MIN_STEP_S, MAX_STEP_S = 1e-6, 1e9
#: Characters of the name of a variable and of its unit: events carry them.
MAX_NAME = 256


class Variable(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measured quantity.

    Attributes
    ----------
    name : str
    unit : str
        Empty when unknown.
    minimum, maximum : float
        Range in normal operation, as trained.
    """

    name: str
    unit: str = ""
    minimum: float = 0.0
    maximum: float = 0.0


class AlignPolicy(msgspec.Struct, frozen=True):
    """How variables with different times become one table.

    Attributes
    ----------
    mode : {"Outer", "Inner"}
        Rows at the times of any variable, or of every one.
    fill : {"Linear", "Previous", "Subsequent", "Zero", "Fixed"}
        What a hole becomes.
    padding_value : float
        For ``Fixed``.
    """

    mode: AlignMode = "Outer"
    fill: FillMethod = "Linear"
    padding_value: float = 0.0


class Scaler(msgspec.Struct, frozen=True):
    """``(value - center) / scale`` per variable, clipped at +-`limit`."""

    center: tuple[float, ...]
    scale: tuple[float, ...]
    limit: float


class Thresholds(msgspec.Struct, frozen=True):
    """The edge of normal of the network's outputs, and the alarm budget it was set for.

    Attributes
    ----------
    joined, local : float, > 0
        Outputs of that size give the score 1.
    correlation : float, > 0
        A variable whose correlation change passes it has changed.
    budget : float
        Share of normal rows that may alarm.
    """

    joined: float
    local: float
    correlation: float
    budget: float


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All a device must know to use the network of a model.

    Attributes
    ----------
    variables : tuple of Variable
        In the order of the network's input.
    window : int, 28..2880
        Rows judged together; the judged row is the last.
    step_s : float, 1e-6..1e9
        Seconds between rows.
    align : AlignPolicy
    scaler : Scaler
    thresholds : Thresholds
    """

    variables: tuple[Variable, ...]
    window: int
    step_s: float
    align: AlignPolicy
    scaler: Scaler
    thresholds: Thresholds

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables in order."""
        return tuple(variable.name for variable in self.variables)


def check_spec(spec: ModelSpec) -> None:
    """Raise `InvalidInput` for the first number of `spec` that makes no sense."""
    count = len(spec.variables)
    _expect("variables", count, 1 <= count <= MAX_VARIABLES, f"1 to {MAX_VARIABLES}")
    names = spec.names
    _expect("variables", names, len(set(names)) == count and all(names), "different names, none empty")
    longest = max(len(text) for variable in spec.variables for text in (variable.name, variable.unit))
    _expect("variables", longest, longest <= MAX_NAME, f"names and units of at most {MAX_NAME} characters")
    good = MIN_WINDOW <= spec.window <= MAX_WINDOW
    _expect("window", spec.window, good, f"{MIN_WINDOW} to {MAX_WINDOW}")
    _expect("step_s", spec.step_s, MIN_STEP_S <= spec.step_s < MAX_STEP_S, "a microsecond or more")
    for key in ("center", "scale"):
        numbers = getattr(spec.scaler, key)
        _expect(f"scaler.{key}", len(numbers), len(numbers) == count, f"{count} numbers")
        finite = all(abs(number) < 1e300 for number in numbers)
        _expect(f"scaler.{key}", numbers, finite, "finite numbers")
    _expect("scaler.scale", spec.scaler.scale, min(spec.scaler.scale) > 0, "numbers above 0")
    for variable, center in zip(spec.variables, spec.scaler.center, strict=True):
        _check_range(variable, center)
    _expect("scaler.limit", spec.scaler.limit, 0 < spec.scaler.limit < 1e6, "above 0")
    for key in ("joined", "local", "correlation"):
        number = getattr(spec.thresholds, key)
        _expect(f"thresholds.{key}", number, 1e-9 < number < 1e9, "1e-9 to 1e9")
    _expect("thresholds.budget", spec.thresholds.budget, 0 < spec.thresholds.budget < 1, "0 to 1")


def _check_range(variable: Variable, center: float) -> None:
    """The mean of what a variable was seen to do lies in its range; variables in another order seldom pass."""
    low, high = variable.minimum, variable.maximum
    room = 1e-6 * (1.0 + abs(center))
    if low < high and not low - room <= center <= high + room:
        raise InvalidInput(
            f"scaler.center {center:g} of {variable.name!r} is not in its range {low:g} to {high:g}: "
            "are the variables in order?"
        )


def _expect(name: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise InvalidInput(f"{name} = {value!r}: expected {expected}")
