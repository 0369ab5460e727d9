"""Where Cassandra is, and who asks it."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from rules.errors import InvalidInput
from stores.certificates import Certificates
from stores.urls import check_store_url


@dataclass(frozen=True, slots=True)
class Address:
    """``cassandra://user:password@host,host:9042/keyspace?dc=datacenter1&replication=1``, or ``cassandras://…&ca=FILE`` for TLS.

    A host without a port has that of the last host. A new keyspace is replicated in the data centre ``dc``; without
    ``dc``, by SimpleStrategy.
    """

    hosts: tuple[tuple[str, int], ...]
    keyspace: str
    user: str | None
    password: str | None
    dc: str | None
    replication: int
    certificates: Certificates | None = None
    """None without TLS."""

    @classmethod
    def parse(cls, url: str, *, prefix: str = "") -> Self:
        """``prefix`` is put before the keyspace's name. InvalidInput says what is wrong with the URL."""
        parts = urlsplit(url)
        who, _, where = parts.netloc.rpartition("@")
        user, _, password = who.partition(":")
        keyspace = prefix + (parts.path.strip("/") or "cohort")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.scheme not in ("cassandra", "cassandras") or not where:
            raise InvalidInput(
                "takes cassandra://user:password@host,host:9042/keyspace?dc=datacenter1&replication=1, or cassandras://…",
                field="url",
            )
        try:
            check_store_url("rows", url)
        except InvalidInput as error:
            raise InvalidInput(error.message, field="url") from None
        if not re.fullmatch("[a-z][a-z0-9_]{0,47}", keyspace):
            raise InvalidInput(
                f"{keyspace!r} is no keyspace: a-z, 0-9 and _, at most 48 of them", field="url"
            )
        named = [host.rpartition(":") if ":" in host else (host, "", "") for host in where.split(",")]
        try:
            default = int(named[-1][2] or 9042)
            hosts = tuple((host, int(port or default)) for host, _, port in named)
            replication = int(options.get("replication", 1))
        except ValueError:
            raise InvalidInput("a port and the replication are numbers", field="url") from None
        if replication < 1:
            raise InvalidInput("the replication is how many nodes have each row: 1 or more", field="url")
        return cls(
            *(hosts, keyspace, unquote(user) or None, unquote(password), options.get("dc"), replication),
            Certificates.named_by(options) if parts.scheme == "cassandras" else None,
        )

    @property
    def create(self) -> str:
        strategy = (
            f"'NetworkTopologyStrategy', '{self.dc}'" if self.dc else "'SimpleStrategy', 'replication_factor'"
        )
        return (
            f"CREATE KEYSPACE IF NOT EXISTS {self.keyspace} "
            f"WITH replication = {{'class': {strategy}: {self.replication}}}"
        )
