"""What a request costs: three measures, one number of points, and the budget that a request must keep to (R-BUDGET-1)."""

from dataclasses import dataclass

from rules.errors import TooExpensive

ROWS_A_POINT = 1_000
"""Rows of the groups store that cost as much as one partition of the rows store."""
BYTES_A_POINT = 10_000
"""The same of bytes of an answer."""
BEYOND = 2**53 - 1
"""No number is told as larger: JSON has no larger one that every client can read, and pages of pages have no end."""
OVERRUN = 2
"""How often a request may really cost its budget before it is ended: an estimate may be too low."""


@dataclass(frozen=True, slots=True)
class Price:
    """``partitions``: partitions of the rows store that are read or written. ``druid_rows``: rows that the groups store goes
    through. ``bytes``: of the answer, as JSON."""

    partitions: int = 0
    druid_rows: int = 0
    bytes: int = 0

    def __add__(self, other: "Price") -> "Price":
        return Price(
            self.partitions + other.partitions,
            self.druid_rows + other.druid_rows,
            self.bytes + other.bytes,
        )

    def __mul__(self, times: int) -> "Price":
        return Price(self.partitions * times, self.druid_rows * times, self.bytes * times)

    def covers(self, other: "Price", times: int = 1) -> bool:
        """Whether the other one is at most ``times`` this one in each measure."""
        return (
            other.partitions <= times * self.partitions
            and other.druid_rows <= times * self.druid_rows
            and other.bytes <= times * self.bytes
        )

    @property
    def points(self) -> int:
        """One number for the three, at least 1."""
        # Rounded up once, in the smallest unit that both divide.
        unit = ROWS_A_POINT * BYTES_A_POINT
        exact = self.partitions * unit + self.druid_rows * BYTES_A_POINT + self.bytes * ROWS_A_POINT
        return min(max(1, -(-exact // unit)), BEYOND)

    @property
    def bounded(self) -> "Price":
        """The price with no number beyond those that can be told."""
        if self.partitions <= BEYOND and self.druid_rows <= BEYOND and self.bytes <= BEYOND:
            return self
        return Price(min(self.partitions, BEYOND), min(self.druid_rows, BEYOND), min(self.bytes, BEYOND))

    def told(self) -> dict[str, int]:
        """As clients are told, in ``extensions``."""
        return {
            "partitions": self.partitions,
            "druidRows": self.druid_rows,
            "bytes": self.bytes,
            "points": self.points,
        }


FREE = Price()


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that one request may cost in each measure. ``enforced``: whether one over it is refused; otherwise it is only
    logged."""

    most: Price = Price(20_000, 1_000_000, 20_000_000)
    enforced: bool = True

    def excess(self, price: Price, times: int = 1) -> TooExpensive | None:
        """The refusal of what costs this, if that is more than ``times`` the budget; it names the measure that is furthest over it."""
        if self.most.covers(price, times):
            return None
        most = self.most * times
        measures = (
            (price.partitions, most.partitions, "partitions of rows"),
            (price.druid_rows, most.druid_rows, "rows of the groups store"),
            (price.bytes, most.bytes, "bytes of answer"),
        )
        _, found, allowed, what = max(
            (found / allowed, found, allowed, what) for found, allowed, what in measures if found > allowed
        )
        verb = "would cost" if times == 1 else "has cost"
        return TooExpensive(
            f"the request {verb} {found:,} {what}; at most {allowed:,} are allowed: ask for shorter pages, fewer ids, fewer "
            "fields or fewer tables at a time",
            cost=price.told(),
            most=most.told(),
        )
