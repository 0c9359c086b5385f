"""Training on a GPU, as far as a machine without one can show it: what is chosen, and that nothing is left behind."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from edgead.cli import call
from edgead.errors import InvalidInput
from edgead.training.backends import TorchOps, choose_device, deterministic
from edgead.training.calibrate import Settings, calibrate


@pytest.mark.parametrize(
    ("asked", "there", "device"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_the_gpu_is_taken_when_there_is_one(
    monkeypatch: pytest.MonkeyPatch, asked: str, there: bool, device: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(asked) == device


def test_a_gpu_that_is_not_there_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match="torch sees no GPU"):
        choose_device("cuda")


def test_a_gpu_is_told_to_give_the_same_answers_and_afterwards_is_as_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32
    with deterministic("cuda"):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32) == before


class Marked(torch.Tensor):
    """A tensor that stands for one on a GPU: it may only be computed with its like."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        for each in _tensors([*args, *(kwargs or {}).values()]):
            moved = isinstance(each, Marked) or getattr(each, "moved", False)
            # a GPU takes numbers and indices from the CPU
            if not moved and each.dim() and function is not torch.Tensor.__getitem__:
                raise AssertionError(f"{function}: a tensor of the CPU among those of the device")
        return super().__torch_function__(function, types, args, kwargs)


def _tensors(values) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


class MarkedOps(TorchOps):
    """Marks what is sent to the device, and takes back from it only what is there."""

    def tensor(self, value: np.ndarray) -> torch.Tensor:
        return super().tensor(value).as_subclass(Marked)

    def array(self, x: torch.Tensor) -> np.ndarray:
        assert isinstance(x, Marked) or getattr(x, "moved", False)
        return super().array(x.as_subclass(torch.Tensor))


def _move(module: torch.nn.Module, device: str) -> torch.nn.Module:
    for each in module.parameters():
        each.moved = True
    return module


def test_everything_that_is_computed_lies_on_the_device(monkeypatch: pytest.MonkeyPatch):
    z = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    plain = calibrate(z, 60, Settings(epochs=2))
    monkeypatch.setattr("edgead.training.calibrate.TorchOps", MarkedOps)
    monkeypatch.setattr(torch.nn.Module, "to", _move)
    marked = calibrate(z, 60, Settings(epochs=2))
    assert np.array_equal(marked.held, plain.held)
    assert marked.threshold == plain.threshold


def test_a_constant_left_on_the_cpu_is_noticed():
    one = np.ones(3, np.float32)
    with pytest.raises(AssertionError, match="a tensor of the CPU"):
        MarkedOps().tensor(one) + TorchOps().tensor(one)


def test_the_command_hands_the_device_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    lines = ["timestamp,a", *(f"{1_700_000_000 + row},{row % 7}" for row in range(150))]
    (tmp_path / "normal.csv").write_text("\n".join(lines))
    options = ["--out", str(tmp_path / "x.zip"), "--window", "60", "--device", "cuda"]
    assert call(["train", str(tmp_path / "normal.csv"), *options]) == 2
    assert "device = 'cuda': torch sees no GPU here" in capsys.readouterr().err
