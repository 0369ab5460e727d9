"""An authority of a test's own, and the files of certificates that it gives out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

NAMES = ("127.0.0.1", "127.0.2.1", "localhost")
"""What servers of tests are reached by."""


class Authority:
    """Its certificate is in the file ``ca``."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._ca.cert_pem.bytes())

    def server(self, name: str = "server", *names: str, expired: bool = False) -> Path:
        """A file with a certificate for these names, or for those of all servers of tests, and its key."""
        return self._file(name, self._ca.issue_cert(*(names or NAMES), not_after=_end(expired)))

    def client(self, user: str) -> Path:
        """A file with a client's certificate, made out to this user, and its key."""
        return self._file(f"client-{user}", self._ca.issue_cert(f"{user}@example.org", common_name=user))

    def _file(self, name: str, issued: trustme.LeafCert) -> Path:
        # Servers in Java take keys in PKCS #8 alone.
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = self._folder / f"{name}.pem"
        path.write_bytes(pem + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return path


def _end(expired: bool) -> datetime | None:
    return datetime.now(UTC) - timedelta(days=1) if expired else None
