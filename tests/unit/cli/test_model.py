"""``edgead model``, with the real trial run."""

import pytest

from edgead.package import read_package
from tests import packages

PUMP = read_package(packages.PUMP).manifest


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text('[node]\nid = "gw"\nstate_dir = "state"\n')
    return path


@pytest.fixture
def pump(tmp_path):
    path = tmp_path / "pump.zip"
    path.write_bytes(packages.PUMP)
    return path


def variant(tmp_path, number):
    path = tmp_path / f"v{number}.zip"
    path.write_bytes(packages.variant(number))
    return path


def test_verify(edgead, pump):
    ran = edgead("model", "verify", pump)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{pump}: ok, pump 1.0.0\n"


def test_show_tells_it_in_words(edgead, pump):
    out = edgead("model", "show", pump).out
    assert f"pump 1.0.0, id {PUMP.id}" in out
    assert "judges 300 rows of 1 s together, 5 variables" in out
    assert "m3/h in training" in out
    assert "at most 1 of 1000 normal rows alarm" in out
    assert "trained on 24000 rows from 2026-01-01T00:00:00Z" in out
    assert " ms a row on this machine" in out


def test_a_refusal_is_one_line_and_exit_code_1(edgead, tmp_path):
    bad = tmp_path / "bad.zip"
    bad.write_bytes(packages.with_manifest(lambda m: m.update(format_version=9)))
    ran = edgead("model", "verify", bad)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"edgead: error: {bad}: manifest.json: format 9, this edgead reads 1\n"


def test_the_life_of_two_packages(edgead, config, tmp_path):
    assert edgead("model", "list", "-c", config).out == "no models installed\n"
    for number in (1, 2):
        assert edgead("model", "install", variant(tmp_path, number), "-c", config).code == 0
        assert edgead("model", "activate", packages.id_of(number), "-c", config).code == 0
    listed = edgead("model", "list", "-c", config).out.splitlines()
    assert [line.split()[:4] for line in listed] == [
        ["active", "pump", "1.0.2", packages.id_of(2)],
        ["installed", "pump", "1.0.1", packages.id_of(1)],
    ]
    assert (
        edgead("model", "rollback", "pump", "-c", config).out
        == f"back to pump 1.0.1, id {packages.id_of(1)}\n"
    )
    assert "pump 1.0.2" in edgead("model", "verify", packages.id_of(2), "-c", config).out


def test_a_refused_package_leaves_the_active_model(edgead, config, tmp_path):
    edgead("model", "install", variant(tmp_path, 1), "-c", config)
    edgead("model", "activate", packages.id_of(1), "-c", config)
    bad = tmp_path / "bad.zip"
    bad.write_bytes(packages.PUMP[:-50])
    assert edgead("model", "install", bad, "-c", config).code == 1
    assert edgead("model", "list", "-c", config).out.startswith("active     pump 1.0.1  ")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["list"], 2, "model list needs -c FILE"),
        (["install", "x.zip"], 2, "model install needs -c FILE"),
        (["show"], 2, "model show needs -c FILE"),
        (["verify", "missing.zip"], 1, "missing.zip: No such file or directory"),
        (["fly", "x"], 2, "fly"),
    ],
)
def test_wrong_usage_is_told(edgead, arguments, code, told):
    ran = edgead("model", *arguments)
    assert ran.code == code
    assert told in ran.err


def test_what_is_not_installed_is_told_in_one_line(edgead, config):
    for action in ("activate", "rollback", "show", "verify"):
        ran = edgead("model", action, "nothing", "-c", config)
        assert (ran.code, ran.err) == (1, "edgead: error: 'nothing': not installed; there is none\n")
    assert "needs a PACKAGE" in edgead("model", "install", "-c", config).err
    assert "activate which?" in edgead("model", "activate", "-c", config).err
    assert "roll back which model?" in edgead("model", "rollback", "-c", config).err


def test_the_first_is_active_and_keys_may_be_short_or_left_out(edgead, config, tmp_path):
    assert edgead("model", "install", variant(tmp_path, 1), "-c", config).out.endswith("; active\n")
    second = packages.id_of(2)
    told = edgead("model", "install", variant(tmp_path, 2), "-c", config).out
    assert f"not active yet: edgead model activate {second[:8]}" in told
    assert edgead("model", "activate", "-c", config).out.startswith("active: pump 1.0.2")
    assert edgead("model", "rollback", "-c", config).out.startswith("back to pump 1.0.1")
    assert edgead("model", "activate", second[:8], "-c", config).code == 0
    assert edgead("model", "rollback", second, "-c", config).code == 0
    assert edgead("model", "activate", "pump", "-c", config).out.startswith("active: pump 1.0.2")
    assert "pump 1.0.2" in edgead("model", "show", "pump", "-c", config).out
    assert edgead("model", "verify", "-c", config).out.count(": ok, pump 1.0.") == 2


def test_a_damaged_package_on_the_device_is_told(edgead, config, pump, tmp_path):
    edgead("model", "install", pump, "-c", config)
    folder = tmp_path / "state" / "models" / "pump"
    assert edgead("model", "verify", "-c", config).code == 0
    (folder / f"{PUMP.id}.zip").write_bytes(packages.PUMP[:-100])
    assert (
        f"damaged    pump  {PUMP.id}, and is the active one: not a"
        in edgead("model", "list", "-c", config).out
    )
    ran = edgead("model", "verify", "-c", config)
    assert ran.code == 1
    assert f"pump: the active package {PUMP.id} is damaged: not a readable zip" in ran.err
    (folder / f"{PUMP.id}.zip").unlink()
    assert (
        f"{PUMP.id} is damaged: pump: package {PUMP.id} is not installed"
        in edgead("model", "verify", "-c", config).err
    )
    edgead("model", "install", pump, "-c", config)
    assert edgead("model", "verify", "-c", config).code == 0
