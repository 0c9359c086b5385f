"""URLs of sources: one strict reading, prefixes by whole names, and addresses that a name may lead to."""

import ipaddress

import pytest

from edgead.server.sources.addresses import covers, embedded, parse_url, permitted
from edgead.server.sources.budget import SourceError


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "path", "query"),
    [
        ("http://h", "http", "h", 80, "/", ""),
        (
            "HTTPS://Host.Example.:8443/a%20b?sig=x%2B&se=1",
            "https",
            "host.example",
            8443,
            "/a%20b",
            "?sig=x%2B&se=1",
        ),
        ("http://[::1]:8000/x", "http", "::1", 8000, "/x", ""),
        ("http://[0:0::1]/x", "http", "::1", 80, "/x", ""),
        ("s3://bucket_1/key/a.csv", "s3", "bucket_1", 0, "/key/a.csv", ""),
        ("s3://20240101/a.csv", "s3", "20240101", 0, "/a.csv", ""),
        ("abfss://c@acc.dfs.core.windows.net/a", "abfss", "acc.dfs.core.windows.net", 0, "/a", ""),
    ],
)
def test_what_a_url_says(text: str, scheme: str, host: str, port: int, path: str, query: str):
    url = parse_url(text)
    assert (url.scheme, url.host, url.port, url.path, url.query) == (scheme, host, port, path, query)


@pytest.mark.parametrize(
    "text",
    [
        "http:///path",
        "http://user@h/",
        "http://user:secret@h/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:80:80/",
        "http://h/a b",
        "http://h/a\r\nHost: other",
        "http://h/%0d%0aX: y",
        "http://h/%00",
        "http://h/a\\b",
        "http://h/%5c..%5c",
        "http://h/../x",
        "http://h/a/./x",
        "http://h/%2e%2e/x",
        "http://h/.%2E/x",
        "http://h/%252e%252e/x",
        "http://h/%25252525252e/x",
        "http://h/a%2fb",
        "http://h/a%252fb",
        "http://h/x#fragment",
        "http://h\\@evil/",
        "http://h%2eexample/",
        "http://１２７.0.0.1/",
        "http://127.0.0.1\x00.example/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0/",
        "http://[::1%25eth0]/",
        "http://[::ffff:127.0.0.1/",
        "http://-bad.example/",
        "http://a..b/",
        "http://h/" + "a" * 5000,
        "javascript:alert(1)",
    ],
)
def test_a_url_that_is_refused(text: str):
    with pytest.raises(SourceError) as caught:
        parse_url(text)
    assert caught.value.code == "InvalidBlobURL"
    assert len(caught.value.message) < 500


def test_a_signature_is_not_told():
    url = parse_url("https://acc.blob.core.windows.net/c/x.csv?sig=SECRET")
    assert str(url) == "https://acc.blob.core.windows.net/c/x.csv"
    with pytest.raises(SourceError) as caught:
        parse_url("https://h/a b?sig=SECRET")
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    ("prefix", "text", "expected"),
    [
        ("https://h/data", "https://h/data", True),
        ("https://h/data", "https://h/data/x/y.csv", True),
        ("https://h/data/", "https://h/data", True),
        ("https://h/", "https://h/anything", True),
        ("https://h", "https://h:443/anything", True),
        ("https://h/data", "https://h/%64ata/x", True),
        ("https://h/data", "https://h/database/x", False),
        ("https://h/data", "https://h/", False),
        ("https://h/data", "http://h/data/x", False),
        ("https://h/data", "https://h:444/data/x", False),
        ("https://h/data", "https://h.evil/data/x", False),
        ("https://h/data%ff", "https://h/data%fe/x", False),
        ("https://h/", "https://xh/", False),
        ("http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", False),
        ("abfs://c@a.net/", "abfs://c@a.net/x", True),
        ("abfs://c@a.net/", "abfs://d@a.net/x", False),
    ],
)
def test_a_prefix_covers_whole_names(prefix: str, text: str, expected: bool):
    assert covers(parse_url(prefix), parse_url(text)) is expected


SPECIAL = [
    "127.0.0.1",
    "127.255.0.9",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "64:ff9b:1::7f00:1",
    "::ffff:0:7f00:1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
]


@pytest.mark.parametrize("text", SPECIAL)
def test_a_listed_public_name_cannot_lead_to_a_special_address(text: str):
    listed = [parse_url("https://files.example/")]
    assert not permitted(ipaddress.ip_address(text), parse_url("https://files.example/x"), listed)


@pytest.mark.parametrize("text", SPECIAL)
def test_a_special_address_that_is_listed_is_permitted(text: str):
    prefix = f"http://[{text}]/" if ":" in text else f"http://{text}/"
    listed = [parse_url("https://files.example/"), parse_url(prefix)]
    assert permitted(ipaddress.ip_address(text), parse_url(prefix), listed)
    assert permitted(ipaddress.ip_address(text), parse_url("https://files.example/x"), listed)


def test_localhost_is_loopback_and_nothing_else():
    listed = [parse_url("http://localhost/")]
    url = parse_url("http://localhost/x")
    assert permitted(ipaddress.ip_address("127.0.0.1"), url, listed)
    assert permitted(ipaddress.ip_address("::1"), url, listed)
    assert not permitted(ipaddress.ip_address("10.0.0.1"), url, listed)
    assert not permitted(ipaddress.ip_address("127.0.0.1"), parse_url("http://other.example/"), listed)


@pytest.mark.parametrize("host", ["nas", "files.plant.local", "files.internal", "nas.lan", "nas.home.arpa"])
def test_a_name_of_the_local_network_may_lead_to_a_private_address_but_not_to_loopback(host: str):
    url = parse_url(f"http://{host}/x")
    assert permitted(ipaddress.ip_address("10.1.2.3"), url, [url])
    assert permitted(ipaddress.ip_address("fc00::5"), url, [url])
    assert not permitted(ipaddress.ip_address("127.0.0.1"), url, [url])
    assert not permitted(ipaddress.ip_address("169.254.169.254"), url, [url])


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_permitted(text: str):
    url = parse_url("https://files.example/x")
    assert permitted(ipaddress.ip_address(text), url, [url])
    assert embedded(ipaddress.ip_address(text)) == ipaddress.ip_address(text)
