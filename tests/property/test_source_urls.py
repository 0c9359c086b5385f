"""Whatever a request calls its data source, it is read from where it may be, or refused with a code."""

import ipaddress
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgead.server.sources import Reader, SourceError, SourceSettings
from edgead.server.sources.addresses import covers, parse_url, permitted
from tests.sources import Place, holds_secret

CODES = {
    "",
    "InvalidBlobURL",
    "StorageReadError",
    "FileNotExist",
    "ReadingFileError",
    "GetDataError",
    "NoVariablesFound",
}

pieces = st.sampled_from(
    [
        "/",
        "//",
        "..",
        ".",
        "%2e",
        "%2f",
        "%5c",
        "%00",
        "%25",
        "\\",
        "\x00",
        "\r\n",
        " ",
        "@",
        ":",
        "#",
        "?",
        "&",
        "::",
    ]
    + [
        "file:",
        "http:",
        "https:",
        "s3:",
        "//",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "2130706433",
        "files.example",
    ]
    + [
        "data",
        "many",
        "one.csv",
        "secret.csv",
        "link",
        "etc",
        "passwd",
        "proc",
        "self",
        "\uff0e",
        "\u2024",
        "~",
        "*",
    ]
)
sources = st.one_of(st.text(max_size=60), st.lists(pieces, max_size=14).map("".join))
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def no_address(host: str, port: int) -> Sequence[str]:
    raise OSError("no name is known here")


def code_of(call: Callable[[], object]) -> str:
    """Code of a refusal; empty if there was none."""
    try:
        call()
    except SourceError as error:
        return error.code
    return ""


@given(sources, st.booleans())
def test_no_text_reads_the_secret_or_breaks_the_reader(text: str, below: bool):
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        (place.root / "link").symlink_to(place.base)
        settings = SourceSettings(roots=(str(place.root),), allowed=("http://files.example/data",))
        reader = Reader(settings, lookup=no_address)
        source = f"{place.root}/{text}" if below else text
        assert code_of(lambda: reader.check(source)) in CODES
        assert code_of(lambda: reader.fetch(source, place.into, time.monotonic() + 5)) in CODES
        assert not holds_secret(place.into)


@given(sources)
def test_a_url_that_is_read_has_one_reading(text: str):
    code = code_of(lambda: parse_url(text))
    if code:
        assert code == "InvalidBlobURL"
        return
    url = parse_url(text)
    if url.query == "":
        assert parse_url(str(url)) == url
    assert covers(url, url)
    assert not {".", ".."} & set(url.segments())
    assert not any("/" in part or "\\" in part or "\0" in part for part in url.segments())


@given(addresses)
def test_no_address_that_is_not_public_is_permitted_to_a_listed_name(address: ipaddress.IPv4Address):
    url = parse_url("https://files.example/")
    if permitted(address, url, [url]):
        assert address.is_global
        assert not address.is_multicast
