"""The keys file: two keys a client, plain or hashed, read again when it changes."""

import hashlib
import os
from pathlib import Path

import pytest

from edgead.errors import ConfigError
from edgead.server.keys import MAX_FILE_BYTES, MAX_KEY_CHARS, MAX_TOLD, NOBODY, Keys


def keys_of(tmp_path: Path, text: str) -> Keys:
    (tmp_path / "keys").write_text(text)
    return Keys(tmp_path / "keys")


def test_both_keys_of_a_client_open_the_door(tmp_path: Path):
    digest = hashlib.sha256(b"second").hexdigest()
    keys = keys_of(tmp_path, f"# who may call\n\nline1:first:sha256:{digest.upper()}\r\nline2: third \n")
    assert keys.needed
    assert keys.clients == ["line1", "line2"]
    assert [keys.client_of(key) for key in ("first", "second", "third")] == ["line1", "line1", "line2"]


@pytest.mark.parametrize(
    "key", ["", "firs", "first ", "FIRST", "second", "first:", "\u00e9", "x" * (MAX_KEY_CHARS + 1)]
)
def test_any_other_key_does_not(tmp_path: Path, key: str):
    assert keys_of(tmp_path, "line1:first\n").client_of(key) is None


def test_a_hash_is_not_a_key(tmp_path: Path):
    digest = hashlib.sha256(b"secret").hexdigest()
    keys = keys_of(tmp_path, f"a:sha256:{digest}\n")
    assert keys.client_of(digest) is None
    assert keys.client_of(f"sha256:{digest}") is None


def test_a_key_longer_than_is_hashed_does_not_match_its_beginning(tmp_path: Path):
    key = "k" * MAX_KEY_CHARS
    keys = keys_of(tmp_path, f"a:{key}\n")
    assert keys.client_of(key) == "a"
    assert keys.client_of(key + "k") is None


def test_without_a_file_everybody_is_nobody():
    keys = Keys(None)
    assert not keys.needed
    assert keys.client_of("") == keys.client_of("anything") == NOBODY
    assert keys.look(1e9) is None
    assert keys.reload() == ""


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a\n", 1, "expected NAME:KEY"),
        ("a:\n", 1, "expected NAME:KEY"),
        (":key\n", 1, "expected NAME:KEY"),
        ("a b:key\n", 1, "expected NAME:KEY"),
        ("x:good\na:one:two:three\n", 2, "expected NAME:KEY"),
        ("a:sha256:abc\n", 1, "64 hexadecimal digits"),
        ("a:one:\n", 1, "expected NAME:KEY"),
        ("a:on\u0007e\n", 1, "expected NAME:KEY"),
        ("a:one\na:two\n", 2, "each client once"),
        ("a:one\nb:one\n", 2, "keys of its own"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_never_with_the_key(
    tmp_path: Path, text: str, line: int, told: str
):
    with pytest.raises(ConfigError) as caught:
        keys_of(tmp_path, text)
    (sentence,) = caught.value.mistakes
    assert sentence.startswith(f"{tmp_path / 'keys'}:{line}: ")
    assert told in sentence
    assert "three" not in sentence


def test_a_file_that_is_none_of_keys_is_told_in_a_few_lines(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        keys_of(
            tmp_path,
            "timestamp,value\n" + "".join(f"2026-01-01T00:{n % 60:02}:00Z,{n}\n" for n in range(5000)),
        )
    assert len(caught.value.mistakes) == MAX_TOLD + 1
    assert caught.value.mistakes[-1].endswith(": 4990 more lines are wrong, is it the keys file?")


def test_who_writes_key_and_name_the_wrong_way_round_does_not_read_the_key_in_the_log(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        keys_of(tmp_path, "0123456789abcdef:line1\n0123456789abcdef:line2\n")
    assert caught.value.mistakes == [
        f"{tmp_path / 'keys'}:2: expected each client once, line 1 has the same name"
    ]


def test_every_mistake_is_told_at_once(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        keys_of(tmp_path, "a\nb:good\nc\n")
    assert len(caught.value.mistakes) == 2


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "at least one line"),
        (b"# only words\n", "at least one line"),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * (MAX_FILE_BYTES + 1), "too large"),
    ],
)
def test_a_file_without_keys_is_refused(tmp_path: Path, data: bytes, told: str):
    (tmp_path / "keys").write_bytes(data)
    with pytest.raises(ConfigError, match=told):
        Keys(tmp_path / "keys")


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        Keys(tmp_path / "keys")


def test_a_change_is_seen_and_a_bad_one_changes_nothing(tmp_path: Path):
    keys, file = keys_of(tmp_path, "a:one\n"), tmp_path / "keys"
    assert keys.look(1.0) is None
    file.write_text("a:two:one\n")
    assert keys.look(1.5) is None  # looked for once a second
    assert keys.look(2.5) == ""
    assert (keys.client_of("two"), keys.client_of("one")) == ("a", "a")
    file.write_text("a\n")
    assert "expected NAME:KEY" in (keys.look(4.0) or "")
    assert keys.client_of("two") == "a"
    assert keys.look(6.0) is None  # told once
    os.remove(file)
    assert "No such file" in (keys.look(8.0) or "")
    assert keys.client_of("two") == "a"
    file.write_text("b:three\n")
    assert keys.reload() == ""
    assert (keys.client_of("two"), keys.client_of("three")) == (None, "b")
