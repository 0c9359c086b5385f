import errno
import random
import socket
import ssl
from pathlib import Path

import pytest

from edgead.bridge import reasons
from edgead.bridge.settings import Backoff, TlsSettings, tls_context
from edgead.errors import BridgeError


def test_the_wait_doubles_up_to_a_bound_and_its_upper_half_is_drawn() -> None:
    backoff = Backoff(1.0, 60.0, rng=random.Random(1))
    waits = [backoff.next_s() for _ in range(2000)]
    for number, wait_s in enumerate(waits):
        bound_s = min(60.0, 2.0**number) if number < 10 else 60.0
        assert bound_s / 2 <= wait_s <= bound_s
    assert len(set(waits)) > 1990
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_one_seed_gives_one_sequence_of_waits() -> None:
    first, second = (Backoff(rng=random.Random(7)) for _ in range(2))
    assert [first.next_s() for _ in range(10)] == [second.next_s() for _ in range(10)]


def test_certificate_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    missing = str(tmp_path / "missing.pem")
    for tls, words in (
        (TlsSettings(ca=missing), f"mqtt.tls.ca {missing}: no such file"),
        (TlsSettings(ca=str(text)), f"mqtt.tls.ca {text}: expected certificates in PEM form"),
        (TlsSettings(cert=missing, key=str(text)), f"mqtt.tls.cert {missing}: no such file"),
        (TlsSettings(cert=str(text), key=missing), f"mqtt.tls.key {missing}: no such file"),
        (TlsSettings(cert=str(text), key=str(text)), "expected a certificate and its key in PEM form"),
        (TlsSettings(cert=str(text)), "expected cert and key together"),
    ):
        with pytest.raises(BridgeError) as caught:
            tls_context(tls)
        assert words in str(caught.value)
    assert tls_context(TlsSettings()).verify_mode == ssl.CERT_REQUIRED


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, "whatever OpenSSL says"
    return error


def handshake_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (certificate_error(9), "not valid yet; is the clock of this device right"),
        (certificate_error(10), "has expired"),
        (certificate_error(18), "self-signed"),
        (certificate_error(20), "an authority that mqtt.tls.ca does not hold"),
        (certificate_error(62), "another host name than mqtt.host"),
        (certificate_error(99), "not accepted: whatever OpenSSL says"),
        (handshake_error("WRONG_VERSION_NUMBER"), "speaks no TLS on this port"),
        (handshake_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "set mqtt.tls.cert and mqtt.tls.key"),
        (handshake_error("SOMETHING_NEW"), "TLS failed: SOMETHING_NEW"),
        (socket.gaierror(-2, "Name or service not known"), "the host name is not known"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "is the broker running"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "cut the connection"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "is the network up"),
        (OSError(errno.EMFILE, "Too many open files"), "no file descriptor is left"),
        (ValueError(), "ValueError"),
    ],
)
def test_every_failure_has_a_sentence_with_the_address(error: Exception, words: str) -> None:
    sentence = reasons.of_error(error, "broker.plant", 8883)
    assert sentence.startswith("broker.plant:8883: ")
    assert words in sentence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Bad user name or password", "mqtt.username"),
        ("Not authorized", "access rules"),
        ("Session taken over", "its own mqtt.client_id"),
        ("A new reason", "refused us: A new reason"),
    ],
)
def test_every_refusal_has_a_sentence(name: str, words: str) -> None:
    assert words in reasons.of_refusal(name, "broker.plant", 8883)
