"""What the search port promises, on SQLite FTS5 and on a real OpenSearch server."""

import asyncio
import ssl
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rules.errors import DeadlineExceeded, InvalidInput, StoreUnavailable
from rules.search import SearchDocument, words_of
from stores.deadline import deadline
from stores.engines import open_stores
from stores.search import Hits, IndexWrite, Search, SearchOrder, SearchQuery, UnitHit
from stores.search_fts5 import Fts5Search
from stores.search_opensearch import OpenSearch
from tests.conftest import SEARCH, drop_search_index, examples

pytestmark = pytest.mark.long

Filters = dict[str, tuple[str, ...]]


@pytest.fixture(params=["fts5", pytest.param("opensearch", marks=pytest.mark.stack)])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def fresh(engine: str, tmp_path: Path) -> AsyncIterator[Search]:
    """An engine whose index was not created yet."""
    prefix = f"test-{uuid4().hex[:10]}"
    opened: Search
    if engine == "fts5":
        opened = await Fts5Search.open(tmp_path / "search.db")
    else:
        opened = await OpenSearch.open(SEARCH, prefix)
    yield opened
    await opened.close()
    if engine == "opensearch":
        await drop_search_index(prefix)


@pytest.fixture
async def search(fresh: Search) -> Search:
    await fresh.init()
    return fresh


def collection(identifier: str, name: str = "Name", **more: object) -> SearchDocument:
    filters: Filters = {"root": (identifier,), "visibility": ("Default",), **more.pop("filters", {})}  # type: ignore[dict-item]
    return SearchDocument(identifier, identifier, 1, name, filters=filters, **more)  # type: ignore[arg-type]


def unit(root: str, identifier: str, name: str) -> SearchDocument:
    return SearchDocument(root, identifier, 1, name, filters={"root": (root,), "visibility": ("Parent",)})


async def fill(search: Search, *documents: SearchDocument) -> None:
    assert await search.write([IndexWrite(document, None) for document in documents]) == []


async def found(search: Search, text: str = "", **more: object) -> list[str]:
    hits = await search.find(SearchQuery(words=words_of(text), **more))  # type: ignore[arg-type]
    assert hits.total == len(hits.hits)
    return [hit.identifier for hit in hits.hits]


# --- words


async def test_all_words_must_occur_wherever_and_the_last_may_go_on(search: Search) -> None:
    await fill(
        search,
        collection("both", "Rivers of India", description="A geography book"),
        collection("one", "Rivers"),
        collection("none", "Mountains"),
    )
    assert await found(search, "rivers geography") == ["both"]
    assert await found(search, "rivers geog") == ["both"]
    assert await found(search, "geog rivers") == [], "only the last word may go on"
    assert set(await found(search, "RIV")) == {"both", "one"}
    assert await found(search, "ivers") == []


async def test_a_word_in_the_name_comes_before_keywords_description_and_units(search: Search) -> None:
    await fill(
        search,
        collection("in-unit", "Alpha", unit_names=("Algebra",)),
        collection("in-description", "Beta", description="Algebra"),
        collection("in-keywords", "Gamma", keywords=("Algebra",)),
        collection("in-name", "Algebra"),
        *(collection(f"other-{number}", "Something else") for number in range(10)),
    )
    order = ["in-name", "in-keywords", "in-description", "in-unit"]
    assert await found(search, "algebra") == order
    assert await found(search, "alge") == order
    assert await found(search, "algebra", descending=False) == order[::-1]


async def test_what_is_written_together_is_not_found_across_two_names(search: Search) -> None:
    await fill(search, collection("a", "Alpha", unit_names=("漢", "字")), collection("b", "漢字"))
    assert await found(search, "漢字") == ["b"]


async def test_capitals_and_accents_make_no_difference(search: Search) -> None:
    await fill(search, collection("cafe", "Café Économie"))
    for text in ("CAFE", "café", "economie", "ÉCO"):
        assert await found(search, text) == ["cafe"], text


@pytest.mark.parametrize(
    ("name", "finding", "not_finding"),
    [
        ("गणित की किताब", "गणित", "गण त"),
        ("गणित की किताब", "किता", "कत"),
        ("Математика для школы", "матем", "тематика"),
        ("தமிழ் இலக்கணம்", "தமிழ்", "தமழ"),
        ("𝒳-rays and 𐐀𐐁 letters", "𐐀𐐁", "𐐁𐐀"),
        ("Числа 2024", "2024", "024"),
        ("C'est l'été", "l'été", "s'été"),
        ("Unit1:Motion_and.rest", "motion", "otion"),
        ("漢字の本", "字", "学"),
        ("क्\u200dष और श", "क्\u200dष", "ष"),
    ],
)
async def test_words_are_those_of_any_script(
    search: Search, name: str, finding: str, not_finding: str
) -> None:
    await fill(search, collection("it", name), collection("other", "Other"))
    assert await found(search, finding) == ["it"]
    assert await found(search, not_finding) == []


@pytest.mark.parametrize(
    "text",
    [
        'rivers "of',
        "rivers AND of",
        "rivers NOT india",
        "name:rivers",
        "rivers*",
        "^rivers",
        "rivers NEAR(of)",
        "(rivers",
        "rivers OR",
        "{name} : rivers",
        "-rivers",
        "rivers + of",
        "rivers\\",
        "rivers;--",
        "rivers \x00 of",
        "🎓 rivers 🎓",
        "«rivers»",
        "rivers/of",
        "riv?rs",
    ],
)
async def test_what_is_an_operator_elsewhere_is_a_text_here(search: Search, text: str) -> None:
    """Nothing in a text fails or changes what is found: words of letters are looked for, the rest is passed over."""
    names = {"it": "Rivers of India", "operators": "rivers AND OR NOT NEAR of india name"}
    await fill(search, *(collection(identifier, name) for identifier, name in names.items()))
    letters = "".join(one if one.isalnum() else " " for one in text).lower().split()
    expected = {identifier for identifier, name in names.items() if {*letters} <= {*name.lower().split()}}
    assert set(await found(search, text)) == expected


async def test_quotes_and_backslashes_in_a_document_are_kept(search: Search) -> None:
    odd = collection(
        'a"b\\c', 'It\'s "quoted" \\ 🎓 \u0000 नमस्ते', filters={"subject": ('"; DROP', "*", "a:b")}
    )
    await fill(search, odd)
    assert [one.document for one in await search.documents('a"b\\c')] == [odd]
    assert await found(search, "quoted", filters={"subject": ["*"]}) == ['a"b\\c']
    assert await found(search, "नमस्ते", filters={"subject": ['"; DROP', "other"]}) == ['a"b\\c']


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(max_size=60))
async def test_no_text_fails(search: Search, text: str) -> None:
    hits = await search.find(SearchQuery(words=words_of(text)))
    assert hits.total == 0


@pytest.mark.parametrize("text", ["", "  ", "***", '"', "🎓", "\x00"])
def test_a_text_of_signs_alone_has_no_word(text: str) -> None:
    assert words_of(text) == ()


@pytest.mark.parametrize("text", ["a" * 501, "a " * 51])
def test_a_text_that_is_too_long_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="at most") as refused:
        words_of(text)
    assert refused.value.field == "text"


async def test_the_longest_text_is_searched_for(search: Search) -> None:
    await fill(search, collection("it", "a" * 500))
    assert await found(search, "a" * 500) == ["it"]
    assert await found(search, " ".join(["a" * 9] * 50)) == [], "whole words but the last"


# --- filters and facets


@pytest.fixture
async def library(search: Search) -> Search:
    def book(identifier: str, subject: Sequence[str], grade: str) -> SearchDocument:
        return collection(
            identifier, f"Book {identifier}", filters={"subject": tuple(subject), "gradeLevel": (grade,)}
        )

    await fill(
        search,
        book("a", ["Mathematics"], "Class 1"),
        book("b", ["Mathematics", "Science"], "Class 2"),
        book("c", ["Science"], "Class 1"),
        book("d", ["History"], "Class 3"),
        collection("e", "Book e"),
    )
    return search


async def test_filters_hold_together_and_of_their_values_one_must_be_there(library: Search) -> None:
    async def those(**filters: list[str]) -> list[str]:
        return sorted(await found(library, "book", filters=filters))

    assert await those(subject=["Mathematics"]) == ["a", "b"]
    assert await those(subject=["Mathematics", "Science"]) == ["a", "b", "c"]
    assert await those(subject=["Mathematics", "Science"], gradeLevel=["Class 1"]) == ["a", "c"]
    assert await those(subject=["mathematics"]) == [], "values are compared as they are"
    assert await those(subject=["Math"]) == []
    assert await those(subject=[]) == []
    assert await those() == ["a", "b", "c", "d", "e"]


async def test_a_facet_counts_the_values_of_all_that_is_found(library: Search) -> None:
    everything = await library.find(SearchQuery(first=1, facets=["subject", "gradeLevel", "board"]))
    assert everything.total == 5
    assert everything.facets == {
        "subject": [("Mathematics", 2), ("Science", 2), ("History", 1)],
        "gradeLevel": [("Class 1", 2), ("Class 2", 1), ("Class 3", 1)],
        "board": [],
    }
    some = await library.find(
        SearchQuery(words_of("book"), filters={"gradeLevel": ["Class 1"]}, facets=["subject"])
    )
    assert some.facets == {"subject": [("Mathematics", 1), ("Science", 1)]}


# --- order and pages


async def all_pages(search: Search, query: SearchQuery) -> list[str]:
    identifiers: list[str] = []
    page: Hits | None = None
    while page is None or page.has_more:
        page = await search.find(replace(query, after=page.hits[-1].place if page else None))
        assert len(page.hits) == query.first or not page.has_more
        assert page.total == 1000
        identifiers += [hit.identifier for hit in page.hits]
    return identifiers


async def test_a_thousand_are_paged_through_without_loss_in_every_order(search: Search) -> None:
    books = {
        f"id-{number:04}": collection(
            f"id-{number:04}",
            # Of each name and figure there are several, and what they leave open the identifier decides.
            f"{'Book' if number % 2 else 'book'} {number * 7 % 100:02}",
            description="book " * (number % 5),
            published_on=number % 30 * 86_400_000,
            leaf_nodes_count=number * 13 % 40,
        )
        for number in range(1000)
    }
    await fill(search, *books.values())
    values: dict[SearchOrder, Callable[[SearchDocument], Any]] = {
        SearchOrder.NAME: lambda book: book.name.lower(),
        SearchOrder.LAST_PUBLISHED_ON: lambda book: book.published_on,
        SearchOrder.LEAF_NODES_COUNT: lambda book: book.leaf_nodes_count,
    }
    for order, value in values.items():
        for descending in (False, True):
            expected = sorted(books)  # stable: equal ones stay in the identifiers' order
            expected.sort(key=lambda identifier: value(books[identifier]), reverse=descending)
            query = SearchQuery(words_of("bo"), order=order, descending=descending, first=200)
            assert await all_pages(search, query) == expected, order
    for descending in (False, True):
        for words in ((), words_of("book"), words_of("bo")):
            paged = await all_pages(search, SearchQuery(words, descending=descending, first=170))
            assert sorted(paged) == sorted(books)
            assert len(paged) == 1000
    best = await all_pages(search, SearchQuery(words_of("book"), first=190))
    whole = await search.find(SearchQuery(words_of("book"), first=1000))
    assert best == [hit.identifier for hit in whole.hits]


@pytest.mark.parametrize("order", [one for one in SearchOrder if one is not SearchOrder.NAME])
@pytest.mark.parametrize("value", ["", "x", "nan", "1e999", "9" * 30, "१.५"])
async def test_a_place_of_another_order_is_refused(search: Search, order: SearchOrder, value: str) -> None:
    if order is SearchOrder.RELEVANCE and value in ("9" * 30, "१.५"):
        return  # a number
    with pytest.raises(InvalidInput) as refused:
        await search.find(SearchQuery(order=order, after=(value, "id")))
    assert refused.value.field == "after"


# --- units


async def test_the_best_units_of_each_collection_are_told(search: Search) -> None:
    await fill(
        search,
        collection("a", "Algebra"),
        unit("a", "a-1", "Linear algebra"),
        unit("a", "a-2", "Algebra"),
        unit("a", "a-3", "Geometry"),
        *(unit("a", f"b-{number}", f"More on algebra and on much else {number}") for number in range(10)),
        unit("b", "a-2", "Algebra"),
        unit("c", "c-1", "Algebra"),
    )
    units = await search.units(words_of("algebra"), ["a", "b", "d"], 3)
    assert [one.identifier for one in units["a"]] == ["a-2", "a-1", "b-0"]
    assert units["b"] == [UnitHit("a-2", "Algebra")]
    assert not units.get("d")
    assert "c" not in units
    either = await search.units(words_of("history geom"), ["a"], 3)
    assert either["a"] == [UnitHit("a-3", "Geometry")], "one of the words is enough"
    assert not (await search.units((), ["a"], 3)).get("a")
    assert not await search.units(words_of("algebra"), [], 3)


# --- writing


async def test_documents_come_back_as_they_were_written(search: Search) -> None:
    book = SearchDocument(
        "a", "a", 7, "Näme", "Text", ("k", "l"), ("u", "v"), {"root": ("a",), "board": ("X", "Y")}, 1234, 5
    )
    below = unit("a", "a-1", "Unit")
    await fill(search, book, below, collection("b"))
    assert [one.document for one in await search.documents("a")] == [book, below]
    assert await search.documents("c") == []


async def test_a_write_is_found_at_once_also_by_another_process(
    search: Search, engine: str, tmp_path: Path
) -> None:
    other: Search
    if isinstance(search, OpenSearch):
        other = await OpenSearch.open(SEARCH, search._alias.removesuffix(".search"))
    else:
        other = await Fts5Search.open(tmp_path / "search.db")
    await fill(search, collection("a", "Rivers"))
    assert await found(other, "rivers") == ["a"]
    (stored,) = await other.documents("a")
    assert await other.write([IndexWrite(collection("a", "Hills"), stored.revision)]) == []
    assert (await found(search, "rivers"), await found(search, "hills")) == ([], ["a"])
    (stored,) = await search.documents("a")
    assert await search.write([IndexWrite(stored.document, stored.revision, delete=True)]) == []
    assert (await found(other), await other.documents("a")) == ([], [])
    await other.close()


async def test_a_write_of_what_has_changed_since_is_left(search: Search) -> None:
    await fill(search, collection("a", "First"))
    (read,) = await search.documents("a")
    assert await search.write([IndexWrite(collection("a", "Second"), read.revision)]) == []
    late = [
        IndexWrite(collection("a", "Late"), read.revision),
        IndexWrite(collection("a", "Late"), read.revision, delete=True),
        IndexWrite(collection("a", "Late"), None),
        IndexWrite(collection("b", "New"), None),
    ]
    assert await search.write(late) == late[:3]
    assert [one.document.name for one in await search.documents("a")] == ["Second"]
    assert [one.document.name for one in await search.documents("b")] == ["New"]
    (read,) = await search.documents("a")
    assert await search.write([IndexWrite(read.document, read.revision, delete=True)]) == []
    for late_one in (
        IndexWrite(read.document, read.revision, delete=True),
        IndexWrite(read.document, read.revision),
    ):
        assert await search.write([late_one]) == [late_one]
    assert await search.write([IndexWrite(collection("a", "Again"), None)]) == []
    assert sorted(await found(search)) == ["a", "b"]


async def test_of_two_writers_at_once_one_wins(search: Search) -> None:
    names = [f"Writer {number}" for number in range(5)]
    left = await asyncio.gather(*(search.write([IndexWrite(collection("a", name), None)]) for name in names))
    assert sorted(map(len, left)) == [0, 1, 1, 1, 1]
    (stored,) = await search.documents("a")
    assert stored.document.name == names[left.index([])]


async def test_every_collection_is_told_once(search: Search) -> None:
    assert [page async for page in search.roots()] == []
    books = [collection(f"id-{number:04}") for number in range(1200)]
    await fill(search, *books, *(unit("id-0007", f"u-{number}", "U") for number in range(3)))
    roots = [root async for page in search.roots() for root in page]
    assert roots == [book.root for book in books]


async def test_a_collection_of_many_units_comes_back_whole(search: Search) -> None:
    units = [unit("big", f"u-{number:05}", f"Unit {number} " + "x" * 900) for number in range(5_000)]
    await fill(search, collection("big"), *units)
    stored = [one.document for one in await search.documents("big")]
    assert stored == [collection("big"), *units]


# --- there or not


async def test_init_creates_what_is_missing_and_then_nothing(fresh: Search) -> None:
    for call in (fresh.ping(), fresh.find(SearchQuery()), fresh.documents("a")):
        with pytest.raises(StoreUnavailable, match="cohort init"):
            await call
    with pytest.raises(StoreUnavailable):
        await fresh.write([IndexWrite(collection("a"), None)])
    (line,) = await fresh.init()
    assert "search check --repair" in line
    await fresh.ping()
    await fill(fresh, collection("a"))
    assert await fresh.init() == []
    assert await found(fresh) == ["a"]


async def test_an_index_of_an_earlier_version_is_made_anew(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(search, collection("a"))
    if isinstance(search, OpenSearch):
        monkeypatch.setattr(OpenSearch, "version", 2)
    else:
        monkeypatch.setattr("stores.search_fts5.VERSION", 2)
    assert len(await search.init()) == 1
    assert await found(search) == []
    await fill(search, collection("a"))
    assert await found(search) == ["a"]
    assert await search.init() == []


async def test_a_call_keeps_to_the_deadline(search: Search) -> None:
    with deadline(0.001):
        await asyncio.sleep(0.01)
        with pytest.raises(DeadlineExceeded):
            await search.find(SearchQuery())


async def test_without_its_server_it_is_away_and_says_so_soon() -> None:
    search = await OpenSearch.open("opensearch://127.0.0.1:1", "test")
    begun = time.monotonic()
    for call in (search.ping(), search.find(SearchQuery()), search.documents("a"), search.init()):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1") as away:
            await call
        assert "127.0.0.1" not in away.value.message
    assert time.monotonic() - begun < 30
    await search.close()


async def test_a_server_that_does_not_answer_is_away_in_time() -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    search = await OpenSearch.open(f"opensearch://127.0.0.1:{port}", "test", timeout=0.2)
    with pytest.raises(StoreUnavailable, match=r"0\.2 s"):
        await search.find(SearchQuery())
    with deadline(0.1), pytest.raises(DeadlineExceeded):
        await search.ping()
    await search.close()
    server.close()


@pytest.mark.parametrize(
    "url",
    [
        "opensearch:",
        "opensearch://",
        "opensearch://host:port",
        "opensearch://host/index",
        "opensearch://host?x=1",
        "elastic://host",
    ],
)
async def test_a_wrong_url_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        async with open_stores(
            rows="sqlite:///rows.db",
            events="embedded:",
            cache="redis://127.0.0.1:1/0",
            groups="duckdb:///groups.duckdb",
            search=url,
            prefix="test",
            data=tmp_path,
        ):
            pass
    assert refused.value.field == "search"


async def test_the_name_and_password_in_the_url_are_sent(tmp_path: Path) -> None:
    seen: list[str] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.extend(line for line in head.decode().splitlines() if line.lower().startswith("authorization"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    search = await OpenSearch.open(f"opensearch://ann:p%40%2F%3A@127.0.0.1:{port}", "test")
    await search.ping()
    await search.close()
    listening.close()
    (line,) = seen
    assert b64decode(line.split()[-1]) == b"ann:p@/:"


async def test_with_tls_the_server_must_prove_who_it_is(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-days", "1", "-nodes", "-newkey", "rsa:2048"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    made = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", *subject, *files, stderr=asyncio.subprocess.DEVNULL
    )
    assert await made.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    asked = []

    async def server(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(True)
        writer.close()

    listening = await asyncio.start_server(server, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    search = await OpenSearch.open(f"opensearchs://ann:secret@127.0.0.1:{port}", "test")
    with pytest.raises(StoreUnavailable, match="certificate"):
        await search.ping()
    await search.close()
    listening.close()
    assert asked == [], "nobody was sent the password"


# --- both engines


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Search, Search]]:
    prefix = f"test-{uuid4().hex[:10]}"
    engines = (
        await Fts5Search.open(tmp_path_factory.mktemp("search") / "search.db"),
        await OpenSearch.open(SEARCH, prefix),
    )
    for engine in engines:
        await engine.init()
    yield engines
    for engine in engines:
        await engine.close()
    await drop_search_index(prefix)


SYLLABLES = [
    "ri",
    "ver",
    "ma",
    "É",
    "ß",
    "कि",
    "ता",
    "ब",
    "மி",
    "漢",
    "字",
    "ひ",
    "カタ",
    "12",
    "9",
    "Ж",
    "𐐀",
]
SIGNS = [" ", " ", "-", ":", "_", ".", "'", "*", '"', "/", "🎓"]
TEXTS = st.lists(st.sampled_from(SYLLABLES * 2 + SIGNS), max_size=12).map("".join)


@pytest.mark.stack
@pytest.mark.asyncio(loop_scope="module")
@settings(
    max_examples=examples(60),
    phases=[Phase.generate],  # to shrink one takes minutes: each try asks a server
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    books=st.lists(st.tuples(TEXTS, TEXTS, st.lists(TEXTS, max_size=2)), min_size=1, max_size=8),
    texts=st.lists(TEXTS, min_size=1, max_size=5),
)
async def test_both_engines_find_the_same(
    two: tuple[Search, Search], books: list[tuple[str, str, list[str]]], texts: list[str]
) -> None:
    documents = [
        collection(f"b-{number}", name, description=description, unit_names=tuple(units))
        for number, (name, description, units) in enumerate(books)
    ]
    for engine in two:
        for root in [root async for page in engine.roots() for root in page]:
            old = await engine.documents(root)
            await engine.write([IndexWrite(one.document, one.revision, delete=True) for one in old])
        await fill(engine, *documents)
    # Of each book a word, and the beginning of one, too.
    for text in [*texts, *(name for name, _, _ in books), *(name[:3] for name, _, _ in books)]:
        words = words_of(text)
        found = [await engine.find(SearchQuery(words, order=SearchOrder.NAME)) for engine in two]
        assert found[0] == found[1], (text, documents)
