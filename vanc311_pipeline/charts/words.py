"""Numbers, dates and groups as people write them. No third-decimal theatre: means 1 decimal, shares 1, ratios 2, days whole."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd

from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.timezone import in_vancouver

NOTHING = "–"

WITHHELD = {
    State.NO_REQUESTS: "no requests",
    State.NO_USABLE_TIMING: "no usable dates",
    State.TOO_FEW: "too few",
    State.NOT_REACHED: "not yet reached",
    State.IMMATURE: "too young",
    State.TOO_SHORT: "record too short",
}
"""Why there is no number, in the place of the number."""


def whole(number: float | None) -> str:
    """`12345` is 12,345."""
    return NOTHING if pd.isna(number) else f"{number:,.0f}"


def change(number: float) -> str:
    """`-12` is −12, `12` is +12."""
    return f"{round(number):+,}".replace("-", "−")  # no number is −0


def mean(number: float | None) -> str:
    return NOTHING if pd.isna(number) else f"{number:,.1f}"


def percent(share: float | None) -> str:
    """`0.123` is 12.3 %."""
    return NOTHING if pd.isna(share) else f"{share:.1%}".replace("%", " %")


def interval(low: int, high: int | None) -> str:
    """The limits of a number of days; the upper is None where it was not reached."""
    return f"{whole(low)} to {'not reached' if high is None else whole(high)}"


def ratio(number: float | None) -> str:
    return NOTHING if pd.isna(number) else f"{number:.2f}"


def against(number: float) -> str:
    """A ratio in words: `1.35` is 35 % more, `0.9` is 10 % fewer, 1 is as many."""
    whole_percent = round(100 * abs(number - 1))
    return f"{whole_percent:,} % {'more' if number > 1 else 'fewer'}" if whole_percent else "as many"


def difference(row: Mapping[str, Any]) -> str:
    """A ratio and its 95 % interval: 35 % more (26 % more to 45 % more)."""
    if pd.isna(row["ratio"]):
        return NOTHING
    return f"{against(row['ratio'])} ({against(row['ratio_low'])} to {against(row['ratio_high'])})"


def usual_spread(tau: float) -> str:
    """Between which differences most areas lie."""
    if round(100 * math.expm1(2 * tau)) == 0:
        return "Areas differ from the city no more than by chance"
    return f"Areas usually differ from the city by up to {against(math.exp(-2 * tau))} or {against(math.exp(2 * tau))}"


def days(number: float | None) -> str:
    """`1` is 1 day."""
    return NOTHING if pd.isna(number) else f"{number:,.0f} {'day' if number == 1 else 'days'}"


def days_or_why(number: float | None, state: str) -> str:
    """A number of days, or why there is none."""
    if state != State.OK:
        return WITHHELD[State(state)]
    return days(number) if number else "the same day"


def requests(number: float) -> str:
    return f"{number:,.0f} {'request' if number == 1 else 'requests'}"


def months(number: float) -> str:
    return f"{number:,.0f} {'month' if number == 1 else 'months'}"


def be(number: float, one: str = "is", more: str = "are") -> str:
    """The verb after a number: 1 request is, 2 requests are."""
    return one if number == 1 else more


def day(text: str) -> str:
    """`2026-01-12` is 12 January 2026."""
    on = date.fromisoformat(text)
    return f"{on.day} {on:%B %Y}"


def days_between(first: str, last: str) -> str:
    """`2026-09-22` and `2026-09-28` are 22 September to 28 September 2026."""
    begin = date.fromisoformat(first)
    year = "" if first[:4] == last[:4] else f" {begin.year}"
    return f"{begin.day} {begin:%B}{year} to {day(last)}"


def last_days(text: str, number: int) -> str:
    """Seven days up to `2026-09-28`: 22 September to 28 September 2026."""
    return days_between(str(date.fromisoformat(text) - timedelta(days=number - 1)), text)


def instant(text: str | None) -> str:
    """A UTC instant as a Vancouver reader says it."""
    if not text:
        return NOTHING
    local = in_vancouver(text)
    return f"{local.day} {local:%B %Y, %H:%M}"


def month(text: str) -> str:
    """`2026-01` is January 2026."""
    return f"{date.fromisoformat(f'{text}-01'):%B %Y}"


def period(name: str) -> str:
    """A period of opening, after the word opened: in 2025, in the last 12 months."""
    return "at any time" if name == "all" else f"in {'the ' if name.startswith('last') else ''}{name.replace('_', ' ')}"


def listed(names: Sequence[str]) -> str:
    """A, B and C."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def as_of(rows: pd.DataFrame) -> str:
    """The day that rows of a statistic are as of, as a sentence."""
    return f"As of {day(rows['as_of'].iloc[0])}." if len(rows) else ""


def group_name(scope: str, local_area: str | None, issue_type: str | None) -> str:
    """A group, named: Kitsilano, Pothole Case in Kitsilano, all of Vancouver."""
    if local_area:
        return f"{issue_type} in {local_area}" if issue_type else local_area
    if scope == "located":
        return f"{issue_type or 'Vancouver'}, requests with a local area"
    return issue_type or "All of Vancouver"
