"""URLs of stores are checked when settings are read, and what is wrong with one is told without it: it may hold a password."""

from pathlib import Path

import pytest

from rules.errors import InvalidInput
from stores.urls import FORMS, check_store_url, embedded_path, learner_index_path, mirrored_states

RIGHT = {
    "rows": [
        "sqlite:///rows.db",
        "cassandra://user:p%40ss@host,other:9042/cohort?dc=dc1&replication=3",
        "cassandra://[::1]:9042/k",
        "cassandras://user:p@host/k?ca=/tls/ca.pem&cert=/tls/c.pem&key=/tls/k.pem&name=db.example&dc=dc1",
    ],
    "events": [
        "embedded:",
        "kafka://a:9092,b:9092",
        "kafka://a",
        "kafkas://u:p@a,b:9094?sasl=PLAIN&ca=/ca.pem",
    ],
    "cache": ["embedded:", "redis://h:6379/0", "rediss://:secret@h/1?ca=/ca.pem", "unix:///run/redis.sock"],
    "groups": [
        "duckdb:///groups.duckdb",
        "druid://b:8082?coordinator=c:8081&kafka=k:9092,l:9092",
        "druid://b:8082?coordinator=c:8081&mirror=2000000",
        "druids://u:p@b?ca=/ca.pem&kafka_env=sasl.jaas.config:JAAS,ssl.truststore.certificates:CA",
    ],
    "blobs": ["file:///blobs", "s3://key:secret@bucket/folder?endpoint=http://h:7070&region=r", "gs://b"],
    "search": ["fts5:///search.db", "opensearch://h:9200", "opensearchs://u:p@h?ca=/ca.pem"],
}
WRONG = [
    ("rows", "postgres://secret@h/db", "must be sqlite:///FILE or cassandra://"),
    ("rows", "rows.db", "must be sqlite:///FILE or cassandra://"),
    ("rows", "sqlite://rows.db", "a file is named behind three slashes"),
    ("rows", "cassandra:///secret", "a host is missing"),
    ("rows", "cassandra://u:secret@h:port/k", "a port is a number from 1 to 65535"),
    ("rows", "cassandra://h/k?dv=1", "dv is no option"),
    ("rows", "cassandra://u:secret@h/k?ca=/ca.pem", "ca is no option: certificates are for cassandras://"),
    ("rows", "cassandras://u:secret@h/k?key=/k.pem", "a key needs its cert"),
    ("events", "kafka://u:secret@a?sasl=plain", "sasl is SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
    ("events", "kafkas://a?cafile=/x", "cafile is no option"),
    ("cache", "rediss://h?ssl_cert_reqs=none", "ssl_cert_reqs is no option"),
    ("groups", "druid://b?kafka_env=sasl.jaas.config", "kafka_env is a list of PROPERTY:VARIABLE"),
    ("events", "kafka://a:9092,", "a host is missing"),
    ("events", "kafka://a:99999", "a port is a number from 1 to 65535"),
    ("events", "embedded:x", "nothing stands behind embedded:"),
    ("cache", "redis://:secret@", "a host is missing"),
    ("cache", "unix://", "the path is missing"),
    ("groups", "druid://b:8082?coordinator=c:secret", "a port is a number from 1 to 65535"),
    ("groups", "druid://b?broker=x", "broker is no option"),
    ("groups", "druid://b?mirror=yes", "mirror is a number of states"),
    ("groups", "druid://b?mirror=-1", "mirror is a number of states"),
    ("blobs", "s3://", "a host is missing"),
    ("search", "opensearch://[::1", "Invalid IPv6 URL"),
]


@pytest.mark.parametrize(
    ("setting", "url"), [(setting, url) for setting, urls in RIGHT.items() for url in urls]
)
def test_a_url_of_each_form_is_taken(setting: str, url: str) -> None:
    check_store_url(setting, url)


@pytest.mark.parametrize(("setting", "url", "why"), WRONG)
def test_what_is_wrong_is_told_with_what_would_be_right_and_without_the_url(
    setting: str, url: str, why: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        check_store_url(setting, url)
    assert raised.value.message.startswith(why)
    assert any(form in raised.value.message for form in FORMS[setting].values())
    assert "secret" not in raised.value.message
    assert raised.value.field == setting


@pytest.mark.parametrize(
    ("setting", "url", "path"),
    [
        ("rows", "sqlite:///rows.db", "rows.db"),
        ("rows", "sqlite:", "rows.db"),
        ("rows", "sqlite:////var/lib/rows.db", "/var/lib/rows.db"),
        ("events", "embedded:", "events.db"),
        ("groups", "duckdb:///figures.duckdb", "figures.duckdb"),
        ("blobs", "file:///folder/of/files", "folder/of/files"),
        ("search", "fts5:///", "search.db"),
    ],
)
def test_the_file_of_an_embedded_engine_is_where_its_url_says(setting: str, url: str, path: str) -> None:
    assert embedded_path(setting, url) == path


def test_the_learner_index_is_beside_that_of_collections() -> None:
    assert learner_index_path(Path("data/search.db")) == Path("data/search-learners.db")


def test_a_mirror_is_made_only_where_the_url_says_of_how_many_states() -> None:
    assert mirrored_states("druid://b:8082?coordinator=c:8081&mirror=2000000") == 2_000_000
    assert mirrored_states("druids://u:p@b?ca=/ca.pem") == 0
