"""`edgead check` on the file of a server."""

from pathlib import Path

from edgead.cli import call


def check(file: Path, text: str, capsys) -> tuple[int, list[str], str]:
    file.write_text(text)
    code = call(["check", "-c", str(file)])
    told = capsys.readouterr()
    return code, told.out.splitlines()[1:], told.err


def test_a_file_with_nothing_else_is_a_server_s(tmp_path: Path, capsys):
    (tmp_path / "keys").write_text("a:one\nb:two\n")
    text = '[node]\nstate_dir = "s"\n[server]\nhost = "0.0.0.0"\nkeys_file = "keys"\nthreads = 2\n'
    text += f'data_roots = ["{tmp_path}"]\nallow_sources = ["https://h/x/"]\n'
    code, lines, _ = check(tmp_path / "server.toml", text, capsys)
    assert code == 0
    assert lines == [
        f"  server   http://0.0.0.0:5000, for 2 clients with keys; state in {tmp_path / 's'}",
        f"  data     {tmp_path}, https://h/x/",
        "  limits   2 univariate calls and 1 jobs at a time, 256 requests of 256.0 MiB together",
        "note: keys go over the network in clear: server.tls_cert and server.tls_key would hide them",
    ]


def test_what_serve_would_refuse_is_noted(tmp_path: Path, capsys):
    _, lines, _ = check(tmp_path / "server.toml", '[server]\nhost = "0.0.0.0"\n', capsys)
    assert lines[-1] == "note: server.host = '0.0.0.0' is refused without keys_file, or without_keys = true"


def test_a_wrong_keys_file_is_a_mistake(tmp_path: Path, capsys):
    (tmp_path / "keys").write_text("a\n")
    code, _, told = check(tmp_path / "server.toml", '[server]\nkeys_file = "keys"\n', capsys)
    assert code == 2
    assert "keys:1: expected NAME:KEY" in told


def test_a_file_for_both_tells_both(tmp_path: Path, capsys):
    _, lines, _ = check(tmp_path / "both.toml", '[server]\nport = 1\n[[series]]\ntopic = "a/b"\n', capsys)
    assert any(line.startswith("  broker ") for line in lines)
    assert any(line.startswith("  server   http://127.0.0.1:1, for anyone, without a key") for line in lines)
    _, lines, _ = check(tmp_path / "agent.toml", '[[series]]\ntopic = "a/b"\n', capsys)
    assert not any(line.startswith("  server ") for line in lines)
