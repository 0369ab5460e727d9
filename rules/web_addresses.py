"""What may be fetched from the web: of which hosts, at which addresses, how much of it (R-COLL-5, D-FETCHING-ICONS)."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

MIB = 1024 * 1024
USUAL_PORTS = {"http": 80, "https": 443}

_WITHIN = tuple(
    map(
        ip_network,
        (
            *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
            *("::1/128", "fc00::/7"),
        ),
    )
)
"""Addresses of this machine and of private networks."""
_PUBLIC_V6 = ip_network("2000::/3")
_LEADS_TO_V4 = tuple(map(ip_network, ("2001::/32", "2002::/16")))
"""Parts of the public IPv6 addresses that stand for an IPv4 address, which may be a private one."""
_OF_CLOUDS = tuple(map(ip_network, ("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32")))
"""Where clouds tell their machines secrets, beside the link-local addresses."""


@dataclass(frozen=True, slots=True)
class FetchRules:
    """``hosts``: those that may be asked, each with its port unless that is the usual one. ``largest``: bytes.
    ``within``: seconds for one file, redirections included. ``private_addresses``: whether a host may be this machine
    or in a private network."""

    hosts: Sequence[str] = ()
    largest: int = MIB
    within: float = 10.0
    private_addresses: bool = False


def refusal_of_url(
    scheme: str, host: str, port: int | None, userinfo: bytes, rules: FetchRules
) -> str | None:
    """Returns why a URL with these parts may not be fetched, None where it may."""
    if scheme not in USUAL_PORTS:
        return "only http and https are fetched"
    if userinfo:
        return "a URL with a user or a password is not fetched"
    named = f"[{host}]" if ":" in host else host
    usual = port in (None, USUAL_PORTS[scheme])
    names = {f"{named}:{port or USUAL_PORTS[scheme]}", *({named} if usual else ())}
    if not names & {allowed.lower() for allowed in rules.hosts}:
        return f"{named if usual else f'{named}:{port}'} is not among the allowed hosts"
    return None


def refusal_of_address(address: str, rules: FetchRules) -> str | None:
    """Returns why no connection may be made to this IP address, None where it may.

    Allowed are public addresses alone, and with ``private_addresses`` those of this machine and of private networks.
    Never allowed are all others: link-local, where clouds tell machines their secrets, multicast, reserved, and those
    of IPv6 that stand for one of IPv4 (mapped, NAT64, 6to4, Teredo).
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "its address can't be read"
    if any(parsed in network for network in _OF_CLOUDS):
        return "its address is not a public one"
    if any(parsed in network for network in _WITHIN):
        return None if rules.private_addresses else "its address is of this machine or of a private network"
    return None if _is_public(parsed) else "its address is not a public one"


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return address.version == 4 or (
        address in _PUBLIC_V6 and not any(address in network for network in _LEADS_TO_V4)
    )
