"""The network of the detectors of one variable: the shipped one, or an installed package of its name.

Nothing of it (numpy, onnxruntime) is imported unless a series asks for it.
"""

from pathlib import Path

from edgead.agent.groups import MODELS
from edgead.config import Config
from edgead.errors import EdgeADError
from edgead.univariate.streaming import BEST, StreamingDetector, fallen_back, resolve


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
        self.models: dict[str, str] = {}
        self.default = self.detector = self.refused = ""
        names = {block.detector for block in config.series}
        wants_best = "default" in names
        if "srcnn" in names or (wants_best and BEST == "srcnn"):
            self._take(Path(config.node.state_dir) / MODELS)
        if wants_best:
            self.default, self.detector = fallen_back(), resolve("default")

    def _take(self, folder: Path) -> None:
        try:
            from edgead.univariate import networks
        except ImportError:
            return  # numpy; `default` tells
        if networks.missing():
            return
        try:
            if (folder / networks.MODEL / "active").exists():
                self._use_installed(folder)
            network = networks.in_use()
        except EdgeADError as error:
            self.refused = self.refused or f"model {networks.MODEL}: {error}"
            return
        self.models = {network.name: network.sha256}

    def _use_installed(self, folder: Path) -> None:
        from edgead.registry import Registry
        from edgead.univariate import networks

        try:
            networks.use(Registry(folder).active(networks.MODEL))
        except EdgeADError as error:
            self.refused = f"model {networks.MODEL}: the installed one is not in use: {error}"

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
