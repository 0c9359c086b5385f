"""Private keys in files."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edgead.errors import UplinkError
from edgead.uplink.publish import Keyring, passphrases_from, read_public


def test_a_key_is_for_its_owner_alone_from_its_first_byte(tmp_path: Path):
    folder = tmp_path / "keys"
    keyid = Keyring([folder]).create("root").public_key.keyid
    (pem,) = folder.glob("*.pem")
    assert pem.name == f"root-{keyid[:8]}.pem"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert b"PRIVATE" not in (folder / f"root-{keyid[:8]}.pub").read_bytes()
    assert [each.public_key.keyid for each in Keyring([folder]).signers([keyid, "other"])] == [keyid]


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path):
    keyid = Keyring([tmp_path]).create("root").public_key.keyid
    next(tmp_path.glob("*.pem")).chmod(0o640)
    with pytest.raises(UplinkError, match="others may read this private key; chmod 600 it"):
        Keyring([tmp_path]).signers([keyid])


def test_an_encrypted_key_opens_with_one_of_the_passphrases(tmp_path: Path):
    keyid = Keyring([tmp_path], [b"correct horse"]).create("root").public_key.keyid
    assert b"ENCRYPTED" in next(tmp_path.glob("*.pem")).read_bytes()
    assert Keyring([tmp_path], [b"wrong", b"correct horse"]).signers([keyid])
    with pytest.raises(UplinkError, match="none of the passphrases opens it"):
        Keyring([tmp_path], [b"wrong"]).signers([keyid])
    with pytest.raises(UplinkError, match="set EDGEAD_KEY_PASSPHRASE"):
        Keyring([tmp_path]).signers([keyid])


def test_plain_and_encrypted_keys_lie_together(tmp_path: Path):
    plain = Keyring([tmp_path]).create("snapshot").public_key.keyid
    closed = Keyring([tmp_path], [b"x"]).create("root").public_key.keyid
    assert len(Keyring([tmp_path], [b"x"]).signers([plain, closed])) == 2


def test_passphrases_come_from_files_and_the_environment(tmp_path: Path):
    path = tmp_path / "phrase"
    path.write_text("with spaces \n")
    assert passphrases_from({"EDGEAD_KEY_PASSPHRASE": "other"}, [path]) == [b"with spaces ", b"other"]
    assert passphrases_from({}, []) == []
    path.write_text("\n")
    with pytest.raises(UplinkError, match="no passphrase in it"):
        passphrases_from({}, [path])
    with pytest.raises(UplinkError, match="No such file"):
        passphrases_from({}, [tmp_path / "none"])


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_holds_no_key(content: bytes, tmp_path: Path):
    (tmp_path / "root-1.pem").write_bytes(content)
    (tmp_path / "root-1.pem").chmod(0o600)
    with pytest.raises(UplinkError, match="no private key"):
        Keyring([tmp_path]).signers(["x"])


def test_a_key_of_another_kind(tmp_path: Path):
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "root-1.pem").write_bytes(pem)
    (tmp_path / "root-1.pem").chmod(0o600)
    with pytest.raises(UplinkError, match="expected an Ed25519 key"):
        Keyring([tmp_path]).signers(["x"])


def test_a_public_half_is_what_its_id_says(tmp_path: Path):
    Keyring([tmp_path]).create("root")
    (pub,) = tmp_path.glob("*.pub")
    text = pub.read_text()
    assert read_public(pub).keytype == "ed25519"
    for wrong in (
        text.replace('"keyid": "', '"keyid": "00'),
        "{}",
        "[]",
        "x",
        text.replace("ed25519", "rsa"),
    ):
        pub.write_text(wrong)
        with pytest.raises(UplinkError, match=r"public key|Ed25519"):
            read_public(pub)
    with pytest.raises(UplinkError, match="No such file"):
        read_public(tmp_path / "none.pub")
