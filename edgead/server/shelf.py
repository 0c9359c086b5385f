"""Packages that a server can judge with: those trained here, and those installed on the gateway it runs on.

A trained package is a file named after its model; the row in the job store says that it is READY, and a file without
such a row is what a kill left.  Loaded models are kept in memory within a budget, the one used last longest.
"""

import logging
import threading
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import ModelSpec, Scorer
from edgead.package import Manifest, read_package
from edgead.registry import Registry, read_package_file
from edgead.registry.disk import make_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("edgead")

#: Makes the id of an installed package: the same package has the same id on every gateway.
_NAMESPACE = uuid.UUID("5f0f3d6e-6d0f-4a38-9d6e-0e64be1f9a4e")
#: Memory of a loaded model beside its numbers: onnxruntime's session of a small graph was measured at 1.2 MiB.
_SESSION_BYTES = 2 * 2**20
#: A session holds the weights once more than the file does.
_COPIES = 2


class Loaded(msgspec.Struct, frozen=True):
    """A model ready to judge.

    Attributes
    ----------
    spec : ModelSpec
    scorer : Scorer
    lock : threading.Lock
        A scorer judges for one request at a time.
    cost : int
        Bytes of memory, estimated.
    """

    spec: ModelSpec
    scorer: Scorer
    lock: threading.Lock
    cost: int


class InstalledModel(msgspec.Struct, frozen=True):
    """A package of this gateway's registry, seen as a model."""

    id: str
    manifest: Manifest


class Shelf:
    """The packages of one server.

    Parameters
    ----------
    trained : Path
        Folder of the packages trained here; made when missing.
    installed : Path
        Folder of the registry of this gateway; need not be there.
    memory_bytes : int
        Budget of loaded models; one is kept however large it is.
    """

    def __init__(self, trained: Path, installed: Path, *, memory_bytes: int) -> None:
        self._trained = trained
        self._installed = installed
        self._budget = memory_bytes
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._turn = threading.Lock()
        self._seen: tuple[tuple[Path, int], ...] = ()
        self._found: dict[str, InstalledModel] = {}
        make_folder(trained)

    def put(self, model_id: str, package: bytes) -> None:
        """Keep a verified package under the id of its model, whole or not at all.

        Raises
        ------
        ModelPackageError
            If the disk refuses.
        """
        write_whole(self._path(model_id), package)

    def read(self, model_id: str) -> bytes:
        """Bytes of the package of a model.

        Raises
        ------
        InvalidInput
            ``ModelNotExist``.
        ModelPackageError
            If the disk refuses.
        """
        installed = self.installed().get(model_id)
        if installed is not None:
            return Registry(self._installed).read(installed.manifest.name, installed.manifest.id)
        path = self._path(model_id)
        if not path.exists():
            raise InvalidInput("The model does not exist.", code="ModelNotExist")
        return read_package_file(path)

    def drop(self, model_id: str) -> None:
        """Forget the package of a model, if there is one."""
        self._path(model_id).unlink(missing_ok=True)
        with self._turn:
            self._loaded.pop(model_id, None)

    def sweep(self, known: "Iterable[str]") -> int:
        """Delete the packages of models that are not known; how many."""
        kept = {f"{model_id}.zip" for model_id in known}
        orphans = [path for path in self._trained.iterdir() if path.name not in kept]
        for path in orphans:
            path.unlink(missing_ok=True)
        return len(orphans)

    def set_aside(self) -> str:
        """Keep all packages out of the way, because nobody knows any more whose they are; tells where they are."""
        number = 1
        while (aside := self._trained.with_name(f"{self._trained.name}.lost-{number}")).exists():
            number += 1
        self._trained.rename(aside)
        make_folder(self._trained)
        return f"packages of models that are not known any more are kept in {aside}"

    def installed(self) -> dict[str, InstalledModel]:
        """Active multivariate packages of this gateway's registry by id; a damaged one is left out and told."""
        # an activation renames a new file `active` into the folder of its model
        stamp = tuple((path, path.stat().st_mtime_ns) for path in sorted(self._installed.glob("*/active")))
        if stamp != self._seen:
            found, registry = {}, Registry(self._installed)
            for path, _ in stamp:
                try:
                    manifest = registry.active(path.parent.name).manifest
                except ModelPackageError as error:
                    log.error("an installed model is left out", extra={"fields": {"reason": str(error)}})
                    continue
                if isinstance(manifest, Manifest):
                    identity = str(uuid.uuid5(_NAMESPACE, manifest.id))
                    found[identity] = InstalledModel(identity, manifest)
            self._found, self._seen = found, stamp
        return self._found

    def load(self, model_id: str) -> Loaded:
        """The model, ready to judge; from memory when it was used lately.

        Raises
        ------
        ModelPackageError
            If its package is damaged, or onnxruntime is not there or refuses it.
        """
        with self._turn:
            found = self._loaded.get(model_id)
            if found is not None:
                self._loaded.move_to_end(model_id)
                return found
        loaded = _loaded(self.read(model_id))
        with self._turn:
            self._loaded[model_id] = loaded
            while len(self._loaded) > 1 and sum(one.cost for one in self._loaded.values()) > self._budget:
                self._loaded.popitem(last=False)
        return loaded

    def _path(self, model_id: str) -> Path:
        return self._trained / f"{uuid.UUID(model_id)}.zip"


def _loaded(data: bytes) -> Loaded:
    package = read_package(data)
    try:
        from edgead.onnx import Session
    except ModuleNotFoundError:
        raise ModelPackageError("onnxruntime is not installed on this machine") from None
    session = Session(package.model)
    cost = _SESSION_BYTES + _COPIES * len(package.model)
    return Loaded(package.manifest, Scorer(package.manifest, session), threading.Lock(), cost)
