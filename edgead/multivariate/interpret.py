"""Who caused an anomaly, and whose correlations changed."""

import msgspec


class Contributor(msgspec.Struct, frozen=True):
    """One variable of an interpretation.

    Attributes
    ----------
    variable : str
    contribution : float, 0..1
        Its share of the score.
    changed : tuple of str
        Variables whose correlations changed, the greatest change first; the same for every contributor of a row.
    """

    variable: str
    contribution: float
    changed: tuple[str, ...] = ()


def changed_variables(names: tuple[str, ...], changes: tuple[float, ...]) -> tuple[str, ...]:
    """Variables whose correlation change passes the edge of normal (1.0), greatest first, ties by name."""
    passed = [(-change, name) for name, change in zip(names, changes, strict=True) if change >= 1.0]
    return tuple(name for _, name in sorted(passed))


def interpretation(
    names: tuple[str, ...], contributions: tuple[float, ...], changes: tuple[float, ...], top: int
) -> tuple[Contributor, ...]:
    """The `top` greatest contributors, greatest first, ties by name.

    Parameters
    ----------
    names : tuple of str
        In the model's order.
    contributions, changes : tuple of float
        Of the same order: shares of the score, and correlation changes in units of the edge of normal.
    top : int
        At most so many.

    Returns
    -------
    tuple of Contributor
    """
    changed = changed_variables(names, changes)
    ranked = sorted(zip(contributions, names, strict=True), key=lambda pair: (-pair[0], pair[1]))
    return tuple(Contributor(name, share, changed) for share, name in ranked[:top])
