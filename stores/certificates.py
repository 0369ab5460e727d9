"""TLS to a store: the files that its URL names, and the context that its connections are made by.

The options are the same for every store: ``ca``, ``cert`` and ``key`` are files in PEM, ``name`` is what the servers'
certificates call them. A server is always asked for its certificate, which must hold for the host.
"""

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rules.errors import InvalidInput

OPTIONS = frozenset({"ca", "cert", "key", "name"})
"""Options of a URL that name certificates."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a store's URL says of certificates.

    ``ca``: whom the servers' certificates must be from; the machine's authorities without it. ``cert`` and ``key``: the
    client's own; a ``cert`` alone has its key in the same file. ``name``: what the servers' certificates are made out to,
    where that is not the address by which they are reached.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    name: str | None = None

    @classmethod
    def named_by(cls, options: Mapping[str, str]) -> Self:
        """Those that the options of a URL name."""
        files = {of: Path(options[of]) for of in ("ca", "cert", "key") if of in options}
        return cls(**files, name=options.get("name"))

    def context(self, setting: str) -> "ClientContext":
        """The context for connections. InvalidInput names the option whose file can't be read, or says nothing of use."""
        return ClientContext.of(self, setting)

    def authorities(self, setting: str) -> bytes | None:
        """What the file ``ca`` has, for drivers with a TLS of their own. InvalidInput as from ``context``."""
        if self.ca is None:
            return None
        _built(Certificates(ca=self.ca), setting)
        return self.ca.read_bytes()


class ClientContext(ssl.SSLContext):
    """Makes each connection with the certificates that the files have by then: they are renewed without a restart.

    Where new files can't be read, as in the middle of a renewal, connections are made with the former ones.
    """

    _certificates: Certificates
    _setting: str
    _read: tuple[object, ...]
    """What the files were when they were read."""
    _told: tuple[object, ...] | None = None
    """What they were when they could last not be read: so that it is told once."""
    _inner: ssl.SSLContext

    @classmethod
    def of(cls, certificates: Certificates, setting: str) -> Self:
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context._certificates, context._setting = certificates, setting
        context._read = context._state()
        context._inner = _built(certificates, setting)
        return context

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """As ssl's."""
        return self._current().wrap_socket(*arguments, **self._named(options))

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """As ssl's. Asyncio makes its connections by it."""
        return self._current().wrap_bio(*arguments, **self._named(options))

    def _named(self, options: dict[str, Any]) -> dict[str, Any]:
        name = self._certificates.name
        return options if name is None else {**options, "server_hostname": name}

    def _current(self) -> ssl.SSLContext:
        state = self._state()
        if state not in (self._read, self._told):
            try:
                self._inner = _built(self._certificates, self._setting)
                self._read, self._told = state, None
            except InvalidInput as error:
                self._told = state
                log.warning("new certificates are not taken, the former ones are used on: %s", error)
        return self._inner

    def _state(self) -> tuple[object, ...]:
        return tuple(map(_version, (self._certificates.ca, self._certificates.cert, self._certificates.key)))


class _ClosesAtOnce(ssl.SSLObject):
    """Says that it closes, and does not wait for the server to say so too.

    uvloop waits for that up to 30 s, if an answer is still on its way: the end of each reader of Kafka would take so long.
    """

    def unwrap(self) -> ssl.SSLSocket | None:  # type: ignore[override]
        with suppress(ssl.SSLWantReadError):  # what it says is on its way
            super().unwrap()
        return None


def _version(path: Path | None) -> object:
    """Changes when the file does, also where a link leads to another one, as Kubernetes renews its files."""
    try:
        found = path.stat() if path else None
    except OSError as error:
        return error.errno
    return found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _built(certificates: Certificates, setting: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it asks for a certificate, and checks the host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslobject_class = _ClosesAtOnce
    if certificates.ca is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(certificates.ca)
        except (OSError, ssl.SSLError) as error:
            raise _refused("ca", certificates.ca, error, setting) from None
    if certificates.cert is not None:
        try:
            context.load_cert_chain(certificates.cert, certificates.key, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            at_fault = "cert" if certificates.key is None or _is_missing(certificates.cert) else "key"
            file = certificates.key if at_fault == "key" else certificates.cert
            raise _refused(at_fault, file or certificates.cert, error, setting) from None
    return context


def _refused(option: str, file: Path, error: Exception, setting: str) -> InvalidInput:
    match error:
        case ssl.SSLError(reason="KEY_VALUES_MISMATCH"):
            why = "is the key of another certificate than cert"
        case ssl.SSLError():
            kind = {"ca": "a certificate", "cert": "a certificate and its key", "key": "the key of cert"}[
                option
            ]
            why = f"must be {kind} in PEM"
        case OSError():
            why = f"can't be read: {error.strerror}"
        case _:
            why = str(error)
    return InvalidInput(f"{setting}: the file of {option}, {file}, {why}", field=setting)


def _is_missing(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return True
    return False


def _no_passphrase() -> str:
    """Without it OpenSSL would ask at the terminal, and wait."""
    raise ValueError("has a passphrase: it must have none")
