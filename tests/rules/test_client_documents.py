"""Manifests of documents in the forms that clients' tools write, and the ids in them."""

from typing import Any

import orjson
import pytest

from rules.client_documents import Listed, checked_document_id, document_id, listed_in
from rules.errors import InvalidInput

TEXT = "query Me { me { userId } }"
HASH = "3a2b1d9a9dd7bd2ff2e4d5df3ab2cb2a4ab8d6a1b3dbd8d3d4a1d0ea1f0cbd5b"


def test_an_id_is_the_sha_256_of_the_text() -> None:
    # printf %s abc | sha256sum
    assert document_id("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    for given in (HASH, f"sha256:{HASH}", HASH.upper()):
        assert checked_document_id(given, "documentId") == HASH


@pytest.mark.parametrize(
    "given", ["", "me", HASH[:-1], f"{HASH}0", f"sha1:{HASH}", f"md5:{HASH[:32]}", "ü" * 64]
)
def test_another_id_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="64 hexadecimal digits") as refused:
        checked_document_id(given, "documentId")
    assert refused.value.field == "documentId"


def test_the_manifest_of_apollo() -> None:
    operation = {"id": HASH, "name": "Me", "type": "query", "body": TEXT}
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    assert listed_in(orjson.dumps(manifest)) == [Listed("Me", HASH, TEXT)]


def test_the_manifest_of_relay_and_of_graphql_codegen() -> None:
    assert listed_in(orjson.dumps({HASH: TEXT})) == [Listed(HASH, HASH, TEXT)]


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        ([], "no object at the top"),
        ({"a": 5}, "'a' is no text"),
        ({"format": "other", "version": 1, "operations": []}, "its format must be"),
        ({"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}, "version 1"),
        ({"format": "apollo-persisted-query-manifest", "version": 1}, "operations must be a list"),
        (
            {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": HASH}]},
            r"operations\[0\] must have an id and a body",
        ),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(manifest: Any, told: str) -> None:
    data = manifest if isinstance(manifest, bytes) else orjson.dumps(manifest)
    with pytest.raises(InvalidInput, match=told):
        listed_in(data)
