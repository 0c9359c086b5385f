"""A good package is read; forty bad ones are refused, each with its reason."""

import contextlib

import msgspec
import numpy as np
import pytest

from edgead.errors import ModelPackageError
from edgead.package import read_package
from tests import packages as make
from tests.hostile_packages import BAD


def test_the_shipped_package_reads():
    package = read_package(make.PUMP)
    assert package.manifest.name == "pump"
    assert package.manifest.names == ("flow", "pressure", "current", "vibration", "temperature")
    assert package.manifest.variables[0].unit == "m3/h"
    assert package.manifest.window == 300
    assert package.size == len(make.PUMP)
    assert package.graph.numbers < 500_000


def test_unknown_keys_of_the_same_format_are_ignored():
    assert read_package(make.with_manifest(lambda m: m.update(later="x"))).manifest.name == "pump"


@pytest.mark.parametrize("name", BAD)
def test_refused_with_its_reason(name):
    build, reason = BAD[name]
    with pytest.raises(ModelPackageError, match=reason) as refusal:
        read_package(build())
    assert "\n" not in str(refusal.value)


def test_forty_kinds_at_least():
    assert len(BAD) >= 40


def test_no_cut_and_no_flip_gets_another_exception():
    rng = np.random.default_rng(5)
    for _ in range(60):
        data = bytearray(make.PUMP)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(256)
        cut = bytes(data[: rng.integers(1, len(data) + 1)])
        with pytest.raises(ModelPackageError):
            read_package(cut)


def test_no_damaged_model_gets_another_exception():
    rng = np.random.default_rng(6)
    model = make.files_of()["model.onnx"]
    for _ in range(40):
        data = bytearray(model)
        for place in rng.integers(0, 3000, 3):
            data[-place] = rng.integers(256)
        with contextlib.suppress(ModelPackageError):
            read_package(make.with_file("model.onnx", bytes(data)))


def test_the_manifest_has_the_public_keys():
    manifest = msgspec.json.decode(make.files_of()["manifest.json"])
    keys = {"format_version", "id", "name", "version", "variables", "window", "step_s", "minimum_edgead"}
    assert keys | {"files"} <= set(manifest)
    assert set(manifest["files"]["model.onnx"]) == {"sha256", "size"}
