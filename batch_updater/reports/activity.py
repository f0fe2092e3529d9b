"""A run over time: throughput, latencies, pauses; from groups of rows that ended, in one pass. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from operator import attrgetter

POINTS = 120
KEPT_PAUSES = 12
KEPT_GAPS = 1000
SHORTEST_PAUSE = 10  # tenths of a second
STOP = 600  # tenths: longer gaps lie between two starts, or while the service was down; the time axis leaves them out
SPARSE = 8  # a gap is a pause only when it is so many times longer than gaps are in this run
End = tuple[int, bool, int, int]  # tenth of a second since the epoch, done, milliseconds, rows


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds per row: median, 95th and 99th percentile, and the longest."""

    p50: int
    p95: int
    p99: int
    longest: int


@dataclass(frozen=True, slots=True)
class Point:
    """One stretch of the time axis: seconds from its beginning, seconds since the epoch, rows per second."""

    offset: float
    when: float
    done: float
    not_done: float
    latency: Percentiles


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which no row ended: seconds since the epoch, seconds, and seconds from the axis's beginning."""

    start: float
    seconds: float
    offset: float

    @property
    def is_stop(self) -> bool:
        """Whether it is so long that the time axis leaves it out."""
        return self.seconds * 10 > STOP


@dataclass(frozen=True, slots=True)
class Activity:
    """A run over time. `bucket` is seconds per point, `seconds` the length of the axis.

    `pauses` are the longest, in order, of `pause_count` that took `pause_seconds` together; stops are not among these.
    """

    bucket: float
    seconds: float
    points: tuple[Point, ...]
    pauses: tuple[Pause, ...]
    pause_count: int
    pause_seconds: float
    latency: Percentiles | None

    def place(self, when: float) -> float:
        """Return where a time in seconds since the epoch is on the axis, 0 to `seconds`; there must be points."""
        before = max((point for point in self.points if point.when <= when), key=attrgetter("when"), default=None)
        if before is None:
            return 0.0
        return min(before.offset + min(when - before.when, self.bucket), self.seconds)


@dataclass(slots=True)
class _Bucket:
    when: int
    done: int = 0
    not_done: int = 0
    durations: Counter[int] = field(default_factory=Counter)

    def take(self, other: "_Bucket") -> None:
        self.done += other.done
        self.not_done += other.not_done
        self.durations.update(other.durations)


def percentiles(durations: Counter[int]) -> Percentiles:
    """Return the percentiles of milliseconds, each with its number of rows; there must be at least one."""
    total, seen, found = durations.total(), 0, []
    wanted = [0.5, 0.95, 0.99]
    for milliseconds in sorted(durations):
        seen += durations[milliseconds]
        while wanted and seen >= wanted[0] * total:
            found.append(milliseconds)
            wanted.pop(0)
    return Percentiles(found[0], found[1], found[2], max(durations))


class _Axis:
    """Gathers ends into at most 120 buckets; when they would be more, neighbours are joined."""

    def __init__(self) -> None:
        self.width = 1  # tenths per bucket
        self._buckets: dict[int, _Bucket] = {}
        self._first = self._last = self._left_out = 0
        self.ticks = 0
        self.gaps: list[tuple[int, int, int]] = []  # tenths: length, start, place on the axis; the longest 1,000

    @property
    def span(self) -> int:
        """Tenths on the axis, without what it leaves out."""
        return self._last - self._first - self._left_out + 1

    def add(self, tenth: int, done: bool, milliseconds: int, number: int) -> None:
        if not self.ticks:
            self._first = self._last = tenth
        if not self.ticks or tenth > self._last:
            self.ticks += 1
            self._add_gap(tenth - self._last)
        self._last = tenth
        place = tenth - self._first - self._left_out
        while place // self.width >= POINTS:
            self._join()
        bucket = self._buckets.setdefault(place // self.width, _Bucket(tenth))
        if done:
            bucket.done += number
        else:
            bucket.not_done += number
        bucket.durations[milliseconds] += number

    def _add_gap(self, gap: int) -> None:
        if gap >= SHORTEST_PAUSE:
            entry = (gap, self._last, self._last - self._first - self._left_out)
            heappush(self.gaps, entry) if len(self.gaps) < KEPT_GAPS else heappushpop(self.gaps, entry)
        if gap > STOP:
            self._left_out += gap - 1

    def _join(self) -> None:
        self.width *= 2
        joined: dict[int, _Bucket] = {}
        for place, bucket in self._buckets.items():
            joined.setdefault(place // 2, _Bucket(bucket.when)).take(bucket)
        self._buckets = joined

    def points(self) -> tuple[Point, ...]:
        """Return rows per second and latencies of every stretch; one in which no row ended has zero rows."""
        found, when = [], 0
        before = Percentiles(0, 0, 0, 0)
        for place in range(max(self._buckets, default=-1) + 1):
            seconds = min(self.width, self.span - place * self.width) / 10  # the last one is not full
            bucket = self._buckets.get(place) or _Bucket(when + self.width)
            when = bucket.when
            before = percentiles(bucket.durations) if bucket.durations else before
            found.append(
                Point(place * self.width / 10, when / 10, bucket.done / seconds, bucket.not_done / seconds, before)
            )
        return tuple(found)

    def latency(self) -> Percentiles | None:
        """Return the percentiles of all rows; None without rows."""
        durations = sum((bucket.durations for bucket in self._buckets.values()), Counter())
        return percentiles(durations) if durations else None


def gather(ends: Iterable[End]) -> Activity:
    """Return the activity of a run by the ends of its rows, in order. Memory does not grow with the rows."""
    axis = _Axis()
    for end in ends:
        axis.add(*end)
    usual = SPARSE * axis.span / max(axis.ticks, 1)
    pauses = sorted(gap for gap in axis.gaps if gap[0] >= usual)
    kept = sorted(pauses[-KEPT_PAUSES:], key=lambda gap: gap[1])
    return Activity(
        axis.width / 10, axis.span / 10, axis.points(),
        tuple(Pause(start / 10, gap / 10, place / 10) for gap, start, place in kept),
        sum(gap[0] <= STOP for gap in pauses), sum(gap[0] for gap in pauses if gap[0] <= STOP) / 10, axis.latency(),
    )  # fmt: skip
