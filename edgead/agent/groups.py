"""The groups of a configuration, brought into the engine with the models they ask for.

A group that cannot be had is left out, with the reason: the agent runs on.  Nothing of the models
(numpy, onnxruntime) is imported before a configuration has a group.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from edgead.config import Config, GroupConfig
from edgead.errors import EdgeADError, ModelPackageError
from edgead.records import GROUP_PREFIX
from edgead.stream import Engine

if TYPE_CHECKING:
    from edgead.agent.models import Model
    from edgead.package import ModelPackage

#: Folder of the installed models in the state directory.
MODELS = "models"


class Groups:
    """What of ``[[group]]`` is at work.

    Parameters
    ----------
    config : Config
    engine : Engine
        Not restored yet.

    Attributes
    ----------
    models : dict of str to str
        Name and version of each model in use -> SHA-256 of its package.
    refused : dict of str to str
        Id of each group that is off -> why, in words.
    """

    def __init__(self, config: Config, engine: Engine) -> None:
        self.models: dict[str, str] = {}
        self._engine = engine
        self.refused: dict[str, str] = {}
        self._loaded: dict[str, Model] = {}
        self.load(config)

    def load(self, config: Config) -> tuple[set[str], set[str]]:
        """Take the groups of a configuration.

        Returns
        -------
        (set of str, set of str)
            Names (``group/{id}``) of the groups that are there, and of those that are gone.
        """
        before = set(self._engine.groups)
        self.refused.clear()
        models: dict[str, Model] = {}
        for group in config.group:
            try:
                reason = self._add(group, models, Path(config.node.state_dir))
            except EdgeADError as error:
                reason = str(error)
            except ImportError as error:
                reason = f"groups need onnxruntime: {error}"
            if reason is not None:
                self.refused[group.id] = reason
        wanted = {f"{GROUP_PREFIX}{group.id}" for group in config.group if group.id not in self.refused}
        for name in before - wanted:
            self._engine.remove_group(name.removeprefix(GROUP_PREFIX))
        self._loaded = models
        self.models = {model.name: model.sha256 for model in models.values()}
        return wanted, before - wanted

    def _add(self, group: GroupConfig, models: "dict[str, Model]", state_dir: Path) -> str | None:
        """Have the engine take one group; why not, in words."""
        from edgead.agent.models import Windowed

        if group.model not in models:
            models[group.model] = self._model(group.model, state_dir)
        windowed = Windowed(models[group.model], top=group.top)
        return self._engine.add_group(group.id, group.settings, windowed)

    def _model(self, place: str, state_dir: Path) -> "Model":
        """A model from its package; the loaded one, where a reload finds the same package again."""
        from edgead.agent.models import Model
        from edgead.package import UnivariatePackage
        from edgead.registry import Registry

        is_file = place.endswith(".zip")
        package = _read(Path(place)) if is_file else Registry(state_dir / MODELS).active(place)
        if isinstance(package, UnivariatePackage):
            raise ModelPackageError(f"{place} is a model of one variable, a group needs one of many")
        kept = self._loaded.get(place)
        return kept if kept is not None and kept.sha256 == package.sha256 else Model(package)

    def loaded(self, name: str) -> "Model | None":
        """The model at work under the name of an installed one."""
        return self._loaded.get(name)

    def exchange(self, name: str, model: "Model") -> None:
        """Note that the groups of an installed model have another package of it now."""
        self._loaded[name] = model
        self.models = {each.name: each.sha256 for each in self._loaded.values()}

    @property
    def problems(self) -> list[str]:
        """What is off, and why, in words."""
        failing = {place: model.failure for place, model in self._loaded.items() if model.failure}
        return [
            *(f"group {group_id}: off: {reason}" for group_id, reason in self.refused.items()),
            *(f"model {place}: {reason}" for place, reason in failing.items()),
        ]


def _read(path: Path) -> "ModelPackage":
    from edgead.package import read_package
    from edgead.package.archive import MAX_PACKAGE_BYTES

    try:
        with path.open("rb") as file:
            data = file.read(MAX_PACKAGE_BYTES + 1)  # one more than the reader takes
    except OSError as error:
        raise ModelPackageError(f"{path}: cannot be read: {error.strerror}") from error
    return read_package(data)
