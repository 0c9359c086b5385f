"""The shipped network is read; what is wrong with thirty others is told; both kinds keep apart."""

import contextlib
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from edgead.errors import ModelPackageError
from edgead.onnx import Session
from edgead.package import UnivariatePackage, open_package, read_package, self_test
from edgead.univariate import DetectorSettings
from edgead.univariate.networks import Network
from edgead.univariate.srcnn import SrcnnDetector
from tests import packages as make
from tests.hostile_univariate import BAD, COUNT, SPEC
from tests.packages import PUMP, SRCNN


def opened(data: bytes = SRCNN) -> UnivariatePackage:
    package = open_package(data)
    assert isinstance(package, UnivariatePackage)
    return package


def test_the_shipped_network_reads_and_is_small():
    package = opened()
    assert package.manifest.name == "srcnn"
    assert package.manifest.kind == "univariate"
    assert package.size == len(SRCNN) <= 2**20
    assert package.graph.inputs[0].shape == (0, len(SPEC.channels), SPEC.window)


def test_a_reader_of_many_variables_refuses_it_in_words():
    with pytest.raises(ModelPackageError, match="srcnn is a model of one variable, expected one of many"):
        read_package(SRCNN)
    assert open_package(PUMP).manifest.kind == "multivariate"


def test_unknown_keys_of_the_same_format_are_ignored():
    assert opened(make.with_manifest(lambda m: m.update(later="x"), SRCNN)).manifest.name == "srcnn"


@pytest.mark.parametrize("name", BAD)
def test_refused_with_its_reason(name: str):
    build, reason = BAD[name]
    with pytest.raises(ModelPackageError, match=reason) as refusal:
        open_package(build())
    assert "\n" not in str(refusal.value)


def test_no_cut_no_flip_and_no_damaged_model_gets_another_exception():
    rng, model = np.random.default_rng(5), make.files_of(SRCNN)["model.onnx"]
    for _ in range(60):
        data, inner = bytearray(SRCNN), bytearray(model)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(256)
        for place in rng.integers(0, len(inner), 3):
            inner[place] = rng.integers(256)
        for changed in (
            bytes(data[: rng.integers(1, len(data) + 1)]),
            make.with_file("model.onnx", bytes(inner), SRCNN),
        ):
            with contextlib.suppress(ModelPackageError):
                open_package(changed)


def test_the_self_test_passes_and_a_wrong_answer_does_not():
    package = opened()
    session = Session(package.model)
    self_test(package, session)
    for name, shape in (("scores", (COUNT,)), ("embeddings", (COUNT, SPEC.embedding))):
        wrong = make.with_file(
            "selftest.npz", make.arrays_with(SRCNN, **{name: np.full(shape, 9.0, np.float32)}), SRCNN
        )
        with pytest.raises(ModelPackageError, match=f"self-test: {name.removesuffix('s')} differs by"):
            self_test(opened(wrong), session)


def test_a_history_gets_the_same_answer_alone_as_among_others():
    """In every bit: readings due together are judged in one call, and a restart may divide them otherwise."""
    package = opened()
    session, rng = Session(package.model), np.random.default_rng(1)
    histories = rng.normal(0, 2, (256, *package.self_test.histories.shape[1:])).astype(np.float32)
    together = session.run(histories)
    for size in (1, 2, 3, 7, 64, 100):
        for first in range(0, 256, size):
            part = session.run(histories[first : first + size])
            for name in ("score", "embedding"):
                assert np.array_equal(part[name], together[name][first : first + size])


def test_the_manifest_has_the_public_keys():
    manifest = msgspec.json.decode(make.files_of(SRCNN)["manifest.json"])
    assert {"features", "channels", "window", "embedding", "constants", "training", "files", "id"} <= set(
        manifest
    )
    assert {"recipe", "recipe_sha256", "sources", "data_sha256", "seed"} <= set(manifest["training"])


def test_what_the_network_cannot_say_leaves_the_core_its_verdict():
    """Of other shapes than the batch, or an embedding that is not finite: told, and the agent goes on."""
    network = Network(opened())
    histories = np.repeat(opened().self_test.histories[:1], 3, axis=0)
    answers = network._session
    network._session = SimpleNamespace(run=lambda window: {k: v[:2] for k, v in answers.run(window).items()})
    scores, embeddings = network.judge(histories)
    assert np.isnan(scores).all()
    assert embeddings.shape == (3, network.embedding)
    assert "shapes ((2,), (2, 12)) for 3 histories" in network.failure
    detector = SrcnnDetector(DetectorSettings(window=64), network)
    ticket = detector.prepare(1.0, 0, histories[0])
    assert detector.conclude(ticket, 0.0, np.full(network.embedding, np.nan, np.float32)) == ticket[0][:6]
    assert "NaN or infinite" in network.failure
