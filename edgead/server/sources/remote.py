"""Tables from object stores, through the fsspec driver that the user installed."""

import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgead.server.sources.addresses import Url
from edgead.server.sources.budget import Budget, SourceError
from edgead.server.sources.tables import TableNames, is_table

#: Schemes, and the package that brings the driver.
DRIVERS = {"s3": "s3fs", "abfs": "adlfs", "abfss": "adlfs"}


def download(url: Url, into: Path, budget: Budget) -> Path:
    """Copy an object, or the tables of a folder of objects, below `into`.

    Credentials are the driver's own business (environment, instance role).  A driver cannot be told when to stop, so
    it works in a thread that is left behind when time is over.

    Raises
    ------
    SourceError
        ``StorageReadError`` (no driver, no permission), ``FileNotExist``, ``FileSizeTooLarge``, ``GetDataError`` and
        those of `TableNames`.
    """
    return budget.within(lambda: _download(url, into, budget))


def _download(url: Url, into: Path, budget: Budget) -> Path:
    system, path = _opened(url)
    info = _asked(url, lambda: system.info(path))
    if info["type"] != "directory":
        _copy(system, url, info, into / "source", budget)
        return into / "source"
    names = TableNames(budget.source)
    folder = into / "tables"
    folder.mkdir()
    for entry in sorted(
        _asked(url, lambda: system.ls(path, detail=True)), key=lambda found: str(found["name"])
    ):
        name = posixpath.basename(str(entry["name"]).rstrip("/"))
        if entry["type"] == "file" and is_table(name):
            names.add(name)
            _copy(system, url, entry, folder / name, budget)
    names.expect_some()
    return folder


def _opened(url: Url) -> tuple[Any, str]:
    """File system of the scheme, and the path as it names it."""
    import fsspec

    bare = str(msgspec.structs.replace(url, path="/"))
    path = "/".join(url.segments())
    if "::" in path or "?" in path:  # fsspec's own grammar: chained file systems
        raise SourceError(f"{url}: a name has no '::' and no '?'", code="InvalidBlobURL")
    try:
        system, place = fsspec.core.url_to_fs(bare + path, skip_instance_cache=True)
    except (ImportError, ValueError) as error:
        package = DRIVERS[url.scheme]
        message = f"{url}: {url.scheme}:// needs a driver, pip install {package} ({error})"
        raise SourceError(message, code="StorageReadError") from None
    except Exception as error:
        raise _translated(url, error) from None
    return system, str(place)


def _copy(system: Any, url: Url, info: dict[str, Any], out: Path, budget: Budget) -> None:
    budget.announce(int(info.get("size") or 0))
    with _asked(url, lambda: system.open(info["name"], "rb")) as file:
        budget.copy(lambda size: bytes(_asked(url, lambda: file.read(size))), out)


def _asked(url: Url, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # each driver has its own tree of errors
        raise _translated(url, error) from None


def _translated(url: Url, error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{url}: no such file or folder", code="FileNotExist")
    if isinstance(error, PermissionError):
        return SourceError(f"{url}: no permission", code="StorageReadError")
    return SourceError(f"{url}: not read ({type(error).__name__}: {str(error)[:200]})", code="GetDataError")
