"""Claims about revisions: how far figures moved after they were first published, by what, and from when on they hardly move."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from vanc311_pipeline.metrics.facts import day_number, day_texts
from vanc311_pipeline.metrics.revisions import LAGS, revisions, settling
from vanc311_pipeline.metrics.vintages import KEY, PARTS
from vanc311_pipeline_tests.end_to_end import recompute

FIRST, WEEKS = day_number("2024-01-01"), 30
AS_OF = FIRST + 7 * WEEKS - 1 + 90  # 90 days after the last week
KINDS = tuple(PARTS.values())


def lines_of(steps, figure="opened", area=None, weeks=WEEKS, basis="b", first=FIRST):
    """Figures of some weeks: of each the values that were published so many days after its end, and what moved them."""
    lines = []
    for week in range(weeks):
        monday, value = first + 7 * week, 0
        for day, moved in steps(week):
            value += sum(moved.values())
            parts = {name: float(moved.get(name, 0)) if day else None for name in KINDS}
            group = ("neighbourhood", "located", area) if area else ("citywide", "all", None)
            keys = dict(zip(KEY, (figure, *group, None, None, str(day_texts(monday))), strict=True))
            lines.append(keys | {"as_of": monday + 6 + day, "basis": basis, "value": float(value)} | parts)
    return lines


def late(counts, vanished=0):
    """A week of 1,000 requests to which some are added later, by the day after its end; and some of which vanish on day 20."""

    def steps(week):
        yield 0, {"by_opened_late": 1_000 - sum(counts.values()) + vanished}
        yield from ((day, {"by_opened_late": number}) for day, number in counts.items())
        if vanished:
            yield 20, {"by_vanished": -vanished}

    return steps


def table_of(*lines):
    return pd.DataFrame([line for some in lines for line in some])


def records(table):
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in table.to_dict("records")
    ]


def at(table, lag, *names, **where):
    rows = table[table["lag_days"] == lag]
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows[[*names]].iloc[0].tolist()


def test_a_revision_is_what_came_after_the_lag_over_the_final_value_and_its_parts_add_up_to_it():
    table = revisions(table_of(lines_of(late({2: 30, 5: 10}, vanished=4))), AS_OF)
    names = (
        "n",
        "mean_revision",
        "mean_absolute",
        "p95_absolute",
        "share_up",
        "by_opened_late",
        "by_vanished",
    )
    assert at(table, 0, *names) == pytest.approx([30, 0.036, 0.036, 0.036, 1, 0.04, -0.004])
    assert at(table, 2, *names) == pytest.approx([30, 0.006, 0.006, 0.006, 1, 0.01, -0.004])
    assert at(table, 5, *names) == pytest.approx([30, -0.004, 0.004, 0.004, 0, 0, -0.004])
    assert at(table, 21, *names) == pytest.approx([30, 0, 0, 0, 0, 0, 0])
    assert (table["mean_revision"] - table[[*KINDS]].sum(axis=1)).abs().max() < 1e-12


def test_a_reference_counts_once_it_was_followed_for_90_days_on_one_basis_and_was_published_by_the_lag():
    whole = lines_of(late({3: 10}))
    assert at(revisions(table_of(whole), AS_OF - 1), 0, "n") == [29]
    other = lines_of(late({3: 10}), weeks=1, first=FIRST - 7)
    other[-1]["basis"] = "other"
    assert at(revisions(table_of(other, whole), AS_OF), 0, "n") == [30]
    missed = [line for line in whole if not (line["reference"] == "2024-01-01" and line["as_of"] == FIRST + 6)]
    table = revisions(table_of(missed), AS_OF)
    assert (at(table, 2, "n"), at(table, 3, "n")) == ([29], [30])


def test_a_matured_months_lag_is_counted_from_the_day_on_which_it_is_first_given():
    keys = dict.fromkeys(KEY) | {"figure": "within_30", "level": "citywide", "scope": "all"}
    months = [str(month) for month in np.arange("2023-01", "2024-03", dtype="datetime64[M]")]
    given = [int(np.datetime64(month, "M").astype("datetime64[M]").astype(int)) for month in months]
    ends = [int((np.datetime64(month, "M") + 1).astype("datetime64[D]").astype(int)) - 1 + 30 for month in months]
    rows = [
        keys | {"reference": month, "as_of": end + day, "basis": "b", "value": value} | dict.fromkeys(KINDS, moved)
        for month, end in zip(months, ends, strict=True)
        for day, value, moved in ((0, 90.0, None), (4, 100.0, 10 / 6))
    ]
    table = revisions(pd.DataFrame(rows), max(ends) + 90)
    assert len(given) == 14
    assert at(table, 3, "n", "mean_revision") == pytest.approx([14, 0.1])
    assert at(table, 4, "mean_revision") == [0]


def test_until_13_weeks_are_final_nothing_is_said_and_seven_days_hold_by_rule():
    table = revisions(table_of(lines_of(late({3: 10}), weeks=12)), AS_OF)
    assert set(table["state"]) == {"too_few"}
    assert table["mean_revision"].isna().all()
    assert settling(table)[["settles_after_days", "rule", "n"]].iloc[0].tolist() == [7, "by rule", 12]
    nothing = settling(revisions(pd.DataFrame([], columns=[*KEY, "as_of", "basis", "value", *KINDS]), AS_OF))
    assert set(nothing["settles_after_days"]) == {7}


def every_figure(city, area):
    return table_of(
        *(
            part
            for figure in ("opened", "closed_in", "pile")
            for part in (lines_of(city, figure), *(lines_of(area, figure, name) for name in ("A", "B", "C")))
        )
    )


@pytest.mark.parametrize(
    ("city", "area", "settles"),
    [
        (late({}), late({}), 0),
        (late({9: 6}), late({}), 9),  # 0.6 % of the city moves on the 9th day
        (late({9: 5}), late({}), 0),  # 0.5 % is allowed
        (late({2: 9}), late({12: 21}), 12),  # and 2 % of the median area
        (late({50: 20}), late({}), 60),
        (late({70: 20}), late({}), 60),
    ],
    ids=["calm", "the city", "little", "the areas", "late", "never"],
)
def test_a_figure_is_settled_from_the_lag_on_after_which_it_hardly_moves(city, area, settles):
    table = settling(revisions(every_figure(city, area), AS_OF))
    assert [*zip(table["settles_after_days"], table["rule"], table["n"], strict=True)] == [
        (settles, "measured", 30)
    ] * 3


def test_known_delays_come_out_and_a_second_reading_agrees():
    """Requests are entered with a delay of 3 days on average, 2 % of them vanish later."""
    rng = np.random.default_rng(311)

    def steps(week):
        delays = np.minimum(rng.geometric(1 / 3, 2_000) - 1, 29)
        yield 0, {"by_opened_late": int((delays == 0).sum())}
        for day in range(1, int(delays.max()) + 1):
            if number := int((delays == day).sum()):
                yield day, {"by_opened_late": number}
        yield 30, {"by_vanished": -int(rng.binomial(2_000, 0.02))}

    lines = every_figure(steps, steps)
    table = revisions(lines, AS_OF)
    city = {"figure": "opened", "level": "citywide"}
    assert at(table, 0, "by_opened_late", **city) == pytest.approx([2 / 3 / 0.98], abs=0.02)
    assert at(table, 3, "by_opened_late", **city) == pytest.approx([(2 / 3) ** 4 / 0.98], abs=0.01)
    assert at(table, 21, "mean_revision", **city) == pytest.approx([-0.02 / 0.98], abs=0.003)
    assert set(settling(table)["settles_after_days"]) == {30}
    published = records(lines.assign(as_of=day_texts(lines["as_of"])))
    again = recompute.revisions_of(published, date.fromisoformat(str(day_texts(AS_OF))).toordinal())
    assert len(table) == 3 * 4 * len(LAGS)
    assert recompute.difference(again, pd.DataFrame(records(table))) is None
    assert recompute.difference(recompute.settling_of(again), settling(table)) is None
