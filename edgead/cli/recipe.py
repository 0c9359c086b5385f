"""``edgead train --univariate``: from a recipe to a package of a model of one variable, and its card."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgead.errors import InvalidInput

if TYPE_CHECKING:
    from edgead.training.univariate import TrainedUnivariate


def train_recipe(recipe: str, out: Path) -> None:
    """Train as a recipe says; write the package, and its card beside it.

    Raises
    ------
    InvalidInput
        If the recipe or its data cannot be used, or the extra train is missing.
    """
    from edgead.cli.options import progress
    from edgead.cli.train import check_out, epochs, now_iso, write_out

    try:
        from edgead.training.univariate import count_series, read_recipe, train_univariate
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "onnxruntime"):
            raise
        raise InvalidInput(f"training needs {error.name}: pip install 'edgead[train]'") from None
    loaded = read_recipe(Path(recipe))
    card = out.with_suffix(".md")
    if card == out:
        raise InvalidInput(
            f"--out {out}: that is the name of the card beside the package, expected one of its own"
        )
    check_out(out)
    check_out(card)
    with (
        progress("making rows of series", count_series(loaded)) as prepared,
        epochs(loaded.recipe.fit.epochs) as tell,
    ):
        trained = train_univariate(loaded, created=now_iso(), prepared=prepared, progress=tell)
    write_out(out, trained.package)
    write_out(card, trained.card.encode())
    for line in _words(out, card, trained):
        click.echo(line)


def _words(out: Path, card: Path, trained: "TrainedUnivariate") -> list[str]:
    from edgead.config.units import show_size
    from edgead.package import open_package

    manifest = open_package(trained.package).manifest
    mine, light = trained.figures, trained.light
    return [
        f"{out}: {manifest.name} {manifest.version}, id {manifest.id}, {show_size(len(trained.package))}",
        f"  {trained.parameters} numbers; torch and onnxruntime differ by at most {trained.parity:.1g}",
        f"  on fresh simulated series: {mine.found} of {mine.anomalies} anomalies found, "
        f"{mine.false_per_1000:.2f} false events in 1000 readings",
        f"  spectral-residual there: {light.found}, {light.false_per_1000:.2f}",
        f"  card: {card}",
    ]
