"""What the port of the learner index promises, on a SQLite file and on a real OpenSearch server."""

import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from rules.errors import DeadlineExceeded, InvalidInput, StoreUnavailable
from rules.learner_search import LearnerDocument, LearnerOrder, LearnerText
from stores.deadline import deadline
from stores.learner_search import LearnerHits, LearnerQuery, LearnerSearch, LearnerWrite, Place
from stores.learner_search_opensearch import OpenSearchLearners
from stores.learner_search_sqlite import SqliteLearnerSearch
from tests.conftest import SEARCH, drop_search_index, examples


@pytest.fixture(params=["sqlite", pytest.param("opensearch", marks=pytest.mark.stack)])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def fresh(engine: str, tmp_path: Path) -> AsyncIterator[LearnerSearch]:
    """An engine whose index was not created yet."""
    prefix = f"test-{uuid4().hex[:10]}"
    opened: LearnerSearch
    if engine == "sqlite":
        opened = await SqliteLearnerSearch.open(tmp_path / "learners.db")
    else:
        opened = await OpenSearchLearners.open(SEARCH, prefix)
    yield opened
    await opened.close()
    if engine == "opensearch":
        await drop_search_index(prefix)


@pytest.fixture
async def search(fresh: LearnerSearch) -> LearnerSearch:
    await fresh.init()
    return fresh


def learner(user_id: str, name: str | None = None, **attributes: str) -> LearnerDocument:
    return LearnerDocument(user_id, name, attributes)


async def fill(search: LearnerSearch, *documents: LearnerDocument) -> None:
    assert await search.write([LearnerWrite(one.user_id, one, None) for one in documents]) == []


async def find(search: LearnerSearch, text: str | None = None, **more: object) -> LearnerHits:
    more.setdefault("order", LearnerOrder.RELEVANCE)
    wanted = None if text is None else LearnerText.of(text)
    return await search.find(LearnerQuery(text=wanted, **more))  # type: ignore[arg-type]


async def found(search: LearnerSearch, text: str | None = None, **more: object) -> list[str]:
    hits = await find(search, text, **more)
    assert hits.total == len(hits.hits)
    return [hit.user_id for hit in hits.hits]


PEOPLE = [
    learner("u-1", "Ann Lovelace", region="North", school="A"),
    learner("u-2", "Anna Love", region="North", school="B"),
    learner("u-3", "Émile Ångström", region="South"),
    learner("u-4", "山田太郎"),
    learner("u-5"),
    learner("ann", "Zoe"),
]


async def test_each_word_of_a_text_begins_a_word_of_the_name(search: LearnerSearch) -> None:
    await fill(search, *PEOPLE)
    assert await found(search, "lov ann") == ["u-1", "u-2"], "Ann is a whole word of the first alone"
    assert await found(search, "LOVEL") == ["u-1"]
    assert await found(search, "velace") == []
    assert await found(search, "emile ang") == ["u-3"]
    assert await found(search, "太郎") == ["u-4"]
    assert await found(search, "田郎") == []
    assert await found(search, "ann smith") == []


async def test_a_user_id_is_found_by_its_beginning_and_is_the_most_relevant_if_it_is_the_text(
    search: LearnerSearch,
) -> None:
    await fill(search, *PEOPLE)
    assert await found(search, "ann") == ["ann", "u-1", "u-2"]
    assert await found(search, "ann", backwards=True) == ["u-2", "u-1", "ann"]
    assert await found(search, "u-") == ["u-1", "u-2", "u-3", "u-4", "u-5"], "by name, the one without last"
    assert await found(search, "U-1") == [], "ids are compared as they are"


async def test_orders_and_filters(search: LearnerSearch) -> None:
    await fill(search, *PEOPLE)
    by_name = ["u-1", "u-2", "u-3", "ann", "u-4", "u-5"]
    assert await found(search, order=LearnerOrder.NAME) == by_name
    assert await found(search, order=LearnerOrder.NAME, backwards=True) == by_name[::-1]
    assert await found(search) == by_name, "without a text all are alike"
    by_id = ["ann", "u-1", "u-2", "u-3", "u-4", "u-5"]
    assert await found(search, order=LearnerOrder.USER_ID) == by_id
    assert await found(search, order=LearnerOrder.USER_ID, backwards=True) == by_id[::-1]

    assert await found(search, filters={"region": ["North"]}) == ["u-1", "u-2"]
    assert await found(search, filters={"region": ["North", "South"], "school": ["B"]}) == ["u-2"]
    assert await found(search, filters={"region": ["north"]}) == []
    assert await found(search, filters={"school": ["North"]}) == []
    assert await found(search, "ann", filters={"region": ["North"]}) == ["u-1", "u-2"]
    assert await found(search, filters={"region": []}) == []


async def test_a_write_is_refused_unless_the_document_is_as_it_was_read(search: LearnerSearch) -> None:
    old, new, other = learner("u", "Old"), learner("u", "New"), learner("u", "Other")
    await fill(search, old)
    again = LearnerWrite("u", other, None)
    assert await search.write([again]) == [again], "it is there already"
    revision = (await search.documents(["u", "nobody"]))["u"].revision
    assert await search.write([LearnerWrite("u", new, revision)]) == []
    late = [LearnerWrite("u", other, revision), LearnerWrite("u", None, revision)]
    assert await search.write(late[:1]) == late[:1]
    assert await search.write(late[1:]) == late[1:]
    (read,) = (await search.documents(["u", "nobody"])).values()
    assert read.document == new
    assert await found(search, "old") == []
    assert await search.write([LearnerWrite("u", None, read.revision)]) == []
    assert await search.documents(["u"]) == {}
    assert await found(search) == []
    assert await search.documents([]) == {}
    assert await search.write([]) == []


async def test_all_learners_are_given_in_pages(
    search: LearnerSearch, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"sqlite": "stores.learner_search_sqlite", "opensearch": "stores.learner_search_opensearch"}
    monkeypatch.setattr(f"{module[engine]}.PAGE", 2)
    await fill(search, *(learner(f"u-{number}") for number in range(5)))
    pages = [list(page) async for page in search.user_ids()]
    assert pages == [["u-0", "u-1"], ["u-2", "u-3"], ["u-4"]]


async def test_pages_go_on_where_the_last_ended_although_others_came_meanwhile(search: LearnerSearch) -> None:
    await fill(search, *(learner(f"u-{number}", "Same Name") for number in range(0, 10, 2)))
    first = await find(search, "same", first=3)
    assert [hit.user_id for hit in first.hits] == ["u-0", "u-2", "u-4"]
    assert (first.total, first.has_more) == (5, True)
    await fill(search, learner("u-1", "Same Name"), learner("u-5", "Same Name"))
    rest = await find(search, "same", first=3, after=first.hits[-1].place)
    assert [hit.user_id for hit in rest.hits] == ["u-5", "u-6", "u-8"]
    assert (rest.total, rest.has_more) == (7, False)


async def test_pages_go_beyond_what_engines_page_to(search: LearnerSearch) -> None:
    """OpenSearch gives hits up to the 10,000th by number."""
    documents = [learner(f"u-{number:05}", f"Name {number % 7}") for number in range(10_400)]
    for start in range(0, len(documents), 2_000):
        await fill(search, *documents[start : start + 2_000])
    seen, after, total = list[str](), None, 0
    while True:
        page = await find(search, "name", first=2_600, after=after)
        seen += [hit.user_id for hit in page.hits]
        total = page.total
        if not page.has_more:
            break
        after = page.hits[-1].place
    assert total == len(documents)
    assert seen == sorted(seen, key=lambda user: (int(user[2:]) % 7, user)), (
        "by relevance alike, then by name"
    )
    assert len(seen) == len(documents)


@pytest.mark.parametrize(
    ("order", "place"),
    [
        (LearnerOrder.RELEVANCE, ("much", "name", "u")),
        (LearnerOrder.RELEVANCE, ("1" * 30, "name", "u")),
        (LearnerOrder.RELEVANCE, ("²", "name", "u")),
        (LearnerOrder.RELEVANCE, ("1", "u")),
        (LearnerOrder.NAME, ("u",)),
        (LearnerOrder.USER_ID, ("name", "u")),
    ],
)
async def test_a_place_that_no_hit_has_is_an_error(
    search: LearnerSearch, order: LearnerOrder, place: Place
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await find(search, "ann", order=order, after=place)
    assert refused.value.field == "after"


async def test_both_engines_find_what_the_rule_says_in_its_order(search: LearnerSearch) -> None:
    """Any texts over any names, page by page, against a list in memory."""
    dice = random.Random(13)

    def text() -> str:
        return "".join(dice.choices("aAbé ø漢字カナ'ßक्", k=dice.randint(0, 6)))

    documents = [learner(f"a{number}", text().strip() or None) for number in range(80)]
    await fill(search, *documents)
    matched, texts = 0, examples(120)
    for _ in range(texts):
        wanted, order, backwards = LearnerText.of(text()), dice.choice([*LearnerOrder]), dice.random() < 0.5
        if not wanted.user_id:
            continue
        expected = in_order(documents, wanted, order, backwards=backwards)
        assert await in_pages(search, wanted, order, backwards=backwards) == expected, wanted
        matched += len(expected)
    assert matched > texts, "most texts match somebody"


def in_order(
    documents: Sequence[LearnerDocument], text: LearnerText, order: LearnerOrder, *, backwards: bool
) -> list[str]:
    def fits(one: LearnerDocument) -> bool:
        by_name = all(any(of.startswith(word) for of in one.words) for word in text.words)
        return (bool(text.words) and by_name) or one.user_id.startswith(text.user_id)

    def key(one: LearnerDocument) -> tuple[object, ...]:
        relevance = 100 * (one.user_id == text.user_id) + len({*text.words} & {*one.words})
        by_name = (one.name_in_order.encode(), one.user_id)
        return {
            LearnerOrder.RELEVANCE: (-relevance, *by_name),
            LearnerOrder.NAME: by_name,
            LearnerOrder.USER_ID: (one.user_id,),
        }[order]

    return [one.user_id for one in sorted(filter(fits, documents), key=key, reverse=backwards)]


async def in_pages(
    search: LearnerSearch, text: LearnerText, order: LearnerOrder, *, backwards: bool
) -> list[str]:
    query = LearnerQuery(text=text, order=order, backwards=backwards, first=7)
    seen: list[str] = []
    while True:
        page = await search.find(query)
        seen += [hit.user_id for hit in page.hits]
        if not page.has_more:
            assert page.total == len(seen)
            return seen
        query = replace(query, after=page.hits[-1].place)


# --- away, late, deleted


async def test_an_index_that_is_not_there_is_away(fresh: LearnerSearch) -> None:
    for call in (
        fresh.find(LearnerQuery()),
        fresh.documents(["u"]),
        fresh.write([LearnerWrite("u", learner("u"), None)]),
        fresh.ping(),
    ):
        with pytest.raises(StoreUnavailable, match=r"cohort init|away"):
            await call


async def test_init_creates_it_once(fresh: LearnerSearch) -> None:
    (line,) = await fresh.init()
    assert "created the learner" in line
    await fill(fresh, learner("u", "Ann"))
    assert await fresh.init() == []
    assert await found(fresh, "ann") == ["u"]
    await fresh.ping()


async def test_an_index_of_an_earlier_version_is_made_anew(
    search: LearnerSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(search, learner("u", "Ann"))
    if isinstance(search, OpenSearchLearners):
        monkeypatch.setattr(OpenSearchLearners, "version", 2)
    else:
        monkeypatch.setattr("stores.learner_search_sqlite.VERSION", 2)
    assert len(await search.init()) == 1
    assert await found(search) == []
    await fill(search, learner("u", "Ann"))
    assert await found(search, "ann") == ["u"]
    assert await search.init() == []


async def test_without_its_server_it_is_away_and_says_so_soon() -> None:
    search = await OpenSearchLearners.open("opensearch://127.0.0.1:1", "test")
    try:
        for call in (search.ping(), search.find(LearnerQuery()), search.documents(["a"]), search.init()):
            with pytest.raises(StoreUnavailable, match="the learner index is away"):
                await call
    finally:
        await search.close()


async def test_a_call_ends_at_the_deadline(search: LearnerSearch) -> None:
    with deadline(0.001):
        time.sleep(0.01)  # noqa: ASYNC251 - the loop is busy past the deadline
        with pytest.raises(DeadlineExceeded):
            await find(search, "ann")


async def test_the_file_forgets_what_was_deleted(tmp_path: Path) -> None:
    search = await SqliteLearnerSearch.open(tmp_path / "learners.db")
    await search.init()
    await fill(search, learner("learner-ZQXJ", "Qwertz Uiop", school="ZXCVB"), learner("other", "Other"))
    read = await search.documents(["learner-ZQXJ"])
    await search.write([LearnerWrite("learner-ZQXJ", None, read["learner-ZQXJ"].revision)])
    await search.scrub()
    content = bytes_in(tmp_path)
    await search.close()
    for trace in (b"ZQXJ", b"Qwertz", b"qwertz", b"ZXCVB"):
        assert trace not in content
    assert b"Other" in content


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
