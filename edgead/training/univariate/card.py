"""The card of a model: what a person should know before trusting it."""

from edgead.package import UnivariatePackage
from edgead.training.univariate.evaluate import IN_TIME, Figures
from edgead.training.univariate.recipe import Loaded


def card(
    loaded: Loaded,
    package: UnivariatePackage,
    figures: Figures,
    light: Figures,
    *,
    parity: float,
    parameters: int,
) -> str:
    """Markdown about a package; the same package gives the same text.

    Parameters
    ----------
    loaded : Loaded
        The recipe.
    package : UnivariatePackage
        As written.
    figures, light : Figures
        Of the model, and of the spectral residual on the same series.
    parity : float
        Greatest difference between torch and onnxruntime.
    parameters : int
        Trained numbers.
    """
    manifest = package.manifest
    origin = manifest.training
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        loaded.recipe.about or "A network of one variable for the detector `srcnn`.",
        "",
        "| | |",
        "|---|---|",
        f"| id | `{manifest.id}` |",
        f"| built by | `edgead train --univariate {loaded.label}.toml`, {origin.trainer}, seed {origin.seed} |",
        f"| reads | {manifest.window} rows of {', '.join(manifest.channels)} (`{manifest.features}`) |",
        f"| size | {package.size} bytes, {parameters} trained numbers, embedding of {manifest.embedding} |",
        f"| learned from | {origin.rows} rows of {origin.series} series, SHA-256 `{origin.data_sha256[:16]}...` |",
        f"| torch and onnxruntime | differ by at most {parity:.1g} |",
        "",
        "## Data and licences",
        "",
        *(f"- {source}" for source in origin.sources),
        "",
        "Anomalies were made: "
        + ", ".join(loaded.recipe.anomalies.kinds)
        + ". No reading of any data set is in the "
        "package; its self-test is made, not measured. No test part was used.",
        "",
        "## Figures",
        "",
        f"On fresh simulated series that it has not seen, anomalies found within {IN_TIME} readings of their start, "
        "and false events in 1000 normal readings, with the default settings:",
        "",
        "| | srcnn with this model | spectral-residual |",
        "|---|---|---|",
        f"| found | {figures.found} of {figures.anomalies} | {light.found} of {light.anomalies} |",
        f"| false events in 1000 | {figures.false_per_1000:.2f} | {light.false_per_1000:.2f} |",
        *(
            f"| {kind} | {hit} of {of} | {light.by_kind[kind][0]} of {of} |"
            for kind, (hit, of) in figures.by_kind.items()
        ),
        "",
        "On recordings: docs/algorithms.md.",
        "",
        "## Limits",
        "",
        "- It knows shapes, not meanings: whether a change matters, the operator says with gates and sensitivity.",
        "- What is normal for a series it learns from that series' own first readings; an anomaly among them counts "
        "as normal until it is outlived.",
        "- Made anomalies are guesses about real ones; slow drifts over days are not among them.",
        "",
    ]
    return "\n".join(lines)
