"""Why there is no connection, as a sentence that says what to do about it."""

import errno
import socket
import ssl
from typing import Final

_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h), those that a person can do something about.
_CERTIFICATE: Final = {
    9: "the broker's certificate is not valid yet; is the clock of this device right?",
    10: "the broker's certificate has expired (or the clock of this device is wrong)",
    18: "the broker's certificate is self-signed and not the one in mqtt.tls.ca",
    19: "the broker's certificate chain ends in an authority that mqtt.tls.ca does not hold",
    20: "the broker's certificate is signed by an authority that mqtt.tls.ca does not hold",
    21: "the broker's certificate is signed by an authority that mqtt.tls.ca does not hold",
    23: "the broker's certificate was revoked",
    62: "the broker's certificate is for another host name than mqtt.host",
    64: "the broker's certificate is for another address than mqtt.host",
}

# Reasons of OpenSSL (ssl.SSLError.reason), likewise.
_HANDSHAKE: Final = {
    "WRONG_VERSION_NUMBER": "the broker speaks no TLS on this port; check mqtt.port and mqtt.tls",
    "HTTP_REQUEST": "the broker speaks no TLS on this port; check mqtt.port and mqtt.tls",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the broker wants a client certificate: set mqtt.tls.cert and mqtt.tls.key",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the broker refused the TLS handshake; does it want a client certificate "
    "(mqtt.tls.cert and mqtt.tls.key)?",
    "TLSV1_ALERT_UNKNOWN_CA": "the broker does not know the authority that signed our certificate (mqtt.tls.cert)",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate (mqtt.tls.cert) has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the broker does not accept our certificate (mqtt.tls.cert)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the broker does not accept our certificate (mqtt.tls.cert)",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the broker speaks another TLS version",
    "UNSUPPORTED_PROTOCOL": "the broker speaks a TLS version that is too old to be safe",
}

# Names of the CONNACK reasons (MQTT 3.1.1 table 3.1, MQTT 5 table 3.2.2.2), as paho spells them.
_REFUSED: Final = {
    "Bad user name or password": "the broker refused user name or password; check mqtt.username and "
    "mqtt.password_file",
    "Not authorized": "the broker refused us: user name, password or its access rules "
    "(mqtt.username, mqtt.password_file)",
    "Client identifier not valid": "the broker refused the client id; check mqtt.client_id",
    "Server unavailable": "the broker says that it is not available now",
    "Server busy": "the broker says that it is busy",
    "Banned": "the broker has banned this client",
    "Unsupported protocol version": "the broker does not speak this MQTT version; check mqtt.protocol",
    "Session taken over": "another client connected with our client id; every device needs its own mqtt.client_id",
}


def of_error(error: BaseException, host: str, port: int) -> str:
    """Sentence for an exception of connecting, reading or writing."""
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _CERTIFICATE.get(error.verify_code)
        return f"{where}: {known or f'the certificate of the broker is not accepted: {error.verify_message}'}"
    if isinstance(error, ssl.SSLError):
        known = _HANDSHAKE.get(error.reason or "")
        return f"{where}: {known or f'TLS failed: {error.reason or error}'}"
    if isinstance(error, socket.gaierror):
        return f"{where}: the host name is not known; check mqtt.host and the name server"
    if isinstance(error, TimeoutError):
        return f"{where}: no answer in time; is there a firewall between, or the wrong address?"
    if isinstance(error, ConnectionRefusedError):
        return f"{where}: nobody listens there; is the broker running, and is the port right?"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return f"{where}: the broker or something between cut the connection"
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return f"{where}: there is no way to it; is the network up?"
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR:
        return f"{where}: no file descriptor is left on this device for a connection"
    return f"{where}: {str(error) or type(error).__name__}"


def of_refusal(name: str, host: str, port: int) -> str:
    """Sentence for the name of a CONNACK or DISCONNECT reason."""
    return f"{host}:{port}: {_REFUSED.get(name, f'the broker refused us: {name}')}"
