"""Addresses of sources: one strict reading of a URL, what is listed, and which hosts may be spoken to."""

import ipaddress
import os
import re
from collections.abc import Iterable
from urllib.parse import unquote, unquote_to_bytes

import msgspec

from edgead.server.sources.budget import SourceError

PORTS = {"http": 80, "https": 443}
_MAX_URL = 4096
# RFC 3986, and no more: no user name, no fragment, no raw blank, quote, backslash or letter beyond ASCII
_URL = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://"
    r"(?:(?P<user>[A-Za-z0-9._-]+)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?"
    r"(?P<query>\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
# what inet_aton of a C library would take for an address: 2130706433, 0x7f.1, 0177.0.0.1, 127.1
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*")
# names that no one outside can point somewhere: RFC 6762, RFC 8375, and ICANN's reservation of .internal
_LOCAL_ENDINGS = (".local", ".internal", ".home.arpa", ".lan")
# RFC 4291: all that is routed in public; the rest are old and local forms, some of which hold an IPv4 address
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Url(msgspec.Struct, frozen=True):
    """A URL that was read strictly.

    Attributes
    ----------
    scheme, host : str
        Lower case; host without brackets; a trailing dot is gone.
    port : int
        0 where the scheme has none of its own.
    path, query : str
        As sent: still encoded; query with its question mark, or "".
    user : str
        Container of an ``abfs`` address; "" otherwise.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    user: str = ""

    def __str__(self) -> str:
        """Without the query, which may hold a signature."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port != PORTS.get(self.scheme, 0) else ""
        return f"{self.scheme}://{user}{host}{port}{self.path}"

    @property
    def address(self) -> Address | None:
        """The host, where it is a literal address."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def segments(self) -> tuple[str, ...]:
        """Decoded parts of the path, without empty ones; bytes that are no text are kept as the file system does."""
        return tuple(part for part in os.fsdecode(unquote_to_bytes(self.path)).split("/") if part)


def parse_url(text: str) -> Url:
    """Read a URL, or say why it is none.

    Raises
    ------
    SourceError
        ``InvalidBlobURL``: form, length, user name, a host that is a disguised number, a path with ``.``, ``..``, NUL,
        backslash or an encoded slash, however often it was encoded.
    """
    match = _URL.fullmatch(text) if len(text) <= _MAX_URL else None
    if match is None:
        raise _bad(text, "expected scheme://host/path of plain or percent-encoded ASCII")
    scheme = match["scheme"].lower()
    host = _host(text, match["host"], scheme in PORTS)
    user = match["user"] or ""
    if user and not scheme.startswith("abfs"):
        raise _bad(text, "a user name in a URL is refused")
    port = int(match["port"] or PORTS.get(scheme, 0))
    if port > 65535 or (match["port"] and not port):
        raise _bad(text, "port 1 to 65535 expected")
    path = match["path"] or "/"
    _refuse_path(text, path)
    return Url(scheme, host, port, path, match["query"] or "", user)


def _host(text: str, host: str, resolved: bool) -> str:
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise _bad(text, "not an IPv6 address") from None
    host = host.lower().removesuffix(".")
    if resolved and _NUMERIC.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise _bad(text, "an address is four decimal numbers without leading zeros") from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise _bad(text, "not a host name")
    return host


def _refuse_path(text: str, path: str) -> None:
    slashes = path.count("/")
    for _ in range(4):
        if {".", ".."} & set(path.split("/")) or re.search(r"[\\\x00-\x1f\x7f]", path):
            raise _bad(text, "a path has no '.', '..', backslash or control character")
        if path.count("/") > slashes:
            raise _bad(text, "a path has no encoded slash")
        path = unquote(path)
    if unquote(path) != path:
        raise _bad(text, "a path is encoded once")


def _bad(text: str, why: str) -> SourceError:
    shown = text.split("?", 1)[0]
    shown = shown if len(shown) <= 200 else shown[:200] + "..."
    return SourceError(f"dataSource {shown!r}: {why}", code="InvalidBlobURL")


def covers(prefix: Url, url: Url) -> bool:
    """Whether `url` is the listed prefix or lies below it; `/data` does not cover `/database`."""
    same = (prefix.scheme, prefix.host, prefix.port, prefix.user) == (
        url.scheme,
        url.host,
        url.port,
        url.user,
    )
    parts = prefix.segments()
    return same and url.segments()[: len(parts)] == parts


def permitted(address: Address, url: Url, listed: Iterable[Url]) -> bool:
    """Whether a host may be spoken to at this address.

    Public addresses may: the URL was listed.  Loopback, private, link-local and other special ones only when the
    operator said so: a listed prefix has this very address (or ``localhost``, for loopback) as its host, or, for
    private ones, the name is one that only the local network can answer for.  Whoever rules the name server of a
    listed public name cannot point it into the local network.
    """
    address = embedded(address)
    public = address.is_global and not address.is_multicast
    if public and (address.version == 4 or address in _GLOBAL_UNICAST):
        return True
    for prefix in listed:
        if prefix.address is not None and embedded(prefix.address) == address:
            return True
        if prefix.host == "localhost" == url.host and address.is_loopback:
            return True
    plain = not (
        address.is_loopback or address.is_link_local or address.is_unspecified or address.is_reserved
        or address.is_multicast
    )  # fmt: skip
    return plain and address.is_private and _is_local_name(url.host)


def _is_local_name(host: str) -> bool:
    return host != "localhost" and ("." not in host or host.endswith(_LOCAL_ENDINGS))


def embedded(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one: mapped, compatible, 6to4, Teredo and NAT64 forms."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (0xFFFF < int(address) < 2**32):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
