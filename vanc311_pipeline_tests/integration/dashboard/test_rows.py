"""The lines of a page's tables, and its figures, without a page: of which rows, in which order, and what stands in a cell."""

import html
import json
import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.dashboard import estimator, quality, tables
from vanc311_pipeline.dashboard.figures import draw, page_figures
from vanc311_pipeline.dashboard.numbers import cards, given_its_kinds, lead
from vanc311_pipeline.dashboard.tables import Cell
from vanc311_pipeline.dashboard.view import View, shown_view, summary_of, view_of
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline_tests.integration.dashboard.conftest import (
    Ask,
    group_of,
    requests_of,
)
from vanc311_pipeline_tests.integration.planting import execute, hold

AREA, QUIET_AREA, ISSUE = "Kitsilano", "Sunset", "Building and Development Inquiry Case"
PLAIN_ISSUE = "Building and development inquiry"
RARE_ISSUE = "Business Licence Request Case"
LEVELS = [View(), View(AREA), View(None, ISSUE), View(AREA, ISSUE)]
CITY = [View(), View(scope="located"), View(period="2024")]

COPIED_MONTHS = "WITH RECURSIVE n(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM n WHERE n < 21)"
PLANTED = [
    # Quality: months beyond those that are shown, many out of step, changes at and after the instant of the release.
    f"""{COPIED_MONTHS} INSERT INTO portal_months SELECT dataset, '20' || n || '-07', rows, closed, fingerprint, latest_change,
        data_processed, asked_at FROM portal_months, n WHERE partition_month = '2024-03'""",
    f"""{COPIED_MONTHS} INSERT INTO quality_ledger SELECT '20' || n || '-07', department, volume * (n % 2), n_missing_area, n_missing_point,
        n_quarantined, n_negative, n_closed_without_date, n_twins, n_repeats, n_batch_closed, n_obsolete_label, n_unmapped_reason, as_of
        FROM quality_ledger, n WHERE open_month = '2024-03'""",
    "UPDATE quality_ledger SET volume = 0 WHERE open_month = '2025-07'",
    "UPDATE month_ledger SET latest_change = '2031-01-01T00:00:00Z' WHERE partition_month = '2024-05'",
    "UPDATE month_ledger SET latest_change = (SELECT data_processed FROM release) WHERE partition_month = '2024-07'",
    "UPDATE portal_months SET rows = rows + 1 WHERE partition_month IN ('2023-12', '2024-05')",
    "UPDATE check_results SET result = 'failed', found = 'two of them' WHERE check_name = 'backlog_adds_up'",
    """INSERT INTO quarantined_requests SELECT number, 'live', '2024-05', CASE WHEN number < 3 THEN 'b' ELSE 'a' END, '{}'
       FROM (SELECT row_number() OVER () AS number FROM service_requests LIMIT 7)""",
    # How long mine should take: 100 that were followed are enough, 99 are not.
    f"""INSERT INTO waiting_times SELECT 'hyper_local', 'located', '{AREA}', issue_type, department, period, waited_days, 100 + waited_days,
        open_share, further_median, further_median_low, further_median_high, 'ok', 5, 5, 5, 'ok', 1, 1, 1, 'ok', as_of
        FROM waiting_times WHERE level = 'issue' AND scope = 'all' AND issue_type = '{ISSUE}' AND period = 'last_12_months'""",
    f"""INSERT INTO time_to_close_curves SELECT 'hyper_local', 'located', '{AREA}', issue_type, department, period, day, at_risk, closed_by,
        open_share, open_share_low, open_share_high, as_of
        FROM time_to_close_curves WHERE level = 'issue' AND scope = 'all' AND issue_type = '{ISSUE}'""",
    "UPDATE waiting_times SET followed = 100 WHERE level = 'hyper_local' AND waited_days = 3",
    "UPDATE waiting_times SET followed = min(followed, 99) WHERE level = 'hyper_local' AND waited_days <> 3",
    "UPDATE waiting_times SET followed = min(followed, 99) WHERE level = 'issue' AND period = 'last_12_months'",
    f"UPDATE waiting_times SET followed = min(followed, 99) WHERE issue_type = '{RARE_ISSUE}'",
    f"UPDATE time_to_close SET median_high = NULL, p90_low = p90_high WHERE issue_type = '{RARE_ISSUE}' AND level = 'issue'",
    # Areas against the city.
    f"""UPDATE area_comparison SET observed = 1234, expected = 1000.06, n = 5678, ratio = 1.236, ratio_low = 1.1, ratio_high = 1.5, tau = 0.15,
        state = 'ok', verdict = 'clearly more', among_areas = 'within' WHERE local_area = '{AREA}'""",
    f"""UPDATE area_comparison SET standardised_share_state = 'ok', standardised_share = 0.1234, standardised_share_low = 0.1,
        standardised_share_high = 0.15 WHERE local_area = '{AREA}' AND measure = 'open_after_30_days'""",
    f"""UPDATE area_issue_mix SET state = 'ok', expected = 7.06, ratio = 3 - rowid % 30 / 10.0, ratio_low = 0.1, ratio_high = 9,
        finding = CASE WHEN rowid % 3 THEN 'more' WHEN rowid % 2 THEN 'fewer' ELSE 'no clear difference' END
        WHERE local_area = '{AREA}' AND issue_type < 'G'""",
    # A log of changes, of which some say no more than that something changed.
    f"""INSERT INTO request_changes (change_id, kind, request_id, thread_id, partition_month, department, issue_type, opened_at, sharing,
                                     before, after, seen_at, data_processed, run_id)
        SELECT number, 'edited', request_id, request_id, partition_month, department, issue_type, opened_at, 1,
               CASE WHEN number % 3 THEN '{{"modified_at": 1, "channel": null, "address": "' || number || '"}}' ELSE '{{"modified_at": 1}}' END,
               CASE WHEN number % 3 THEN '{{"modified_at": 2, "channel": "' || number || '", "address": null}}' ELSE '{{"modified_at": 2}}' END,
               date('2025-01-01', '+' || (number / 5) || ' days') || 'T15:00:00Z', '2025-02-01T14:00:00Z', 'a run'
        FROM (SELECT *, row_number() OVER (ORDER BY request_id) AS number FROM service_requests
              WHERE issue_type = '{ISSUE}' OR local_area = '{AREA}')""",
]  # fmt: skip


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %"


def days(number: int | None, state: str) -> Cell:
    """A number of days as it stands in a cell, or why there is none."""
    reasons = {"too_few": "too few", "not_reached": "not yet reached", "no_requests": "no requests"}
    if state in reasons:
        return Cell(reasons[state], quiet=True)
    return Cell({0: "the same day", 1: "1 day"}.get(number, f"{number} days"))


# -- quality -----------------------------------------------------------------------------------------------------------


def test_checks_are_listed_worst_first_with_what_they_found_and_whether_they_block(release, ask):
    columns = "check_name, asset, claim, blocking, result, found, evaluated_at"
    results = sorted(
        ask(f"SELECT {columns} FROM check_results"),
        key=lambda row: (("failed", "warned", "passed").index(row[4]), row[1], row[0]),
    )
    marks = {"failed": "✗ failed", "warned": "! noted", "passed": "✓ passed"}
    blocking = {"yes": "blocks publishing", "no": "notes"}
    assert {row[3] for row in results} == {"yes", "no"}
    assert [[line[name] for name in columns.split(", ")] for line in quality.checks(release)] == [
        [check, asset, claim, blocking[blocks], marks[result], remark or "", words.instant(at)]
        for check, asset, claim, blocks, result, remark, at in results
    ]


def test_the_newest_change_is_no_later_than_the_release(release, ask, synced):
    assert [(quality.newest_change(release),)] == ask("SELECT data_processed FROM release")
    with reading(synced.published_path) as plain:
        assert quality.newest_change(plain) == "2026-01-12T22:43:51Z"


def test_a_record_without_a_change_has_no_newest_one(own_file):
    execute(own_file, "UPDATE month_ledger SET latest_change = NULL")
    with reading(own_file) as without:
        assert quality.newest_change(without) is None


def test_months_out_of_step_come_first_and_then_the_newest(release, ask):
    months = sorted(ask("SELECT partition_month, in_step FROM convergence"), reverse=True)
    out_of_step = [month for month, in_step in months if in_step == "no"]
    assert len(out_of_step) < 24 < len(months)
    in_step = [month for month, in_step in months if in_step == "yes"]
    assert [line["partition_month"] for line in quality.months(release)] == [*out_of_step, *in_step][:24]


RELABELLED = """INSERT INTO request_changes (kind, request_id, thread_id, partition_month, department, issue_type, opened_at, sharing,
                             seen_at, data_processed, run_id)
    SELECT 'relabelled', request_id, request_id, '2024-03', department, issue_type, opened_at, 1, '2026-01-09', '{}', 'a run'
    FROM service_requests LIMIT {}"""


def test_breaks_are_what_was_held_what_was_followed_with_consent_and_months_relabelled_by_more_than_a_hundredth(
    own_file,
):
    held = "INSERT INTO portal_releases SELECT dataset, '{}', 5, 'held', seen_at, run_id, NULL FROM portal_releases LIMIT 1"
    execute(
        own_file, hold("2024-01"), held.format("2026-01-07T14:06:58Z"), held.format("2025-12-31T00:00:00Z"),
        "INSERT INTO accepted_losses VALUES ('2025-02-03T00:00:00Z', '2025-01', 9, 7, '2025-02-01T00:00:00Z', 'a run', 'rows 9 → 7')",
        "UPDATE month_ledger SET rows_stored = 100 WHERE partition_month = '2024-03'",
        RELABELLED.format("2026-01-08T00:00:00Z", 2), RELABELLED.format("2026-01-09T00:00:00Z", 1),
    )  # fmt: skip
    with reading(own_file) as odd:
        assert [tuple(line.values()) for line in quality.series_breaks(odd)] == [
            ("relabelled", "2026-01", "2024-03", 100, 100, "2 of 100 requests were relabelled", "2026-01-08T00:00:00Z"),
            ("held", "2026-01", "2024-01", 100, 7, "rows 100 → 7", "2026-01-07T14:06:58Z"),
            ("held", "2025-12", "all", None, 5, None, "2025-12-31T00:00:00Z"),
            ("accepted", "2025-02", "2025-01", 9, 7, "rows 9 → 7", "2025-02-01T00:00:00Z"),
        ]


COUNTED = [
    "volume", "n_missing_area", "n_missing_point", "n_quarantined", "n_negative", "n_closed_without_date", "n_twins", "n_repeats",
    "n_batch_closed", "n_obsolete_label", "n_unmapped_reason",
]  # fmt: skip
SHOWN = [name for name in COUNTED if name != "n_quarantined"] + ["n_quarantined"]
PLAIN = {"volume", "n_quarantined", "n_obsolete_label", "n_unmapped_reason"}


def summed(ask: Ask, by: str) -> dict[str, dict[str, Any]]:
    """The ledger's counts under each department or month, each with its share where it has one."""
    sums = ", ".join(f"sum({name})" for name in COUNTED)
    counted = ask(
        f"SELECT {by}, {sums} FROM quality_ledger GROUP BY 1 UNION ALL SELECT 'all', {sums} FROM quality_ledger"
    )
    return {
        group: {by: group, "volume": volume}
        | {
            name: n if name in PLAIN or not volume else Cell(f"{n:,} ({percent(n, volume)})")
            for name, n in zip(COUNTED, (volume, *counts), strict=True)
        }
        for group, volume, *counts in counted
    }


def test_what_is_missing_by_department_is_of_the_largest_first_and_adds_up(release, ask):
    lines, totals = quality.by_department(release)
    expected = summed(ask, "department")
    assert totals == [expected.pop("all")]
    assert {line["department"]: line for line in lines} == expected
    volumes = [line["volume"] for line in lines]
    assert volumes == sorted(volumes, reverse=True)


def test_what_is_missing_by_month_is_of_the_24_newest(release, ask):
    expected = summed(ask, "open_month")
    del expected["all"]
    assert len(expected) > 24
    assert quality.by_month(release) == [expected[month] for month in sorted(expected, reverse=True)[:24]]


def test_the_quarantine_is_counted_by_reason(release):
    assert quality.quarantine(release) == [{"reason": "a", "rows": 5}, {"reason": "b", "rows": 2}]


# -- what is reported most, and where ----------------------------------------------------------------------------------

TIMED = "volume, n, still_open, median_days, median_state, p90_days, p90_state"


@pytest.mark.parametrize("period", ["2024", "all", "last_12_months"])
@pytest.mark.parametrize(
    "view", [View(), View(scope="located"), View(AREA), View(None, ISSUE), View(None, ISSUE, scope="located")], ids=str
)
def test_a_line_of_what_or_where_has_the_numbers_of_its_group_and_leads_to_it(release, ask, view, period):
    view = view.but(period=period)
    lines, totals = tables.breakdown(release, view)
    kind, column = ("area", "local_area") if view.issue else ("issue", "issue_type")
    where = f"issue_type = '{ISSUE}'" if view.issue else f"local_area = '{AREA}'" if view.area else "TRUE"
    level, scope = ("issue", view.scope) if where == "TRUE" else ("hyper_local", "located")
    of_period = f"FROM time_to_close WHERE period = '{period}' AND {where} AND level = ? AND scope = ?"
    groups = {name: numbers for name, *numbers in ask(f"SELECT {column}, {TIMED} {of_period}", level, scope)}
    if view.issue:
        areas = [area for (area,) in ask("SELECT local_area FROM local_areas ORDER BY 1")]
        expected = {area: groups.get(area, (0, 0, 0, None, "no_requests", None, "no_requests")) for area in areas}
    else:
        expected = dict(sorted(groups.items(), key=lambda item: (-item[1][0], item[0]))[:15])
        assert len(expected) == 15 < len(groups)
    assert [line["name"].text for line in lines] == [plain(kind, name) for name in expected]
    for line, (name, (*counts, median, median_state, p90, p90_state)) in zip(lines, expected.items(), strict=True):
        assert [line["volume"], line["n"], line["still_open"]] == counts
        assert (line["half"], line["nine_in_ten"]) == (days(median, median_state), days(p90, p90_state))
        group = View(name, ISSUE, period, view.scope) if view.issue else View(view.area, name, period, view.scope)
        assert line["name"] == Cell(plain(kind, name), group.url, number=False)
    left_out = "no local area" if view.issue else f"{len(groups) - 15} other types"
    names = ["all"] if view.issue and view.scope == "located" else [left_out, "all"]
    assert [total["name"] for total in totals] == names
    [whole] = ask(f"SELECT volume, n, still_open {of_period}", view.level, view.counted)
    for place, number in enumerate(("volume", "n", "still_open")):
        assert totals[-1][number] == whole[place] == sum(line[number] for line in [*lines, *totals[:-1]])
    assert {total["half"].text for total in totals[:-1]} <= {""}


def test_of_one_issue_in_one_area_there_is_nothing_more_to_break_down(release):
    assert tables.breakdown(release, View(AREA, ISSUE)) == ([], [])


# -- how long should mine take? ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "where", "opened"),
    [
        (View(AREA, ISSUE), "level = 'hyper_local' AND period = 'last_12_months'", ("in the last 12 months", AREA)),
        (View(None, ISSUE, "2024"), "level = 'issue' AND period = 'all'", ("at any time", "all of Vancouver")),
        (View(QUIET_AREA, RARE_ISSUE, scope="located"), "level = 'issue' AND period = 'all'", ("at any time", "all of Vancouver")),
    ],
    ids=["the area has enough", "the last year has too few", "nowhere are enough"],
)  # fmt: skip
def test_how_long_mine_takes_is_told_of_the_nearest_group_that_has_enough(release, ask, view, where, opened):
    columns = "waited_days, followed, further_median, further_median_state, further_p75, further_p75_state, further_p90, further_p90_state"
    waits = ask(f"SELECT {columns} FROM waiting_times WHERE {where} AND scope IN ('located', 'all') AND issue_type = ? "
                "AND (level = 'hyper_local' OR scope = 'all') ORDER BY 1", view.issue)  # fmt: skip
    labels = {-1: "opened just now", 0: "still open at the end of the first day", 1: "still open after 1 day"}
    kind = estimator.nearest(release, view)
    assert (kind.opened, kind.view.place) == opened
    lines = estimator.waiting(kind)
    assert len(lines) > 2
    assert [(line["waited"], line["followed"]) for line in lines] == [
        (labels.get(waited, f"still open after {waited} days"), followed) for waited, followed, *_ in waits
    ]
    assert [[line[f"further_{name}"] for name in ("median", "p75", "p90")] for line in lines] == [
        [days(*quantiles[place : place + 2]) for place in (0, 2, 4)] for _, _, *quantiles in waits
    ]


@pytest.mark.parametrize(
    "view",
    [*LEVELS, *CITY[1:], View(None, ISSUE, scope="located"), View(None, RARE_ISSUE, "2024"), View("Downtown", ISSUE, "2024")],
    ids=str,
)  # fmt: skip
def test_the_usual_time_stands_with_its_n_its_interval_and_beside_that_of_an_area_the_citys(release, ask, view):
    shown = {card.metric: card for card in cards(release, view)}
    opened = {"last_12_months": "in the last 12 months"}.get(view.period, f"in {view.period}")

    def timed(name: str, of: View) -> tuple[Any, ...]:
        columns = f"n, still_open, {name}_days, {name}_state, {name}_low, {name}_high"
        [row] = ask(f"SELECT {columns} FROM time_to_close WHERE {group_of(of)} AND period = '{of.period}'")
        return row

    for name in ("median", *["p90"] * bool(view.issue)):
        n, still_open, number, state, low, high = timed(name, view)
        note = f"n = {n:,}, still open {still_open:,}"
        if state == "ok" and low != high:
            note += f"; 95 % interval {low} to {'not reached' if high is None else high}"
        if view.area:
            n_city, _, number_city, state_city, *_ = timed(name, view.but(area=None))
            note += f"; city-wide: {days(number_city, state_city).text}, n = {n_city:,}"
        card, share = shown[f"{name}_days"], {"median": "half", "p90": "nine in ten"}[name]
        assert card.label == f"{share} of those opened {opened} are closed within"
        assert (card.value, card.note) == (days(number, state).text, note)


# -- areas against the city --------------------------------------------------------------------------------------------


def test_an_area_stands_against_the_city_by_both_measures(release):
    slow, fast = tables.against_the_city(release, View(AREA))
    assert (slow["measure"], fast["measure"]) == (
        "still open after 30 days (above 1: more)",
        "closings (above 1: faster)",
    )
    for line in (slow, fast):
        assert (line["observed"], line["n"], line["expected"], line["ratio"]) == (
            1234, 5678, Cell("1,000.1"), Cell("1.24"),
        )  # fmt: skip
        assert (line["difference"], line["verdict"]) == ("24 % more (10 % more to 50 % more)", "clearly more")
        assert line["among_areas"].endswith("26 % fewer or 35 % more: this one is within that, chance allowed for.")
    assert slow["standardised"] == Cell("12.3 % (10.0 % to 15.0 %)")
    assert fast["standardised"] == Cell("–", quiet=True)


def test_an_area_of_too_few_says_so_in_each_place_of_a_number(release, ask):
    assert ask("SELECT DISTINCT state FROM area_comparison WHERE local_area = ?", QUIET_AREA) == [("too_few",)]
    slow, _ = tables.against_the_city(release, View(QUIET_AREA))
    assert (slow["verdict"], slow["among_areas"], slow["difference"]) == ("too few", "–", "–")
    assert slow["standardised"] == Cell("too few of the city's types", quiet=True)
    [(nowhere,)] = ask(
        "SELECT local_area FROM area_comparison WHERE state = 'no_requests' AND measure = 'closings' LIMIT 1"
    )
    assert tables.against_the_city(release, View(nowhere))[0]["standardised"] == Cell("no requests", quiet=True)


def test_what_is_reported_more_or_less_in_an_area_is_in_the_order_of_its_ratio(release, ask):
    lines = tables.reported_more_or_less(release, View(AREA))
    for finding in ("more", "fewer"):
        rows = ask(
            "SELECT issue_type, observed, ratio FROM area_issue_mix WHERE local_area = ? AND finding = ? ORDER BY ratio DESC",
            AREA, finding,
        )  # fmt: skip
        assert len(rows) > 3
        assert [(line["issue"].text, line["observed"], line["ratio"]) for line in lines[finding]] == [
            (plain("issue", issue), observed, Cell(f"{ratio:.2f} (0.10 to 9.00)")) for issue, observed, ratio in rows
        ]
        assert {line["expected"] for line in lines[finding]} == {Cell("7.1")}
        assert [line["issue"].link for line in lines[finding]] == [View(AREA, issue).url for issue, _, _ in rows]


@pytest.mark.parametrize("view", [LEVELS[0], LEVELS[2], LEVELS[3]], ids=str)
def test_only_an_area_is_compared_with_the_city(release, view):
    assert tables.against_the_city(release, view) == []
    assert tables.reported_more_or_less(release, view) == {"more": [], "fewer": []}


# -- what is open ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", LEVELS[1:], ids=str)
def test_what_is_open_is_listed_the_most_overdue_first_and_all_of_it_is_a_link_away(site, ask, view):
    page = html.unescape(requests.get(site + view.url, timeout=60).text)
    listed = re.findall(r'href="/requests/(\w+)"', page)
    found = ask(f"SELECT request_id FROM service_requests WHERE status = 'Open' AND {requests_of(view)}")
    assert len(listed) == min(10, len(found)) > 3
    assert set(listed) <= {request_id for (request_id,) in found}
    [link] = re.findall(r'href="(/requests\?[^"]*)">All that are open', page)
    assert f"{len(found):,} requests" in requests.get(site + link, timeout=60).text
    first = requests.get(site + link, timeout=60).text
    assert re.findall(r'href="/requests/(\w+)"', first)[:10] == listed


@pytest.mark.parametrize("view", [View(), View(scope="located"), View(AREA), View(None, ISSUE)], ids=str)
def test_beside_each_type_or_area_stands_what_is_open_overdue_and_changed(release, ask, view):
    column = "local_area" if view.issue else "issue_type"
    waiting = {
        name: (number, Cell("not judged", quiet=True) if p90 is None else overdue)
        for name, number, overdue, p90 in ask(
            f"""SELECT {column}, count(*), sum(julianday((SELECT as_of FROM release)) - julianday(opened_on) > p90_days), max(p90_days)
                FROM service_requests LEFT JOIN (
                    SELECT issue_type, p90_days, max(period = 'last_12_months') FROM time_to_close WHERE level = 'issue' AND scope = 'all'
                    AND period IN ('all', 'last_12_months') AND p90_days IS NOT NULL GROUP BY 1
                ) USING (issue_type) WHERE status = 'Open' AND {requests_of(view)} GROUP BY 1"""
        )
    }
    level, scope = ("issue", view.counted) if view.level == "citywide" else ("hyper_local", "located")
    named = "TRUE" if view.level == "citywide" else requests_of(view.but(scope="all")).removeprefix("TRUE AND ")
    changes = {
        name: (before, now, state, verdict in ("more", "fewer") and q <= 0.05)
        for name, before, now, state, verdict, q in ask(
            f"""SELECT {column}, requests_year_before, requests, state, verdict, q_value FROM year_on_year
                WHERE level = '{level}' AND scope = '{scope}' AND measure = 'opened' AND {named}"""
        )
    }
    lines, _ = tables.breakdown(release, view)
    for line in lines:
        assert (line["open"], line["overdue"]) == waiting.get(line[column], (0, 0))
        before, now, state, stands_out = changes.get(line[column], (None, 0, None, False))
        if stands_out and before:
            change = round(100 * (now / before - 1))
            assert line["change"].text == f"{abs(change):,} % {'more' if change > 0 else 'fewer'}"
        elif state is not None:
            text = {"ok": "about as many", "too_few": "too few", "no_requests": "no requests"}[state]
            assert line["change"].text == (text if before is not None else "not known")
    assert sum(bool(line["open"]) for line in lines) > 2


# -- the fair comparison as a sentence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "words_for_it"),
    [
        ("clearly more", "Kitsilano’s are closed clearly faster than the city’s"),
        ("somewhat more", "Kitsilano’s are closed somewhat faster than the city’s"),
        ("about the same", "Kitsilano’s are closed about as fast as the city’s"),
        ("somewhat fewer", "Kitsilano’s are closed somewhat slower than the city’s"),
        ("clearly fewer", "Kitsilano’s are closed clearly slower than the city’s"),
        ("unclear", "whether Kitsilano’s are closed as fast as the city’s can’t be told"),
    ],
)
def test_an_area_is_compared_fairly_in_one_sentence(own_file, verdict, words_for_it):
    execute(
        own_file,
        f"""UPDATE area_comparison SET state = 'ok', verdict = iif(measure = 'closings', '{verdict}', 'clearly more'),
            n = iif(measure = 'closings', 1234, 5), ratio = 1.21, ratio_low = 1.1, ratio_high = 1.3 WHERE local_area = '{AREA}'""",
    )
    with reading(own_file) as changed:
        assert given_its_kinds(changed, View(AREA)) == (
            f"Given its kinds of request, {words_for_it} (n = 1,234; closings against what the city’s rates give: 21 % more "
            "(10 % more to 30 % more), 95 % interval)."
        )
        [(n,)] = changed.rows(
            sa.text(f"SELECT n FROM area_comparison WHERE measure = 'closings' AND local_area = '{QUIET_AREA}'")
        )
        few = f"Too few requests (n = {n:,}) to compare {QUIET_AREA} fairly with the city."
        assert given_its_kinds(changed, View(QUIET_AREA)) == few
        assert given_its_kinds(changed, View(None, ISSUE)) is None


# -- newest changes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("few", [1, 1_000_000], ids=["the log from its end", "each request looked up"])
@pytest.mark.parametrize("view", [*LEVELS[1:], View(QUIET_AREA)], ids=str)
def test_the_newest_changes_are_of_the_view_and_say_what_changed(release, ask, monkeypatch, few, view):
    monkeypatch.setattr(tables, "FEW_REQUESTS", few)
    log = ask(
        "SELECT seen_at, change_id, before, after, opened_at FROM request_changes WHERE request_id IN "
        f"(SELECT request_id FROM service_requests WHERE {requests_of(view)}) ORDER BY 1 DESC, 2 DESC"
    )
    telling = [row for row in log if set(json.loads(row[3])) != {"modified_at"}][:10]
    assert len(telling) == 10
    fields = [
        (seen[:10], f"{field}: {json.loads(before)[field] or '–'} → {json.loads(after)[field] or '–'}", opened[:10])
        for seen, _, before, after, opened in telling
        for field in ("address", "channel")
    ]
    lines = tables.newest_changes(release, view)
    assert [(line["seen"], line["change"], line["opened"]) for line in lines] == fields[:10]


def test_of_the_whole_city_no_changes_are_listed(release):
    assert tables.newest_changes(release, View()) == []


# -- on the page -------------------------------------------------------------------------------------------------------


def most_different(release: Release) -> list[tables.Row]:
    lines = tables.reported_more_or_less(release, View(AREA))
    return lines["more"][:10] + lines["fewer"][-10:]


OF_GROUPS = ("name", "volume", "n", "still_open", "half", "nine_in_ten", "open", "overdue", "change")
PARTS: dict[str, tuple[str, Callable[[Release], Iterable[tables.Row]], tuple[str, ...]]] = {
    "How much longer, if it has waited so long?": (
        View(None, ISSUE).url, lambda release: estimator.waiting(estimator.nearest(release, View(None, ISSUE))),
        ("waited", "further_median", "further_p75", "further_p90", "followed"),
    ),
    "What is reported most": (View(AREA).url, lambda release: chain(*tables.breakdown(release, View(AREA))), OF_GROUPS),
    "Where": (View(None, ISSUE).url, lambda release: chain(*tables.breakdown(release, View(None, ISSUE))), OF_GROUPS),
    "Fair comparison with the city": (
        View(AREA, speed=True).url, lambda release: tables.against_the_city(release, View(AREA)),
        ("measure", "observed", "expected", "ratio", "difference", "n", "verdict", "among_areas", "standardised"),
    ),
    "Reported more or less often here": (
        View(AREA).url, most_different,
        ("issue", "observed", "expected", "ratio", "finding"),
    ),
    "Newest changes": (
        View(AREA, ISSUE).url, lambda release: tables.newest_changes(release, View(AREA, ISSUE)),
        ("seen", "kind", "issue_type", "change", "opened"),
    ),
    "Every check, with its last result": (
        "/quality", quality.checks, ("result", "claim", "found", "asset", "blocking", "evaluated_at"),
    ),
    "What is missing or odd, by department": (
        "/quality", lambda release: chain(*quality.by_department(release)), ("department", *SHOWN),
    ),
    "What is missing or odd, month by month": ("/quality", quality.by_month, ("open_month", *SHOWN)),
    "Month by month against the portal": (
        "/quality", quality.months, ("partition_month", "portal_rows", "rows", "portal_closed", "closed", "in_step"),
    ),
    "In quarantine": ("/quality", quality.quarantine, ("reason", "rows")),
}  # fmt: skip
"""Of each table: a page that has it, its lines, and what stands in their columns from the left."""


@pytest.mark.parametrize("title", PARTS)
def test_a_page_shows_its_lines_below_their_headings(site, release, title):
    path, lines_of, columns = PARTS[title]
    page = requests.get(site + path, timeout=60).text
    table = page[page.index(f"{title}</h2>") :].split("</table>")[0]
    cells = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line)
        for line in re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)[1:]
    ]
    shown = [[html.unescape(re.sub("<.*?>", "", cell)) for cell in line] for line in cells]
    assert shown == [[tables.cell_of(line[column]).text for column in columns] for line in lines_of(release)]
    assert len(shown) > 1


# -- views, sentences and figures --------------------------------------------------------------------------------------


def test_a_group_without_requests_has_none_in_each_number(release):
    row = summary_of(release, View(AREA, "Never Reported Case", "2024"))
    numbers = (
        "volume", "n", "closed", "still_open", "n_static", "n_after_as_of", "n_negative", "n_closed_without_date",
    )  # fmt: skip
    assert {name for name, value in row.items() if value == 0} == set(numbers)
    assert {row[f"{name}_state"] for name in ("median", "p75", "p90")} == {"no_requests"}
    assert (row["period"], row["as_of"], row["median_days"]) == ("2024", "2026-01-12", None)


@pytest.mark.parametrize(
    ("parameters", "view"),
    [
        ({}, View()), ({"area": "", "issue": "", "period": "", "scope": ""}, View()), ({"scope": "elsewhere"}, View()),
        ({"area": "kitsilano", "issue": "building-and-development-inquiry", "period": "ALL", "scope": "located"},
         View(AREA, ISSUE, "all", "located")),
        ({"area": AREA.upper(), "issue": ISSUE.lower()}, View(AREA, ISSUE)),
    ],
)  # fmt: skip
def test_an_address_means_a_view_in_the_releases_own_names(release, parameters, view):
    assert view_of(release, parameters) == view


@pytest.mark.parametrize(
    ("lost", "asked", "period"),
    [("period = 'last_12_months'", View(), "all"), ("period = 'last_12_months'", View(period="2024"), "2024"), ("TRUE", View(), "all")],
)  # fmt: skip
def test_without_any_of_its_last_12_months_a_record_is_shown_whole(own_file, lost, asked, period):
    execute(own_file, f"DELETE FROM periods WHERE {lost}")
    with reading(own_file) as short:
        assert shown_view(short, asked).period == period


@pytest.mark.parametrize(
    ("net", "part", "sentence"),
    [
        (400, 200, f" Most of it: {PLAIN_ISSUE} (+200 of +400)."), (400, 199, f" The largest part: {PLAIN_ISSUE} (+199 of +400)."),
        (-400, -200, f" Most of it: {PLAIN_ISSUE} (−200 of −400)."), (400, -5, ""), (0, 5, ""),
        (1, 1, f" Most of it: {PLAIN_ISSUE} (+1 of +1)."),
    ],
)  # fmt: skip
def test_the_largest_part_of_a_citys_change_is_named(own_file, net, part, sentence):
    other = part if part < 0 < net else 0
    execute(
        own_file,
        f"UPDATE flow SET net = {net} WHERE level = 'citywide'",
        f"UPDATE flow SET net = {other} WHERE level = 'issue'",
        f"UPDATE flow SET net = {part} WHERE level = 'issue' AND issue_type = '{ISSUE}'",
    )
    with reading(own_file) as changed:
        text = lead(changed, View())
        assert text.endswith(sentence)
        assert (PLAIN_ISSUE in text) == bool(sentence)
        assert PLAIN_ISSUE not in lead(changed, View(AREA))


FIGURES = [
    "time-to-close", "opened-and-closed", "closed-within", "backlog", "backlog-by-age", "outcomes",
    "areas-by-wait", "reported-when", "channels", "areas-open-after-30-days", "areas-closings",
]  # fmt: skip
SPEED, REPORTING = ["time-to-close", "closed-within", "backlog-by-age", "outcomes"], ["reported-when", "channels"]


@pytest.mark.parametrize(
    ("view", "answers", "deeper"),
    [
        (View(), ["backlog"], [name for name in FIGURES if name not in ("backlog", "areas-by-wait")]),
        (View(AREA), ["opened-and-closed", "backlog", *REPORTING], SPEED),
        (View(None, ISSUE), ["opened-and-closed", *SPEED[1:], "areas-by-wait", *REPORTING], SPEED[:1]),
        (View(AREA, ISSUE), ["opened-and-closed", "closed-within"], SPEED[:1]),
    ],
    ids=str,
)  # fmt: skip
def test_each_figure_of_a_level_stands_on_one_of_its_two_pages(release, view, answers, deeper):
    pages = [view.but(period="all", speed=speed) for speed in (False, True)]
    assert [[figure.name for figure in page_figures(release, page)] for page in pages] == [answers, deeper]


def test_a_picture_is_made_where_it_is_drawn_and_not_for_a_page(release, monkeypatch):
    pictures = []
    monkeypatch.setattr(Figure, "chart", lambda figure: pictures.append(figure.name) or {})
    figures = [figure for speed in (False, True) for figure in page_figures(release, View(speed=speed))]
    assert pictures == []
    for figure in figures:
        figure.specification("wide")
    assert len(pictures) == len(figures) == len(FIGURES) - 1


DRAWN = (
    "monthly_series",
    "time_to_close_curves",
    "backlog_daily",
    "backlog_by_age",
    "outcomes",
    "area_comparison",
    "reporting_times",
    "channels",
)


@pytest.mark.parametrize("name", FIGURES)
def test_what_has_no_rows_is_not_drawn(own_file, name):
    execute(own_file, *(f"DELETE FROM {table}" for table in DRAWN))
    with reading(own_file) as emptied:
        assert draw(emptied, View(), name) is None
