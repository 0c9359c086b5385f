"""Arrays as .npz without pickle: bounded, and the same arrays give the same bytes."""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgead.errors import ModelPackageError
from edgead.package.archive import unzip, zipped

_KINDS = ("<f4", "<f8", "<i8")


def encode_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays by name as .npz bytes."""
    files = {}
    for name, array in arrays.items():
        out = io.BytesIO()
        npy.write_array(out, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        files[f"{name}.npy"] = out.getvalue()
    return zipped(files)


def decode_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Arrays of .npz bytes.

    Raises
    ------
    ModelPackageError
        If the file is damaged, an array is not of float32, float64 or int64, its size is not what its header
        says, or a number is not finite.
    """
    return {name.removesuffix(".npy"): _decode(name, content) for name, content in unzip(data).items()}


def _decode(name: str, content: bytes) -> NDArray[Any]:
    source = io.BytesIO(content)
    try:
        version = npy.read_magic(source)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, fortran, kind = npy.read_array_header_1_0(source)
    except Exception as error:  # numpy's header reader evaluates a literal and raises what it likes
        raise ModelPackageError(f"{name}: not an array: {error}") from error
    body = content[source.tell() :]
    if fortran or kind.str not in _KINDS:
        raise ModelPackageError(f"{name}: numbers of kind {kind.str}, expected one of {', '.join(_KINDS)}")
    if math.prod(shape) * kind.itemsize != len(body):
        raise ModelPackageError(f"{name}: {len(body)} bytes do not fill shape {str(shape)[:80]}")
    try:
        array = np.frombuffer(body, kind).reshape(shape)
    except (ValueError, TypeError) as error:  # negative, too many or boolean dimensions
        raise ModelPackageError(f"{name}: shape {str(shape)[:80]}: {error}") from error
    if not np.isfinite(array).all():
        raise ModelPackageError(f"{name} holds a number that is not finite")
    return array
