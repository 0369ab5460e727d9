"""Where Kafka is, and how one proves to it who one is: the URL of ``events``."""

from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from rules.errors import InvalidInput
from stores.certificates import Certificates
from stores.urls import check_store_url

SCRAM = "SCRAM-SHA-512"
"""How a password is proved where the URL says nothing of it: it is not sent."""


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """``servers``: host:port,host:port. ``user``: None without a password. ``certificates``: None without TLS."""

    servers: str
    user: str | None = None
    password: str = field(default="", repr=False)
    mechanism: str = SCRAM
    certificates: Certificates | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """``kafka://HOST:PORT,HOST:PORT``, or ``kafkas://USER:PASSWORD@HOST:PORT?sasl=…&ca=FILE`` for TLS.

        User and password are percent-encoded. InvalidInput says what is wrong with the URL.
        """
        check_store_url("events", url)
        parts = urlsplit(url)
        if parts.scheme not in ("kafka", "kafkas"):
            raise InvalidInput("must be kafka://HOST:PORT,HOST:PORT or kafkas://…", field="events")
        who, _, servers = parts.netloc.rpartition("@")
        user, _, password = who.partition(":")
        options = dict(parse_qsl(parts.query))
        return cls(
            servers,
            unquote(user) or None,
            unquote(password),
            options.get("sasl", SCRAM),
            Certificates.named_by(options) if parts.scheme == "kafkas" else None,
        )

    @property
    def protocol(self) -> str:
        """What Kafka calls the kind of its listener."""
        transport = "PLAINTEXT" if self.certificates is None else "SSL"
        return transport if self.user is None else f"SASL_{transport}"

    def client_options(self) -> dict[str, Any]:
        """What each client of aiokafka is given. InvalidInput for certificates that can't be read."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.servers.split(","),
            "security_protocol": self.protocol,
        }
        if self.certificates is not None:
            options["ssl_context"] = self.certificates.context("events")
        if self.user is not None:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return options

    @property
    def consumer_properties(self) -> dict[str, str]:
        """What a consumer in Java is told of it, without secrets."""
        properties = {"bootstrap.servers": self.servers}
        if self.protocol != "PLAINTEXT":
            properties["security.protocol"] = self.protocol
        if self.user is not None:
            properties["sasl.mechanism"] = self.mechanism
        return properties
