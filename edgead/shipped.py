"""The model packages that come with edgead: folder ``models`` of the source tree, ``edgead/models`` of a wheel."""

from pathlib import Path

from edgead.errors import ModelPackageError

_HERE = Path(__file__).resolve()
FOLDERS = (_HERE.parent / "models", _HERE.parents[1] / "models")


def shipped(name: str) -> bytes:
    """Bytes of a package that comes with edgead.

    Parameters
    ----------
    name : str
        Of the model, e.g. ``"srcnn"``.

    Raises
    ------
    ModelPackageError
        If this installation has none of that name.
    """
    path = shipped_path(name)
    if path is None:
        raise ModelPackageError(f"edgead was installed without its model {name}: no {FOLDERS[0] / name}.zip")
    return path.read_bytes()


def shipped_path(name: str) -> Path | None:
    """Where a package that comes with edgead lies; None when this installation has none of that name."""
    paths = (folder / f"{name}.zip" for folder in FOLDERS)
    return next((path for path in paths if path.is_file()), None)
