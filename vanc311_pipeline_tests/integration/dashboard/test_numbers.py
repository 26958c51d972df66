"""The numbers of every kind of view are of its area, issue type, scope and period: counted from the rows by other SQL."""

import html
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from vanc311_pipeline.dashboard.figures import draw
from vanc311_pipeline.dashboard.numbers import in_13_weeks, since_a_year_before
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.integration.dashboard.conftest import Ask, reading, served

AREA, ISSUE = "Kitsilano", "Building and Development Inquiry Case"
VIEWS: dict[str, tuple[dict[str, str], str]] = {
    "city": ({}, "TRUE"),
    "city, located": ({"scope": "located"}, "local_area IS NOT NULL"),
    "area": ({"area": AREA}, f"local_area = '{AREA}'"),
    "issue": ({"issue": ISSUE}, f"issue_type = '{ISSUE}'"),
    "issue, located": ({"issue": ISSUE, "scope": "located"}, f"issue_type = '{ISSUE}' AND local_area IS NOT NULL"),
    "both": ({"area": AREA, "issue": ISSUE}, f"local_area = '{AREA}' AND issue_type = '{ISSUE}'"),
}
"""Of each: what its address says, and which of the requests are of it."""
GROUPS = {
    "city": "level = 'citywide' AND scope = 'all'",
    "city, located": "level = 'citywide' AND scope = 'located'",
    "area": f"level = 'neighbourhood' AND local_area = '{AREA}'",
    "issue": f"level = 'issue' AND scope = 'all' AND issue_type = '{ISSUE}'",
    "issue, located": f"level = 'issue' AND scope = 'located' AND issue_type = '{ISSUE}'",
    "both": f"level = 'hyper_local' AND local_area = '{AREA}' AND issue_type = '{ISSUE}'",
}
"""Which rows of the statistics are of it."""
PERIODS = ["2024", "all", "last_12_months"]


@pytest.fixture(scope="module")
def record(synced: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose statistics say another number of each group."""
    file = Path(shutil.copy(synced.published_path, tmp_path_factory.mktemp("record") / "vanc311.sqlite"))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE release SET as_of = '2025-02-10'")
        connection.execute(
            """
            UPDATE year_on_year SET requests_year_before = 1000 + rowid, state = 'ok', change_on_year = -0.5, noise_band = 0.25,
                   verdict = 'fewer'
            """
        )
        for number, measure in enumerate(("open_after_30_days", "closings"), 1):
            connection.execute(
                """
                UPDATE area_comparison SET observed = rowid * 10 + ?, expected = rowid + 0.5, n = rowid * 100 + ?, ratio = ? + rowid / 100.0,
                       ratio_low = 0.1, ratio_high = 9.0, state = 'ok', verdict = 'clearly more', tau = 0.15, se_log_ratio = 0.1,
                       among_areas = 'outside' WHERE measure = ?
                """,
                (number, number, number, measure),
            )
        connection.execute(
            "UPDATE flow SET net = 419, flow = 'growing', weeks_to = '2025-02-02', backlog_start = 12873, "
            f"backlog_end = 13292, years = 3, backlog_year_before = 11101, net_low = -20, "
            f"net_high = 30, labels_in_backtest = 0.02, weeks_in_backtest = 98 WHERE {GROUPS['city']}"
        )
        connection.execute(
            "UPDATE flow SET net = CASE issue_type WHEN ? THEN 99 ELSE 1 END WHERE level = 'issue'", (ISSUE,)
        )
    return file


@pytest.fixture(scope="module")
def site(record: Path) -> Iterator[str]:
    with served(record) as address:
        yield address


@pytest.fixture(scope="module")
def release(record: Path) -> Iterator[Release]:
    with reading(record) as opened:
        yield opened


@pytest.fixture(scope="module")
def ask(record: Path) -> Iterator[Ask]:
    with closing(sqlite3.connect(record)) as connection:
        yield lambda query, *values: connection.execute(query, values).fetchall()


def page(site: str, **asked: str) -> str:
    answer = requests.get(f"{site}/?{urlencode(asked)}", timeout=60)
    assert answer.status_code == 200
    return answer.text


def cards_of(text: str) -> list[tuple[str, str, str]]:
    """Label, value and note of each."""
    return [
        tuple(html.unescape(part) for part in re.findall(r'<p class="(?:label|value|note)">(.*?)</p>', card))  # type: ignore[misc]
        for card in re.findall(r'<div class="card">(.*?)</div>', text)
    ]


def opened_in(ask: Ask, period: str) -> str:
    [(first, last)] = ask("SELECT opened_from, opened_to FROM periods WHERE period = ?", period)
    return f"opened_on BETWEEN '{first}' AND '{last}'"


@pytest.mark.parametrize("name", VIEWS)
def test_the_cards_are_of_the_view(site: str, ask: Ask, name: str) -> None:
    asked, rows = VIEWS[name]
    waiting, opened, closed, half, most = cards_of(page(site, **asked, period="2024"))
    [(volume, still_open)] = ask(f"SELECT count(*), sum(status = 'Open') FROM service_requests WHERE {rows}")
    assert waiting[1:] == (f"{still_open:,}", f"of {volume:,} requests in the record")
    for card, measure, moved in (
        (opened, "opened", "opened_on"),
        (closed, "closed_in", "CASE WHEN status = 'Close' THEN max(closed_on, opened_on) END"),
    ):
        [(number, first, last)] = ask(
            f"SELECT rowid, days_from, days_to FROM year_on_year WHERE {GROUPS[name]} AND measure = ?", measure
        )
        [(now,)] = ask(f"SELECT count(*) FROM service_requests WHERE {rows} AND {moved} BETWEEN ? AND ?", first, last)
        assert (card[0].split(",")[0], card[1]) == (measure.removesuffix("_in"), f"{now:,}")
        assert f"than the {1000 + number:,} in the same four weeks a year before" in card[2]
    [(n, median, p90, left)] = ask(
        f"SELECT n, median_days, p90_days, still_open FROM time_to_close WHERE {GROUPS[name]} AND period = '2024'"
    )
    for card, days in ((half, median), (most, p90)):
        assert card[1] == ("too few" if days is None else f"{days} day" if days == 1 else f"{days} days")
        assert card[2].startswith(f"opened in 2024, n = {n:,}, still open {left:,}")


def test_a_group_that_was_never_reported_was_not_reported_a_year_before(site: str, ask: Ask) -> None:
    [(area, issue)] = ask(
        "SELECT local_area, issue_type FROM local_areas, (SELECT DISTINCT issue_type FROM metrics_by_issue) "
        "EXCEPT SELECT local_area, issue_type FROM metrics_hyper_local LIMIT 1"
    )
    _, opened, closed, *_ = cards_of(page(site, area=area, issue=issue))
    for card in (opened, closed):
        assert card[1:] == ("0", "none in the same four weeks a year before, either")


@pytest.mark.parametrize("name", ["city", "issue"])
def test_what_is_not_closed_yet_stands_beside_the_requests_that_it_is_part_of(site: str, name: str) -> None:
    """E10: it is counted among those with usable dates, which are fewer than all requests."""
    text = page(site, **VIEWS[name][0], period="all")
    table = text[text.index("<h2>Where" if "issue" in name else "<h2>What is reported most") :].split("</table>")[0]
    assert re.findall(r"<th[^>]*>(.*?)</th>", table)[1:4] == ["requests", "timed (n)", "of these, not closed yet"]


def figure(release: Release, name: str, **asked: str) -> list[dict[str, Any]]:
    """The rows that a figure of a view is drawn from."""
    drawn = draw(release, View(**asked), name)
    assert drawn
    return drawn.rows.to_dict("records")


@pytest.mark.parametrize("name", VIEWS)
def test_a_figure_through_time_is_of_the_view(release: Release, ask: Ask, name: str) -> None:
    asked, rows = VIEWS[name]
    counted = dict(ask(f"SELECT open_month, count(*) FROM service_requests WHERE {rows} GROUP BY 1"))
    drawn = {row["month"]: row["opened"] for row in figure(release, "opened-and-closed", **asked)}
    assert {month: opened for month, opened in drawn.items() if opened} == counted
    if "issue" not in asked:
        daily = {row["day"]: row["opened"] for row in figure(release, "backlog", **asked)}
        assert {day: opened for day, opened in daily.items() if opened} == dict(
            ask(f"SELECT opened_on, count(*) FROM service_requests WHERE {rows} GROUP BY 1")
        )
    if name != "both":
        ages = sum(row["open_requests"] for row in figure(release, "backlog-by-age", **asked))
        assert [(ages,)] == ask(f"SELECT count(*) FROM service_requests WHERE {rows} AND status = 'Open'")


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("name", ["city", "city, located", "area", "issue", "issue, located"])
def test_a_figure_of_a_period_is_of_the_view_and_the_period(release: Release, ask: Ask, name: str, period: str) -> None:
    asked, rows = VIEWS[name]
    curve = figure(release, "time-to-close", **asked, period=period)
    assert [(curve[0]["at_risk"],)] == ask(f"SELECT n FROM time_to_close WHERE {GROUPS[name]} AND period = ?", period)
    drawn = {row["outcome"]: row["closed_as"] for row in figure(release, "outcomes", **asked, period=period)}
    counted = ask(
        f"""
        SELECT outcome, count(*) FROM service_requests AS r
        JOIN outcome_mapping AS m ON m.closure_reason = coalesce(r.closure_reason, 'N/A')
        WHERE status = 'Close' AND {rows} AND {opened_in(ask, period)} GROUP BY 1
        """
    )
    assert {outcome: closed for outcome, closed in drawn.items() if closed} == dict(counted)


@pytest.mark.parametrize("name", [*VIEWS])
def test_beside_the_curve_stand_the_speed_of_now_and_the_share_that_was_served(site: str, ask: Ask, name: str) -> None:
    text = html.unescape(requests.get(f"{site}/?{urlencode(VIEWS[name][0])}", timeout=30).text)
    speed = ask(f"SELECT followed, median_state FROM current_speed WHERE {GROUPS[name]}")
    assert [f"whenever they were opened (n = {n:,})" in text for n, _ in speed] == [state == "ok" for _, state in speed]
    [(served,)] = ask(
        f"""
        SELECT printf('Service recorded as provided within 30 days: %.1f %% (95 %% interval %.1f %% to %.1f %%, n = %,d)',
                      100 * closed_share, 100 * closed_share_low, 100 * closed_share_high, n)
        FROM outcome_incidence WHERE {GROUPS[name]} AND period = 'last_12_months' AND day = 30 AND outcome_order = 1
        """
    ) or [(None,)]
    assert ("Service recorded as provided within 30 days" in text) == (served is not None)
    assert served is None or served in text


@pytest.mark.parametrize(
    ("name", "measure"),
    [("map", "open_after_30_days"), ("areas-open-after-30-days", "open_after_30_days"), ("areas-closings", "closings")],
)
def test_a_comparison_of_areas_is_of_its_measure(release: Release, ask: Ask, name: str, measure: str) -> None:
    drawn = {row["local_area"]: (row["n"], row["observed"], row["ratio"]) for row in figure(release, name)}
    rows = ask("SELECT local_area, n, observed, ratio FROM area_comparison WHERE measure = ?", measure)
    assert drawn == {area: tuple(numbers) for area, *numbers in rows}


@pytest.mark.parametrize("period", ["last_12_months", "2024"])
def test_the_areas_comparison_names_its_own_window_whatever_period_is_chosen(site: str, ask: Ask, period: str) -> None:
    [window] = ask("SELECT DISTINCT opened_from, opened_to FROM area_comparison")
    first, last = (f"{day.day} {day:%B %Y}" for day in map(date.fromisoformat, window))
    [(n,)] = ask("SELECT sum(n) FROM area_comparison WHERE measure = 'closings'")
    assert f"opened {first} to {last}, whatever period is chosen" in page(site, area=AREA, period=period)
    assert f"opened {first} to {last} (whatever period is chosen), n = {n:,}." in page(site, period=period)


# -- the sentence at the head of a page --------------------------------------------------------------------------------


def test_the_sentence_says_the_level_and_what_became_of_it_in_52_and_in_13_weeks(site: str, ask: Ask) -> None:
    [(waiting,)] = ask("SELECT count(*) FROM service_requests WHERE status = 'Open'")
    assert (
        f"As of 10 February 2025, {waiting:,} requests are open. On 2 February 2025 there were 2,191 more than 52 weeks before. "
        "In the 13 weeks to 2 February 2025 their number rose by 419 (3.3 %); in the same weeks of earlier years it moved by "
        "−20 to +30, so this is more than the season explains: the backlog is growing (as this rule said in 2.0 % of the last "
        f"98 weeks). The largest part: {ISSUE} (+99 of +419)."
    ) in html.unescape(page(site))


FLOW = {
    "flow": "stable", "weeks_to": "2026-09-20", "net": 419, "net_low": -300, "net_high": 500, "years": 3, "backlog_start": 12873,
    "backlog_end": 13292, "backlog_year_before": 13292, "opened": 1, "closed_in": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({}, "rose by 419 (3.3 %); in the same weeks of earlier years it moved by −300 to +500, so this is ordinary."),
        ({"net": -600}, "fell by 600 (4.7 %); in the same weeks of earlier years it moved by −300 to +500, and years commonly"),
        ({"net": 0, "net_low": 5, "net_high": 5, "years": 1}, "did not change; in the same weeks a year before it moved by +5, and years"),
        ({"net": 5, "backlog_start": 0}, "rose by 5; in the same weeks of earlier years it moved by −300 to +500, so this is ordinary."),
        ({"flow": "too_short"}, "rose by 419 (3.3 %); the record is too short to say whether that is usual."),
        ({"flow": "too_few"}, "In the 13 weeks to 20 September 2026, 1 request was opened and 4 closed, too few for a trend."),
    ],
)  # fmt: skip
def test_a_change_is_said_beside_that_of_earlier_years(row: dict[str, Any], sentence: str) -> None:
    assert sentence in in_13_weeks(FLOW | row)


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        (13292, "On 20 September 2026 there were as many as 52 weeks before. "),
        (13300, "On 20 September 2026 there were 8 fewer than 52 weeks before. "),
        (None, ""),
    ],
)
def test_the_level_is_compared_with_the_same_weekday(before: int | None, sentence: str) -> None:
    assert since_a_year_before(FLOW | {"backlog_year_before": before}) == sentence
