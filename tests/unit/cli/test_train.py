import sys


def test_without_torch_the_extra_is_named(edgead, tmp_path, monkeypatch):
    for module in [
        name for name in sys.modules if name.split(".")[0] == "torch" or "edgead.training" in name
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    ran = edgead("train", tmp_path / "normal.csv", "--out", tmp_path / "x.zip")
    assert ran.code == 2
    assert "training needs " in ran.err
    assert "pip install 'edgead[train]'" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "x.zip").exists()


def test_the_package_has_to_be_named(edgead, tmp_path):
    ran = edgead("train", tmp_path / "normal.csv")
    assert ran.code == 2
    assert "--out" in ran.err
