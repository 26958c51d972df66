"""Which areas wait longest? The usual time of each with its interval, and who can be told apart: only those whose intervals don't overlap.
From `time_to_close`.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import inf
from typing import Any

import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, for_reading
from vanc311_pipeline.metric_definitions import State

NAMED = 6
LINE_HEIGHT = 20
CITY = "all of Vancouver"
ENDLESS = "An arrow: the upper end of the interval is not reached."
SHOWN = ["local_area", "n", "median_days", "median_low", "median_high", "median_state"]

Row = Mapping[str, Any]


def is_longer(one: Row, other: Row, name: str = "median") -> bool:
    """Whether a quantile of a row of `time_to_close` is above that of another beyond chance, as far as intervals tell."""
    high = other[f"{name}_high"]
    return bool(one[f"{name}_low"] > (inf if high is None else high))


def waits(rows: Sequence[Row], city: Row, group: str) -> Figure:
    """Of a problem: the median of the whole city, which is known, and of its areas as far as they are known, the longest first."""
    known = sorted(
        (row for row in rows if row["median_state"] == State.OK),
        key=lambda row: (-row["median_days"], row["local_area"]),
    )
    withheld = sorted(row["local_area"] for row in rows if row["median_state"] != State.OK)
    lines = [dict(city) | {"local_area": None}, *known]
    drawn = pd.DataFrame(lines, columns=SHOWN)
    end = 1.05 * max(1, *(max(row["median_days"], row["median_high"] or 0) for row in lines))
    drawn = drawn.assign(place=drawn["local_area"].fillna(CITY), whole=drawn["local_area"].isna(), end=end)
    notes = [f"Too few requests: {words.listed(withheld)}."] if withheld else []
    notes += [ENDLESS] if drawn["median_high"].isna().any() else []
    told: dict[str, Any] = {
        "area": "place", "half closed within": drawn["median_days"].map(words.days),
        "95 % interval": [words.interval(row["median_low"], row["median_high"]) for row in lines], "n": "n",
        "against the city": ["", *(_against(row, city) for row in known)],
    }  # fmt: skip
    return Figure(
        "areas-by-wait",
        f"Which areas wait longest? {_finding(known, city)}",
        f"{group}, opened {words.period(str(city['period']))}: days until half were closed, counting those still open, with 95 % intervals; "
        f"in all n = {words.whole(city['n'])}. {_ranking(known)}{_untold(known, city)} Each interval misses in one case of twenty.",
        city["as_of"],
        "median_days",
        int(city["n"]),
        "requests opened in the period",
        drawn[SHOWN],
        for_reading(drawn, told),
        drawn,
        {"places": list(drawn["place"]), "domain": [0, end]},
        "Closed does not mean fixed.",
        height=LINE_HEIGHT * (len(drawn) + 2),
        notes=tuple(notes),
    )


def _against(row: Row, city: Row) -> str:
    return "clearly longer" if is_longer(row, city) else "clearly shorter" if is_longer(city, row) else "can’t be told"


def _finding(known: Sequence[Row], city: Row) -> str:
    told = {
        how: [row["local_area"] for row in known if _against(row, city) == how]
        for how in ("clearly longer", "clearly shorter")
    }
    parts = [f"{how} in {_some(names)}" for how, names in told.items() if names]
    return (
        f"{', '.join(parts)} than in the city.".replace("c", "C", 1) if parts else "No area can be told from the city."
    )


def _untold(known: Sequence[Row], city: Row) -> str:
    """Why the finding leaves out areas that stand above one that it names as longer."""
    verdicts = [_against(row, city) for row in known]
    last = max((place for place, verdict in enumerate(verdicts) if verdict == "clearly longer"), default=0)
    names = [
        row["local_area"] for row, verdict in zip(known[:last], verdicts, strict=False) if verdict == "can’t be told"
    ]
    if not names:
        return ""
    return (
        f" {_some(names)} {words.be(len(names))} not called longer, although areas below are: "
        f"{words.be(len(names), 'its interval is', 'their intervals are')} too wide."
    )


def _ranking(known: Sequence[Row]) -> str:
    """How far the areas can be ranked."""
    pairs = list(combinations(known, 2))
    apart = sum(is_longer(one, other) or is_longer(other, one) for one, other in pairs)
    if not apart:
        return "Their intervals overlap: the areas cannot be ranked."
    return f"{words.whole(apart)} of {words.whole(len(pairs))} pairs of areas can be told apart; all others overlap and cannot be ranked."


def _some(names: list[str]) -> str:
    """Names, not too many for a sentence."""
    return words.listed(names if len(names) <= NAMED else [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"])
