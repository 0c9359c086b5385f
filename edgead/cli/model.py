"""``edgead model``: packages of models, in a file or on the device."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgead.onnx import Session
    from edgead.package import AnyManifest, ModelPackage, Package, UnivariatePackage
    from edgead.registry import Installed, Registry

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
    """Look at, check and install packages of models, of many variables (for groups) or of one (for detector srcnn).

    show and verify take a PACKAGE file, or with -c an installed one by its ID or NAME (without any: all of them); list,
    install, activate and rollback need -c.  An installation tries the package in a process of its own and puts it
    beside the active one; the first of a name becomes active.  An ID may be shortened.  A package that is refused
    changes nothing: exit code 1 and one line of reason.

    \b
    Examples:
      edgead model verify pump.zip                    would a device take it?
      edgead model show pump.zip                      variables, threshold, training, size, cost
      edgead model install pump.zip -c gateway.toml
      edgead model list -c gateway.toml
      edgead model activate 4f2c0d11 -c gateway.toml
      edgead model rollback pump -c gateway.toml      the package before it again
      systemctl reload edgead                         a running agent takes what is active now
    """
    if (
        action in ("show", "verify")
        and target is not None
        and (config_file is None or Path(target).is_file())
    ):
        with _named(target):
            _look(action, target, _read(target))
        return
    registry = _registry(action, config_file)
    if action == "list":
        _list(registry)
    elif action == "install":
        _install(registry, target)
    elif action in ("show", "verify"):
        for one in registry.packages() if target is None else [registry.find(target)]:
            _look(action, one.manifest.id, registry.read(one.manifest.name, one.manifest.id))
        if target is None:
            _refuse_damaged(registry)
    elif action == "activate":
        one = _waiting(registry, target)
        manifest = registry.activate(one.manifest.name, one.manifest.id)
        click.echo(f"active: {manifest.name} {manifest.version}, id {manifest.id}")
    else:
        manifest = registry.roll_back(_name_of(registry, target))
        click.echo(f"back to {manifest.name} {manifest.version}, id {manifest.id}")


def _registry(action: str, config_file: str | None) -> "Registry":
    from edgead.config import load
    from edgead.registry import Registry

    if config_file is None:
        raise click.UsageError(f"model {action} needs -c FILE")
    return Registry(Path(load(config_file).node.state_dir) / "models")


@contextlib.contextmanager
def _named(path: str) -> "Iterator[None]":
    """What is wrong with a package is told with the name of its file."""
    from edgead.errors import ModelPackageError

    try:
        yield
    except ModelPackageError as error:
        raise error if str(error).startswith(path) else ModelPackageError(f"{path}: {error}") from error


def _read(path: str) -> bytes:
    from edgead.registry import read_package_file

    return read_package_file(Path(path))


def _install(registry: "Registry", target: str | None) -> None:
    if target is None:
        raise click.UsageError("model install needs a PACKAGE")
    with _named(target):
        manifest = registry.install(_read(target))
    active = registry.find(manifest.id).active
    state = "active" if active else f"not active yet: edgead model activate {manifest.id[:8]}"
    click.echo(f"installed {manifest.name} {manifest.version}, id {manifest.id}; {state}")


def _waiting(registry: "Registry", target: str | None) -> "Installed":
    """The package to activate: by its id, or the only one of that name (or of all) that is not active."""
    from edgead.errors import ModelPackageError

    waiting = [one for one in registry.packages() if not one.active and target in (None, one.manifest.name)]
    if len(waiting) == 1:
        return waiting[0]
    if target is None:
        known = ", ".join(one.manifest.id for one in waiting) or "none"
        raise ModelPackageError(f"activate which? not active are: {known}")
    return registry.find(target)


def _name_of(registry: "Registry", target: str | None) -> str:
    """The model to roll back: by its name, by the id of a package, or the only one."""
    from edgead.errors import ModelPackageError

    names = sorted({one.manifest.name for one in registry.packages()})
    if target is None and len(names) == 1:
        return names[0]
    if target is None:
        raise ModelPackageError(f"roll back which model? installed are: {', '.join(names) or 'none'}")
    return target if target in names else registry.find(target).manifest.name


def _refuse_damaged(registry: "Registry") -> None:
    """What was looked at is not all there is."""
    from edgead.errors import ModelPackageError

    for one in registry.damaged():
        at_work = "the active package" if one.active else "package"
        raise ModelPackageError(f"{one.name}: {at_work} {one.id} is damaged: {one.reason}; install it again")


def _list(registry: "Registry") -> None:
    found, damaged = registry.packages(), registry.damaged()
    if not found and not damaged:
        click.echo("no models installed")
    for one in found:
        mark = "active   " if one.active else "installed"
        manifest = one.manifest
        click.echo(f"{mark}  {manifest.name} {manifest.version}  {manifest.id}  {_extent(manifest)}")
    for broken in damaged:
        mark = ", and is the active one" if broken.active else ""
        click.echo(f"damaged    {broken.name}  {broken.id}{mark}: {broken.reason}")


def _extent(manifest: "AnyManifest") -> str:
    return f"{len(manifest.variables)} variables" if manifest.kind == "multivariate" else "any one variable"


def _look(action: str, target: str, data: bytes) -> None:
    from edgead.package import open_package
    from edgead.registry.trial import run_trial

    package = open_package(data)
    run_trial(data)
    if action == "verify":
        click.echo(f"{target}: ok, {package.manifest.name} {package.manifest.version}")
        return
    for line in _words(package):
        click.echo("".join(each if each.isprintable() else "?" for each in line))  # names are a stranger's


def _words(package: "Package") -> list[str]:
    """The package told to people."""
    from edgead.package import UnivariatePackage

    if isinstance(package, UnivariatePackage):
        return _univariate_words(package)
    return _multivariate_words(package)


def _univariate_words(package: "UnivariatePackage") -> list[str]:
    manifest, history = package.manifest, package.self_test.histories[:1]
    training = manifest.training
    session = _session(package.model)
    return [
        f"{manifest.name} {manifest.version}, id {manifest.id}",
        f"judges any one variable by {manifest.window} rows of {', '.join(manifest.channels)} "
        f"({manifest.features}); embedding of {manifest.embedding}",
        *(f"  {name} = {value:g}" for name, value in manifest.constants.items()),
        f"trained by {training.trainer} with the recipe {training.recipe}, seed {training.seed}, on "
        f"{training.rows} rows of {training.series} series:",
        *(f"  {source}" for source in training.sources),
        _cost_words(package, _median_ms(lambda: session.run(history)), "reading"),
        f"needs edgead {manifest.minimum_edgead} or newer; SHA-256 {package.sha256}",
    ]


def _multivariate_words(package: "ModelPackage") -> list[str]:
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
        _cost_words(package, _cost_ms(package), "row"),
        f"needs edgead {manifest.minimum_edgead} or newer; SHA-256 {package.sha256}",
    ]


def _cost_words(package: "Package", ms: float, what: str) -> str:
    return (
        f"{package.size} bytes, {package.graph.numbers} numbers in {len(package.graph.operators)} operators, "
        f"{ms:.2f} ms a {what} on this machine"
    )


def _session(model: bytes) -> "Session":
    from edgead.onnx import Session

    return Session(model)


def _cost_ms(package: "ModelPackage") -> float:
    from edgead.multivariate import Scorer

    scorer = Scorer(package.manifest, _session(package.model))
    window = package.self_test.rows[: package.manifest.window]
    return _median_ms(lambda: scorer.judge(window))


def _median_ms(judge: "Callable[[], object]") -> float:
    """Time of one judgement, the median of twenty."""
    import statistics
    import time

    took = []
    for _ in range(20):
        start = time.perf_counter_ns()
        judge()
        took.append((time.perf_counter_ns() - start) / 1e6)
    return statistics.median(took)
