"""Private keys as files: Ed25519, PKCS #8, one a file, readable by their owner alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Key

from edgead.errors import UplinkError
from edgead.uplink.publish.files import make_folder, write_whole

#: Passphrases come from here or from files, never from an argument.
VARIABLE = "EDGEAD_KEY_PASSPHRASE"
_MAX_FILE_BYTES = 64 * 1024


class Keyring:
    """The private keys that can be reached now: those of some folders, a stick each.

    Parameters
    ----------
    folders : sequence of Path
        New keys are put in the first.
    passphrases : sequence of bytes, optional
        Tried in turn on keys that are encrypted; the first encrypts new keys.
    """

    def __init__(self, folders: Sequence[Path], passphrases: Sequence[bytes] = ()) -> None:
        self.folders = tuple(folders)
        self._passphrases = tuple(passphrases)
        self._found: dict[str, CryptoSigner] | None = None

    def create(self, role: str) -> CryptoSigner:
        """Make a key and write it: ``{role}-{key id}.pem``, and its public half beside it (``.pub``).

        Raises
        ------
        UplinkError
            If the folder cannot be written.
        """
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private)
        key = signer.public_key
        folder = self.folders[0]
        make_folder(folder, mode=0o700)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, self._encryption())
        write_whole(folder / f"{role}-{key.keyid[:8]}.pem", pem, mode=0o600)
        write_whole(folder / f"{role}-{key.keyid[:8]}.pub", public_text(key), mode=0o644)
        self._loaded()[key.keyid] = signer
        return signer

    def signers(self, keyids: Iterable[str]) -> list[CryptoSigner]:
        """The signers of these keys that can be reached."""
        return [self._loaded()[keyid] for keyid in keyids if keyid in self._loaded()]

    def _loaded(self) -> dict[str, CryptoSigner]:
        if self._found is None:
            files = [path for folder in self.folders for path in sorted(folder.glob("*.pem"))]
            found = [self._read(path) for path in files]
            self._found = {signer.public_key.keyid: signer for signer in found}
        return self._found

    def _read(self, path: Path) -> CryptoSigner:
        try:
            if path.stat().st_mode & 0o077:
                raise UplinkError(f"{path}: others may read this private key; chmod 600 it")
            data = path.read_bytes()[:_MAX_FILE_BYTES]
        except OSError as error:
            raise UplinkError(f"{path}: {error.strerror}") from error
        for passphrase in (None, *self._passphrases):
            try:
                private = load_pem_private_key(data, passphrase)
            except TypeError:  # encrypted and no passphrase, or the other way round
                continue
            except (ValueError, UnsupportedAlgorithm) as error:
                if passphrase is not None:
                    continue
                raise UplinkError(f"{path}: no private key ({error})") from error
            if not isinstance(private, Ed25519PrivateKey):
                raise UplinkError(f"{path}: expected an Ed25519 key")
            return CryptoSigner(private)
        known = "none of the passphrases opens it" if self._passphrases else f"no passphrase; set {VARIABLE}"
        raise UplinkError(f"{path}: it is encrypted, and {known} (or --passphrase-file)")

    def _encryption(self) -> KeySerializationEncryption:
        return BestAvailableEncryption(self._passphrases[0]) if self._passphrases else NoEncryption()


def public_text(key: Key) -> bytes:
    """The public half of a key as it is passed on: JSON with its id."""
    return msgspec.json.format(msgspec.json.encode({"keyid": key.keyid, **key.to_dict()}), indent=1) + b"\n"


def read_public(path: Path) -> Key:
    """A public half that somebody passed on.

    Raises
    ------
    UplinkError
        If it is none.
    """
    try:
        told: dict[str, Any] = msgspec.json.decode(path.read_bytes()[:_MAX_FILE_BYTES])
        keyid = told.pop("keyid")
        key = Key.from_dict(keyid, told)
        # the id is recomputed: it is what people compare by telephone
        own = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"])))
    except OSError as error:
        raise UplinkError(f"{path}: {error.strerror}") from error
    except (
        msgspec.MsgspecError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        UnicodeDecodeError,
    ) as error:
        raise UplinkError(f"{path}: no public key ({error})") from error
    if key.keytype != "ed25519" or own.keyid != keyid:
        raise UplinkError(f"{path}: expected an Ed25519 key whose id is its own")
    return key


def passphrases_from(environ: Mapping[str, str], files: Sequence[Path]) -> list[bytes]:
    """Passphrases of the files, then of the environment.

    Raises
    ------
    UplinkError
        If a file cannot be read or is empty.
    """
    found = []
    for path in files:
        try:
            text = path.read_bytes()[:_MAX_FILE_BYTES].rstrip(b"\r\n")
        except OSError as error:
            raise UplinkError(f"{path}: {error.strerror}") from error
        if not text:
            raise UplinkError(f"{path}: no passphrase in it")
        found.append(text)
    return found + ([environ[VARIABLE].encode()] if environ.get(VARIABLE) else [])
