"""``edgead model``: packages of models, in a file or on the device."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgead.package import ModelPackage
    from edgead.registry import Registry

ACTIONS = ("list", "show", "verify", "install", "activate", "rollback")


@click.command(short_help="Look at, check and install model packages.")
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("target", metavar="[PACKAGE|ID|NAME]", required=False)
@click.option(
    "-c",
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Configuration file: whose state directory holds the models.",
)
def model(action: str, target: str | None, config_file: str | None) -> None:
    """Look at, check and install packages of multivariate models.

    show and verify take a PACKAGE file, or the ID of an installed one with -c; list, install, activate and rollback
    need -c.  An installation tries the package in a process of its own and activates nothing; a package that is
    refused changes nothing: exit code 1 and one line of reason.

    \b
    Examples:
      edgead model verify pump.zip                    would a device take it?
      edgead model show pump.zip                      variables, threshold, training, size, cost
      edgead model install pump.zip -c gateway.toml
      edgead model list -c gateway.toml
      edgead model activate 4f2c0d11aa93be07 -c gateway.toml
      edgead model rollback pump -c gateway.toml
    """
    if action == "list":
        _list(_registry(action, config_file))
        return
    if target is None:
        raise click.UsageError(
            f"model {action} needs {'a NAME' if action == 'rollback' else 'a PACKAGE or ID'}"
        )
    if action in ("show", "verify"):
        _look(action, target, config_file)
        return
    registry = _registry(action, config_file)
    if action == "install":
        manifest = registry.install(_read(target))
        click.echo(f"installed {manifest.name} {manifest.version}, id {manifest.id}; not active yet")
    elif action == "activate":
        manifest = registry.activate(_name_of(registry, target), target)
        click.echo(f"active: {manifest.name} {manifest.version}, id {manifest.id}")
    else:
        manifest = registry.roll_back(target)
        click.echo(f"back to {manifest.name} {manifest.version}, id {manifest.id}")


def _registry(action: str, config_file: str | None) -> "Registry":
    from edgead.config import load
    from edgead.registry import Registry

    if config_file is None:
        raise click.UsageError(f"model {action} needs -c FILE")
    return Registry(Path(load(config_file).node.state_dir) / "models")


def _read(path: str) -> bytes:
    """A package's bytes; one byte more than a package may have is enough to refuse it."""
    from edgead.package.archive import MAX_PACKAGE_BYTES

    with open(path, "rb") as source:
        return source.read(MAX_PACKAGE_BYTES + 1)


def _name_of(registry: "Registry", identity: str) -> str:
    from edgead.errors import ModelPackageError

    for one in registry.packages():
        if one.manifest.id == identity:
            return one.manifest.name
    raise ModelPackageError(f"package {identity} is not installed")


def _list(registry: "Registry") -> None:
    found = registry.packages()
    if not found:
        click.echo("no models installed")
    for one in found:
        mark = "active   " if one.active else "installed"
        manifest = one.manifest
        click.echo(
            f"{mark}  {manifest.name} {manifest.version}  {manifest.id}  {len(manifest.variables)} variables"
        )


def _look(action: str, target: str, config_file: str | None) -> None:
    from edgead.package import read_package
    from edgead.registry.trial import run_trial

    if config_file is not None and not Path(target).is_file():
        registry = _registry(action, config_file)
        data = registry.read(_name_of(registry, target), target)
    else:
        data = _read(target)
    package = read_package(data)
    run_trial(data)
    if action == "verify":
        click.echo(f"{target}: ok, {package.manifest.name} {package.manifest.version}")
        return
    for line in _words(package):
        click.echo(line)


def _words(package: "ModelPackage") -> list[str]:
    """The package told to people."""
    manifest = package.manifest
    training, thresholds = manifest.training, manifest.thresholds
    lines = [
        f"{manifest.name} {manifest.version}, id {manifest.id}",
        f"judges {manifest.window} rows of {manifest.step_s:g} s together, {len(manifest.variables)} variables:",
    ]
    for variable in manifest.variables:
        unit = f" {variable.unit}" if variable.unit else ""
        lines.append(f"  {variable.name}: {variable.minimum:g} to {variable.maximum:g}{unit} in training")
    return [
        *lines,
        f"rows are aligned {manifest.align.mode}, holes filled {manifest.align.fill}",
        f"threshold {thresholds.joined:.3g} joined, {thresholds.local:.3g} local: at most "
        f"{1000 * thresholds.budget:g} of 1000 normal rows alarm",
        f"trained on {training.rows} rows from {training.start} to {training.end} by {training.trainer}",
        f"{package.size} bytes, {package.graph.numbers} numbers in {len(package.graph.operators)} operators, "
        f"{_cost_ms(package):.2f} ms of CPU a row on this machine",
        f"needs edgead {manifest.minimum_edgead} or newer; SHA-256 {package.sha256}",
    ]


def _cost_ms(package: "ModelPackage") -> float:
    """CPU of one judgement, the median of twenty."""
    import statistics
    import time

    from edgead.multivariate import Scorer
    from edgead.onnx import Session

    scorer = Scorer(package.manifest, Session(package.model))
    window = package.self_test.rows[: package.manifest.window]
    took = []
    for _ in range(20):
        start = time.process_time_ns()
        scorer.judge(window)
        took.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(took)
