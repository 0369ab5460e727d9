"""TLS to stores, as the options of their URLs say: who is believed, what is told, and that files may be renewed."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rules.errors import InvalidInput
from stores.certificates import Certificates
from tests.stores.authority import Authority

GREETING = b"hello"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"))


@asynccontextmanager
async def server(certificate: Path, clients: Path | None = None) -> AsyncIterator[int]:
    """A server that says hello to whom it believes. ``clients``: the authority of theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        writer.close()

    running = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    async with running:
        yield running.sockets[0].getsockname()[1]


async def heard(port: int, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return await reader.read(100)
    finally:
        writer.close()


async def test_a_server_of_the_authority_is_believed(authority: Authority) -> None:
    async with server(authority.server()) as port:
        assert await heard(port, Certificates(ca=authority.ca).context("rows")) == GREETING


async def test_other_servers_are_not_and_it_is_told_why(authority: Authority, other: Authority) -> None:
    context = Certificates(ca=authority.ca).context("rows")
    for certificate, why in [
        (other.server(), "certificate verify failed"),
        (authority.server("expired", expired=True), "certificate has expired"),
        (authority.server("elsewhere", "elsewhere.example"), "IP address mismatch"),
    ]:
        async with server(certificate) as port:
            with pytest.raises(ssl.SSLCertVerificationError, match=why):
                await heard(port, context)


async def test_without_an_authority_of_its_own_a_server_needs_one_of_the_machine(
    authority: Authority,
) -> None:
    async with server(authority.server()) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await heard(port, Certificates().context("rows"))


async def test_a_server_may_have_another_name_than_its_address(authority: Authority) -> None:
    async with server(authority.server("named", "db.example")) as port:
        named = Certificates(ca=authority.ca, name="db.example").context("rows")
        assert await heard(port, named) == GREETING
        wrong = Certificates(ca=authority.ca, name="other.example").context("rows")
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await heard(port, wrong)


async def test_a_client_shows_its_certificate(authority: Authority) -> None:
    async with server(authority.server(), clients=authority.ca) as port:
        shown = Certificates(ca=authority.ca, cert=authority.client("cohort"))
        assert await heard(port, shown.context("rows")) == GREETING
        # The server ends it; at which moment it is told differs.
        [answer] = await asyncio.gather(
            heard(port, Certificates(ca=authority.ca).context("rows")), return_exceptions=True
        )
        assert answer != GREETING


async def test_renewed_files_are_taken_at_the_next_connection(
    authority: Authority, other: Authority, tmp_path: Path
) -> None:
    """As Kubernetes renews them: a link leads to other files."""
    link = tmp_path / "ca.pem"
    link.symlink_to(other.ca)
    context = Certificates(ca=link).context("rows")
    async with server(authority.server()) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await heard(port, context)
        renewed = tmp_path / "renewed.pem"
        renewed.symlink_to(authority.ca)
        renewed.rename(link)
        assert await heard(port, context) == GREETING
    async with server(other.server()) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await heard(port, context)


async def test_files_in_the_middle_of_a_renewal_leave_the_former_ones_in_use(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.ca.read_bytes())
    context = Certificates(ca=ca).context("rows")
    async with server(authority.server()) as port:
        ca.write_bytes(authority.ca.read_bytes()[:100])
        assert await heard(port, context) == GREETING
        assert await heard(port, context) == GREETING
        ca.unlink()
        assert await heard(port, context) == GREETING
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, "each state of the files once"
    assert "must be a certificate in PEM" in told[0]
    assert "can't be read: No such file" in told[1]


def test_what_is_wrong_with_a_file_names_its_option(
    authority: Authority, other: Authority, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing.pem"
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    ca, mine, theirs = authority.ca, authority.client("mine"), other.client("theirs")
    for certificates, why in [
        (
            Certificates(ca=nothing),
            f"rows: the file of ca, {nothing}, can't be read: No such file or directory",
        ),
        (Certificates(ca=text), f"rows: the file of ca, {text}, must be a certificate in PEM"),
        (Certificates(cert=nothing), f"rows: the file of cert, {nothing}, can't be read: No such file"),
        (Certificates(cert=nothing, key=mine), f"rows: the file of cert, {nothing}, can't be read"),
        (Certificates(cert=mine, key=nothing), f"rows: the file of key, {nothing}, can't be read"),
        (Certificates(cert=ca), f"rows: the file of cert, {ca}, must be a certificate and its key in PEM"),
        (Certificates(cert=mine, key=text), f"rows: the file of key, {text}, must be the key of cert in PEM"),
        (
            Certificates(cert=mine, key=theirs),
            f"rows: the file of key, {theirs}, is the key of another certificate",
        ),
    ]:
        with pytest.raises(InvalidInput) as raised:
            certificates.context("rows")
        assert raised.value.message.startswith(why)
        assert raised.value.field == "rows"


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    mine = Authority(tmp_path).client("mine")
    key = tmp_path / "key.pem"
    key.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")
        )
    )
    with pytest.raises(InvalidInput, match=r"the file of key, .* has a passphrase: it must have none"):
        Certificates(cert=mine, key=key).context("rows")
