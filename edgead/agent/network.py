"""The network of the detectors of one variable: the shipped one, or an installed package of its name.

Nothing of it (numpy, onnxruntime) is imported unless a series asks for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from edgead.agent.groups import MODELS
from edgead.config import Config
from edgead.errors import EdgeADError
from edgead.univariate.streaming import BEST, StreamingDetector, fallen_back, resolve

if TYPE_CHECKING:
    from edgead.univariate.networks import Network


def network_of(config: Config) -> str:
    """Name of the network that series of a configuration ask for; "" where none does."""
    names = {block.detector for block in config.series}
    return BEST if BEST in names or "default" in names else ""


class NetworkInUse:
    """What the detectors of a configuration run.

    Parameters
    ----------
    config : Config
        Series and state directory.

    Attributes
    ----------
    models : dict of str to str
        Name and version -> SHA-256 of the package; empty where no series has a network.
    default : str
        What ``default`` lacks here, in words; "" where it is the best detector, or no series asks for it.
    detector : str
        What ``default`` stands for here; "" where no series asks for it, because finding out loads onnxruntime.
    refused : str
        Why an installed package is not the one in use, in words.
    """

    def __init__(self, config: Config) -> None:
        self.load(config)

    def load(self, config: Config) -> None:
        """Take a configuration, and what is active now."""
        self.models: dict[str, str] = {}
        self.default = self.detector = self.refused = ""
        if network_of(config):
            self._take(Path(config.node.state_dir) / MODELS)
        if any(block.detector == "default" for block in config.series):
            self.default, self.detector = fallen_back(), resolve("default")

    def _take(self, folder: Path) -> None:
        try:
            from edgead.univariate import networks
        except ImportError:
            return  # numpy; `default` tells
        if networks.missing():
            return
        try:
            self._use_active(folder)
            network = networks.in_use()
        except EdgeADError as error:
            self.refused = self.refused or f"model {networks.MODEL}: {error}"
            return
        self.models = {network.name: network.sha256}

    def _use_active(self, folder: Path) -> None:
        """The installed package, or the shipped one where none is active."""
        from edgead.univariate import networks

        if not (folder / networks.MODEL / "active").exists():
            networks.use_shipped()
            return
        from edgead.registry import Registry

        try:
            registry = Registry(folder)
            if registry.active_id(networks.MODEL):
                networks.use(registry.active(networks.MODEL))
            else:
                networks.use_shipped()
        except EdgeADError as error:
            self.refused = f"model {networks.MODEL}: the installed one is not in use: {error}"

    def put(self, network: "Network") -> None:
        """Have detectors made from now on use this network."""
        from edgead.univariate import networks

        networks.put(network)
        self.models = {network.name: network.sha256}

    def is_behind(self, detector: StreamingDetector) -> bool:
        """Whether a detector was made with another package than the one in use."""
        network = getattr(detector, "network", None)
        return network is not None and bool(self.models) and network.sha256 not in self.models.values()

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, in words."""
        found = [self.refused]
        if self.models:
            from edgead.univariate import networks

            found.append(networks.problem() and f"model {networks.MODEL}: {networks.problem()}")
        return [each for each in found if each]
