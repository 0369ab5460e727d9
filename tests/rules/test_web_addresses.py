"""What may be fetched from the web."""

import re

import pytest

from rules.web_addresses import FetchRules, refusal_of_address, refusal_of_url

RULES = FetchRules(hosts=("icons.example", "Other.example:8443", "[2001:db8::1]:81"))


@pytest.mark.parametrize(
    ("scheme", "host", "port"),
    [
        ("https", "icons.example", None),
        ("http", "icons.example", 80),
        ("https", "icons.example", 443),
        ("https", "other.example", 8443),
        ("http", "2001:db8::1", 81),
    ],
)
def test_a_url_of_an_allowed_host_is_fetched(scheme: str, host: str, port: int | None) -> None:
    assert refusal_of_url(scheme, host, port, b"", RULES) is None


@pytest.mark.parametrize(
    ("scheme", "host", "port", "userinfo", "reason"),
    [
        ("ftp", "icons.example", None, b"", "only http and https"),
        ("file", "", None, b"", "only http and https"),
        ("", "", None, b"", "only http and https"),
        ("https", "icons.example", None, b"ada", "user or a password"),
        ("https", "icons.example", 8443, b"", "icons.example:8443 is not among"),
        ("https", "icons.example.evil", None, b"", "icons.example.evil is not among"),
        ("https", "sub.icons.example", None, b"", "is not among"),
        ("https", "icons.example.", None, b"", "is not among"),
        ("https", "other.example", None, b"", "is not among"),
        ("http", "2001:db8::1", None, b"", r"\[2001:db8::1\] is not among"),
        ("https", "", None, b"", "is not among"),
    ],
)
def test_any_other_is_refused_and_the_reason_told(
    scheme: str, host: str, port: int | None, userinfo: bytes, reason: str
) -> None:
    refused = refusal_of_url(scheme, host, port, userinfo, RULES)
    assert refused is not None
    assert re.search(reason, refused)


def test_of_no_host_unless_one_is_allowed() -> None:
    assert refusal_of_url("https", "icons.example", None, b"", FetchRules()) is not None


WITHIN = ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.31.0.1", "192.168.0.9", "100.64.0.1", "fd00::1"]
PUBLIC = ["8.8.8.8", "151.101.1.69", "2606:4700::1111"]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "2001:db8::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:7f00:1::1",
    "nonsense",
    "",
]


def test_connections_go_to_public_addresses_and_to_others_only_where_that_is_set() -> None:
    usual, within = FetchRules(), FetchRules(private_addresses=True)
    assert [address for address in PUBLIC if refusal_of_address(address, usual)] == []
    assert [address for address in WITHIN if refusal_of_address(address, usual) is None] == []
    assert [address for address in [*WITHIN, *PUBLIC] if refusal_of_address(address, within)] == []


def test_to_some_addresses_none_ever_goes() -> None:
    for rules in (FetchRules(), FetchRules(private_addresses=True)):
        assert [address for address in NEVER if refusal_of_address(address, rules) is None] == []
