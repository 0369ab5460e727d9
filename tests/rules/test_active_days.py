"""What rows keep of the days on which a learner was active, and which day a moment is in."""

from datetime import UTC, date, datetime, timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rules.active_days import (
    MOST_DAYS,
    NO_DAYS,
    ActiveDay,
    DayZone,
    date_of,
    day_number,
    decode_days,
    encode_days,
    remembered,
)
from rules.aggregates import AggregateKey
from rules.moments import milliseconds

NEAR = st.frozensets(st.integers(19_000, 19_000 + MOST_DAYS - 1), max_size=60)
FIRST, LAST = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (2020, 2030))
ANY = st.frozensets(st.integers(-10, 80_000), max_size=60)


@given(NEAR)
def test_days_come_back_as_they_were(days: frozenset[int]) -> None:
    assert decode_days(encode_days(days)) == days


def test_a_day_is_a_bit_counted_back_from_the_last_one() -> None:
    # The last day is 20454 = 0x4fe6. Then a bit for it, for 20453 (not active) and for 20452: 101.
    assert encode_days({20_452, 20_454}) == bytes([0x4F, 0xE6, 0b1010_0000])
    assert encode_days(NO_DAYS) is None
    assert decode_days(None) == NO_DAYS


@given(NEAR, NEAR)
def test_more_days_are_greater_bytes(some: frozenset[int], others: frozenset[int]) -> None:
    more, fewer = encode_days(some | others) or b"", encode_days(some) or b""
    assert more >= fewer
    assert (more == fewer) == (others <= some)


@given(ANY)
def test_ten_years_take_less_than_half_a_kilobyte(days: frozenset[int]) -> None:
    kept = remembered(days)
    assert len(encode_days(kept) or b"") <= 459
    assert remembered(kept) == kept
    assert kept <= days
    possible = {day for day in days if 0 <= day < 65_536}
    assert kept == {day for day in possible if day > max(possible) - MOST_DAYS}


def test_the_zone_says_which_day_a_moment_is_in() -> None:
    # 20:00 in Greenwich is 01:30 of the next day in Kolkata, and 15:00 or 16:00 of the same one in New York.
    at = datetime(2026, 1, 31, 20, tzinfo=UTC)
    days = {zone: date_of(DayZone(zone).day_of(at)) for zone in ("UTC", "Asia/Kolkata", "America/New_York")}
    assert days == {
        "UTC": date(2026, 1, 31),
        "Asia/Kolkata": date(2026, 2, 1),
        "America/New_York": date(2026, 1, 31),
    }


@given(
    st.lists(st.datetimes(FIRST, LAST, timezones=st.just(UTC)), max_size=20),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]),
)
def test_days_of_milliseconds_are_those_of_the_moments(moments: list[datetime], name: str) -> None:
    """In Kathmandu a day ends at a quarter past an hour of UTC, on Lord Howe at half an hour or an hour."""
    zone = DayZone(name)
    assert zone.days_of_milliseconds(map(milliseconds, moments)) == zone.days_of(moments)


@given(st.lists(st.datetimes(FIRST, LAST, timezones=st.just(UTC)), max_size=20))
def test_one_moment_a_day_tells_all_days(moments: list[datetime]) -> None:
    zone = DayZone("Asia/Kolkata")
    told = zone.one_a_day(moments)
    assert zone.days_of(told) == zone.days_of([*moments, None])
    assert len(told) == len(zone.days_of(moments))


@given(st.dates(date(1970, 1, 1), date(2149, 1, 1)))
def test_a_day_and_its_number_are_the_same(day: date) -> None:
    assert date_of(day_number(day)) == day
    assert day_number(day) == (day - date(1970, 1, 1)) / timedelta(days=1)


def test_what_group_queries_are_told_of_a_day() -> None:
    day = ActiveDay(AggregateKey("course", "course", "cb:batch", "ada"), 20_454, 7)
    assert day.record_key == "course|cb:batch|ada"
    told = orjson.loads(day.encode())
    assert told.pop("time").startswith("2020-01-")
    assert told == {
        "collection_id": "course",
        "context_id": "cb:batch",
        "user_id": "ada",
        "day": "2026-01-01",
        "version": 7,
        "active": 1,
    }
