"""How long should mine take? What became of requests of a type, and of those that had waited as long as one reported on a day.

Told of the nearest group that has enough: an area's own requests of the last 12 months, else the city's, else those of all years.
"""

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Row, days_cell
from vanc311_pipeline.dashboard.view import EVER, LAST_12_MONTHS, View, day_of, records_of
from vanc311_pipeline.metric_definitions import METRICS, State
from vanc311_pipeline.reading.release import Release

THIN = 10
"""Where fewer are followed, a curve says nothing that can be quoted."""
UNUSUAL, LONG = 0.9, 0.5
"""So large a share is closed sooner."""
JUST_OPENED = -1
"""The days waited of one whose first day is not over."""


@dataclass(frozen=True)
class Kind:
    """Requests of a type in an area or the whole city, opened in a period: what one of them is compared with."""

    release: Release
    view: View

    @property
    def opened(self) -> str:
        return words.period(self.view.period)

    @cached_property
    def waits(self) -> list[Row]:
        return sorted(records_of(self.release, self.view, schema.waiting_times), key=lambda row: row["waited_days"])

    @cached_property
    def curve(self) -> list[Row]:
        """As far as enough are followed."""
        rows = records_of(self.release, self.view, schema.time_to_close_curves)
        return sorted((row for row in rows if row["at_risk"] >= THIN), key=lambda row: row["day"])

    @property
    def is_enough(self) -> bool:
        """Whether it says when nine in ten are closed, at least of some."""
        return any(row["followed"] >= METRICS["further_p90"].minimum_n for row in self.waits)


def nearest(release: Release, view: View) -> Kind:
    """Of the groups that a request of a view belongs to, the nearest that has enough, else the largest."""
    places = [view.but(period=LAST_12_MONTHS)] * bool(view.area)
    places += [view.but(area=None, period=period) for period in (LAST_12_MONTHS, EVER)]
    kinds = [Kind(release, place.but(scope="all")) for place in places]
    return next((kind for kind in kinds if kind.is_enough), kinds[-1])


@dataclass(frozen=True)
class Estimate:
    """What is said of one reported on a day: the answer, and the numbers behind it."""

    answer: str
    grounds: tuple[str, ...] = ()


def latest(release: Release) -> date:
    """The last day that can be asked about: the record ends before a resident's today."""
    return date.fromisoformat(release.about["as_of"]) + timedelta(days=365)


def estimate(release: Release, view: View) -> Estimate | None:
    """Whether it is usual that one reported on the view's day is still open; None if no day is asked about."""
    if not view.issue or not view.reported:
        return None
    reported = day_of(view.reported)
    if reported is None:
        return Estimate(
            f"“{view.reported[:20]}” is no day of the calendar. Write it as year, month and day: 2026-09-07."
        )
    as_of = str(release.about["as_of"])
    [begin] = release.scalars(sa.select(schema.periods.c.opened_from).where(schema.periods.c.period == EVER))
    if not begin <= str(reported) <= str(latest(release)):
        return Estimate(
            f"This record goes from {words.day(begin)} to {words.day(as_of)}: {words.day(str(reported))} is not in it. "
            "Choose a day between, or at most a year later."
        )
    waited = max((date.fromisoformat(as_of) - reported).days, JUST_OPENED)
    kind = nearest(release, view)
    kinds = [kind, nearest(release, view.but(area=None))] if kind.view.area else [kind]
    closed = [sentence for each in kinds if (sentence := _closed_by(each, max(waited, 0)))]
    kinds.append(Kind(release, view.but(area=None, scope="all", period=EVER)))
    further = _further(kinds, waited) if closed else []
    grounds = (*_why_elsewhere(view, kind), *closed, *further, *_by_weekday(release, view, reported))
    if waited == JUST_OPENED:
        end = f"The record goes to {words.day(as_of)}: one reported on {words.day(view.reported)} is answered as one just reported."
        return Estimate(_after(kinds, waited) if closed else _answer(kind, waited), (end, *grounds))
    return Estimate(_answer(kind, waited), grounds)


def _why_elsewhere(view: View, kind: Kind) -> Iterator[str]:
    """Why the answer is of the city, where it was asked of an area."""
    if view.area and not kind.view.area:
        number = _volume(Kind(kind.release, view.but(period=LAST_12_MONTHS, scope="all")))
        yield (
            f"In {view.area} too few were followed to say when nine in ten are closed (n = {number} opened "
            f"{words.period(LAST_12_MONTHS)}), so the answer is of {kind.view.place}."
        )


def _around(kind: Kind, waited: int) -> list[Row]:
    """What the curve says of so many days, or else of the last day before that it gives and of the first after."""
    before = [row for row in kind.curve if row["day"] <= waited][-1:]
    return [*before, *[row for row in kind.curve if before and before[0]["day"] < waited < row["day"]][:1]]


def _answer(kind: Kind, waited: int) -> str:
    around = _around(kind, waited)
    waiting = f"Waiting for {words.days(waited)}" if waited else "Waiting since the same day"
    if not around:
        return f"Too few requests of this type were reported (n = {_volume(kind)}) to say what is usual."
    least, most = (1 - around[place]["open_share"] for place in (0, -1))
    if least >= UNUSUAL:
        return f"{waiting} is unusual in {kind.view.place}: nine in ten are closed sooner. It may be worth asking 3-1-1 again."
    if kind.curve[-1]["day"] < waited:
        return f"Whether {waiting[0].lower()}{waiting[1:]} is usual can’t be said: too few were followed for so long."
    if least >= LONG:
        limit = "but not nine in ten" if most < UNUSUAL else "perhaps nine in ten"
        return f"{waiting} is long in {kind.view.place}, though not unusual: more than half are closed sooner, {limit}."
    if most >= LONG:
        share = f"{words.percent(least)} to {words.percent(most)}"
        return f"{waiting} is neither short nor clearly long in {kind.view.place}: {share} are closed sooner."
    return f"{waiting} is usual in {kind.view.place}: fewer than half are closed sooner."


def _volume(kind: Kind) -> str:
    rows = records_of(kind.release, kind.view, schema.time_to_close)
    return words.whole(rows[0]["n"] if rows else 0)


def _closed_by(kind: Kind, waited: int) -> str | None:
    """Which share was closed by then, or by the days around it, with n and interval."""
    around = _around(kind, waited)
    if not around:
        return None
    shares = [[1 - row[f"open_share{end}"] for end in ("", "_high", "_low")] for row in around]
    days = [f"within {words.days(row['day'])}" if row["day"] else "on the day they were opened" for row in around]
    first, *second = (words.percent(share) for share, _, _ in shares)
    also = f" and {second[0]} {days[1]}" if second else ""
    limits = " and ".join(f"{words.percent(low)} to {words.percent(high)}" for _, low, high in shares)
    return (
        f"In {kind.view.place}, {first} of those opened {kind.opened} were closed {days[0]}{also} (n = "
        f"{words.whole(kind.curve[0]['at_risk'])}; 95 % interval{'s' * len(second)} {limits}), counting those still open."
    )


def _further(kinds: Sequence[Kind], waited: int) -> list[str]:
    """How much longer those took that had waited as long, or else as long as the waits around it that are given."""
    given = sorted({row["waited_days"] for kind in kinds for row in kind.waits if row["waited_days"] >= 0})
    before = [day for day in given if day <= waited][-1:]
    after = [day for day in given if before and before[0] < waited < day][:1]
    return [_after(kinds, day) for day in before + after]


def _after(kinds: Sequence[Kind], day: int) -> str:
    """How much longer those took that had waited for these days: of the first kind that says it."""
    rows = ((kind, row) for kind in kinds for row in kind.waits if row["waited_days"] == day)
    kind, row = next(((kind, row) for kind, row in rows if row["further_median_state"] == State.OK), (None, None))
    if kind is None or row is None:
        if day == JUST_OPENED:
            return "Too few were closed to say when half are."
        return f"Too few were {_waited(day)} to say how much longer they took."
    low, high = row["further_median_low"], row["further_median_high"]
    limits = f"; 95 % interval {words.interval(low, high)}" if low != high else ""
    still, more = ("", "") if day == JUST_OPENED else (f" that were {_waited(day)},", " more")
    days = f"within {words.days(row['further_median'])}{more}" if row["further_median"] else "on the same day"
    return (
        f"Of those in {kind.view.place}, opened {kind.opened},{still} half were closed {days} "
        f"(n = {words.whole(row['followed'])}{limits})."
    )


def _by_weekday(release: Release, view: View, reported: date) -> list[str]:
    """The usual time of those opened on the same weekday in the whole city, where weekdays differ."""
    rows = records_of(release, view.but(area=None, scope="all"), schema.time_to_close_by_weekday)
    return [
        f"Weekdays differ: of those opened on a {calendar.day_name[reported.weekday()]} in all of Vancouver, half were closed "
        f"within {words.days(row['median_days'])} (n = {words.whole(row['n'])})."
        for row in rows
        if (row["weekday"], row["weekdays_differ"]) == (reported.isoweekday(), "yes")
        if row["median_state"] == State.OK and row["median_days"]
    ]


def _waited(day: int) -> str:
    """What one that has waited for these days is."""
    first = {JUST_OPENED: "opened just now", 0: "still open at the end of the first day"}
    return first.get(day) or f"still open after {words.days(day)}"


def waiting(kind: Kind) -> list[Row]:
    """How many more days it took, by the days waited."""
    further = ("further_median", "further_p75", "further_p90")
    return [
        row
        | {column: days_cell(row[column], row[f"{column}_state"]) for column in further}
        | {"waited": _waited(row["waited_days"])}
        for row in kind.waits
    ]
