"""The numbers of every kind of view are of its area, issue type, scope and period: counted from the rows by other SQL."""

import html
import re
from datetime import date
from typing import Any

import pytest
import requests

from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.figures import draw
from vanc311_pipeline.dashboard.numbers import against_the_speed_before, in_13_weeks, since_a_year_before
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline_tests.integration.dashboard.conftest import Ask, group_of, requests_of

AREA, ISSUE = "Kitsilano", "Building and Development Inquiry Case"
VIEWS = {
    "city": View(), "city, located": View(scope="located"), "area": View(AREA), "issue": View(None, ISSUE),
    "issue, located": View(None, ISSUE, scope="located"), "both": View(AREA, ISSUE),
}  # fmt: skip
each_view = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
PERIODS = ["2024", "all", "last_12_months"]

PLANTED = [
    "UPDATE release SET as_of = '2025-02-10'",
    """UPDATE year_on_year SET requests_year_before = 1000 + rowid, state = 'ok', change_on_year = -0.5, noise_band = 0.25,
              verdict = 'fewer', q_value = 0.01""",
    *(
        f"""UPDATE area_comparison SET observed = rowid * 10 + {number}, expected = rowid + 0.5, n = rowid * 100 + {number},
                   ratio = {number} + rowid / 100.0, ratio_low = 0.1, ratio_high = 9.0, state = 'ok', verdict = 'clearly more',
                   tau = 0.15, se_log_ratio = 0.1, among_areas = 'outside' WHERE measure = '{measure}'"""
        for number, measure in enumerate(("open_after_30_days", "closings"), 1)
    ),
    """UPDATE speed_on_year SET n = 2000 + rowid, n_year_before = 3000 + rowid, state = 'ok', share_within = rowid / 1e4,
              horizon_days = iif(issue_type IS NULL, 30, 90), share_within_low = 0.0004, share_within_high = 0.96,
              share_within_year_before = 1 - rowid / 1e4,
              share_within_year_before_low = 0.05, share_within_year_before_high = 0.99,
              share_change_low = -0.0234, share_change_high = 0.12, verdict = 'unclear'""",
    """UPDATE flow SET net = 419, flow = 'growing', weeks_to = '2025-02-02', backlog_start = 12873, backlog_end = 13292, years = 3,
              backlog_year_before = 11101, net_low = -20, net_high = 30, labels_in_backtest = 0.02, weeks_in_backtest = 98
              WHERE level = 'citywide' AND scope = 'all'""",
    f"UPDATE flow SET net = CASE issue_type WHEN '{ISSUE}' THEN 99 ELSE 1 END WHERE level = 'issue'",
]


def page(site: str, view: View) -> str:
    answer = requests.get(site + view.url, timeout=60)
    assert answer.status_code == 200
    return html.unescape(answer.text)


def cards_of(text: str) -> list[list[str]]:
    """Label, value and note of each."""
    cards = re.findall(r'<div class="card">(.*?)</div>', text)
    return [re.findall(r'<p class="(?:label|value|note)">(.*?)</p>', card) for card in cards]


def quotations_of(text: str) -> list[str]:
    """What each number says where it is quoted alone."""
    return re.findall(r'<span class="cite" data-copy="number with its source">(.*?)</span>', text)


def opened_in(ask: Ask, period: str) -> str:
    [(first, last)] = ask("SELECT opened_from, opened_to FROM periods WHERE period = ?", period)
    return f"opened_on BETWEEN '{first}' AND '{last}'"


@pytest.mark.parametrize(
    ("way", "left_out", "word"),
    [
        ("internal", "internal types", "internal types"),
        ("batch-days", "batch days", "batch days"),
        ("both", "both", "internal types and batch days"),
    ],
)
def test_the_usual_times_leave_out_what_the_address_says_and_the_table_leads_there(site, ask, way, left_out, word):
    usual = View(None, ISSUE, scope="located")
    view = usual.but(without=way)
    assert view.url == f"{usual.url}&without={way}"
    [(n, *times)] = ask(
        f"""SELECT n, median_days, median_state, p90_days, p90_state FROM time_to_close_without
            WHERE {group_of(view)} AND left_out = ?""",
        left_out,
    )
    text = page(site, view)
    for (_, value, note), days, state in zip(cards_of(text)[-2:], times[::2], times[1::2], strict=True):
        assert value == words.days_or_why(days, state)
        assert note.startswith(f"n = {n:,}, without {word}, still open ")
    assert 'href="/speed?issue=building-and-development-inquiry&scope=located"' in text
    deeper = page(site, view.but(speed=True))
    assert [deeper.count(f'<a href="{of.url}">{name}</a>') for of, name in ((usual, "nothing"), (view, left_out))] == [
        1,
        1,
    ]


@each_view
def test_the_cards_are_of_the_view(site: str, ask: Ask, view: View) -> None:
    text = page(site, view)
    waiting, reported, usual, last = cards_of(text)
    [(volume, still_open)] = ask(
        f"SELECT count(*), sum(status = 'Open') FROM service_requests WHERE {requests_of(view)}"
    )
    assert waiting[1] == f"{still_open:,}"
    assert waiting[2].startswith(f"of {volume:,} requests in the record")
    [(number, first, last_day)] = ask(
        f"SELECT rowid, days_from, days_to FROM year_on_year WHERE {group_of(view)} AND measure = 'opened'"
    )
    in_weeks = f"SELECT count(*) FROM service_requests WHERE {requests_of(view)} AND opened_on BETWEEN ? AND ?"
    [(now,)] = ask(in_weeks, first, last_day)
    assert reported[:2] == [f"reported, {words.days_between(first, last_day)}", f"{now:,}"]
    assert f"than the {1000 + number:,} in the same four weeks a year before" in reported[2]
    [(as_of,)] = ask("SELECT as_of FROM release")
    for quoted, (label, value, note) in zip(quotations_of(text), [waiting, reported, usual, last], strict=True):
        assert quoted.startswith(f"{view.group_name}, {label}: {value}; {note}. Meant: ")
        assert f"Source: City of Vancouver, 3-1-1, as of {words.day(as_of)}. " in quoted
    if view.issue:
        assert last[0] == "nine in ten of those opened in the last 12 months are closed within"
    else:
        old = f"{requests_of(view)} AND status = 'Open' AND opened_on < '2025-01-12'"
        [(oldest,)] = ask(f"SELECT count(*) FROM service_requests WHERE {old}")
        share = f"{100 * oldest / still_open:.1f} % of the {still_open:,} that are open"
        assert last == ["open now, for over a year", f"{oldest:,}", share]


@each_view
def test_of_a_period_that_is_chosen_the_cards_say_which_of_them_are_of_it(site: str, ask: Ask, view: View) -> None:
    text = page(site, view.but(period="2024"))
    in_2024 = f"{requests_of(view)} AND opened_on BETWEEN '2024-01-01' AND '2024-12-31'"
    [(number,)] = ask(f"SELECT count(*) FROM service_requests WHERE {in_2024}")
    assert cards_of(text)[1] == ["reported in 2024", f"{number:,}", "1 January to 31 December 2024"]
    labels = [label for label, *_ in cards_of(text)]
    last = "nine in ten of those opened in 2024 are closed within" if view.issue else "open now, for over a year"
    assert labels == ["open now", "reported in 2024", "half of those opened in 2024 are closed within", last]
    assert f"{number:,} requests. Opened 1 January to 31 December 2024.</p>" in text
    recent = page(site, view.but(period="last_90_days"))
    assert "Opened 8 October 2025 to 5 January 2026. Later days may still change.</p>" in recent


def test_a_group_that_was_never_reported_was_not_reported_a_year_before_and_has_no_speed(site: str, ask: Ask) -> None:
    [(area, issue)] = ask(
        "SELECT local_area, issue_type FROM local_areas, (SELECT DISTINCT issue_type FROM metrics_by_issue) "
        "EXCEPT SELECT local_area, issue_type FROM metrics_hyper_local LIMIT 1"
    )
    text = page(site, View(area, issue))
    assert "No such request is in the record: there is no speed to compare." in text
    _, reported, *_ = cards_of(text)
    assert reported[1:] == ["0", "none in the same four weeks a year before, either"]


@pytest.mark.parametrize(("view", "title"), [(View(AREA), "What is reported most"), (View(None, ISSUE), "Where")])
def test_what_is_not_closed_yet_stands_beside_the_requests_that_it_is_part_of(
    site: str, view: View, title: str
) -> None:
    """E10: it is counted among those with usable dates, which are fewer than all requests."""
    text = page(site, view.but(period="all"))
    table = text[text.index(f"<h2>{title}") :].split("</table>")[0]
    assert re.findall(r"<th[^>]*>(.*?)</th>", table)[1:4] == ["requests", "timed (n)", "of these, not closed yet"]


def figure(release: Release, name: str, view: View) -> list[dict[str, Any]]:
    """The rows that a figure of a view is drawn from."""
    drawn = draw(release, view, name)
    assert drawn
    return drawn.rows.to_dict("records")


@each_view
def test_a_figure_through_time_is_of_the_view(release: Release, ask: Ask, view: View) -> None:
    counted = f"count(*) FROM service_requests WHERE {requests_of(view)}"
    [(days,)] = ask(f"SELECT horizon_days FROM speed_on_year WHERE {group_of(view.but(area=None, scope='all'))}")
    quick = f"{requests_of(view)} AND opened_on >= '2022-08-17' AND days_to_close BETWEEN 0 AND {days}"
    within = {row["month"]: row[f"within_{days}"] for row in figure(release, "closed-within", view)}
    assert (
        sum(within.values())
        == ask(
            f"SELECT count(*) FROM service_requests WHERE {quick} AND opened_on <= (SELECT date(max(as_of), '-{days} days') FROM flow)"
        )[0][0]
    )
    for name, unit, column in (("opened-and-closed", "month", "open_month"), ("backlog", "day", "opened_on")):
        if name != "backlog" or view.issue is None:
            drawn = {row[unit]: row["opened"] for row in figure(release, name, view) if row["opened"]}
            assert drawn == dict(ask(f"SELECT {column}, {counted} GROUP BY 1"))
    if view.level != "hyper_local":
        ages = sum(row["open_requests"] for row in figure(release, "backlog-by-age", view))
        assert [(ages,)] == ask(f"SELECT {counted} AND status = 'Open'")


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("view", list(VIEWS.values())[:-1], ids=list(VIEWS)[:-1])
def test_a_figure_of_a_period_is_of_the_view_and_the_period(
    release: Release, ask: Ask, view: View, period: str
) -> None:
    view = view.but(period=period)
    curve = figure(release, "time-to-close", view)
    assert [(curve[0]["at_risk"],)] == ask(f"SELECT n FROM time_to_close WHERE {group_of(view)} AND period = ?", period)
    drawn = {row["outcome"]: row["closed_as"] for row in figure(release, "outcomes", view)}
    counted = ask(
        f"""
        SELECT outcome, count(*) FROM service_requests AS r
        JOIN outcome_mapping AS m ON m.closure_reason = coalesce(r.closure_reason, 'N/A')
        WHERE status = 'Close' AND {requests_of(view)} AND {opened_in(ask, period)} GROUP BY 1
        """
    )
    assert {outcome: closed for outcome, closed in drawn.items() if closed} == dict(counted)


@each_view
def test_beside_the_curve_stand_the_speed_of_now_and_the_share_that_was_served(site: str, ask: Ask, view: View) -> None:
    text = page(site, view.but(speed=True))
    speed = ask(f"SELECT followed, median_state FROM current_speed WHERE {group_of(view)}")
    assert [f"whenever they were opened (n = {n:,})" in text for n, _ in speed] == [state == "ok" for _, state in speed]
    [(served,)] = ask(
        f"""
        SELECT printf('Service recorded as provided within 30 days: %.1f %% (95 %% interval %.1f %% to %.1f %%, n = %,d)',
                      100 * closed_share, 100 * closed_share_low, 100 * closed_share_high, n)
        FROM outcome_incidence WHERE {group_of(view)} AND period = 'last_12_months' AND day = 30 AND outcome_order = 1
        """
    ) or [(None,)]
    assert ("Service recorded as provided within 30 days" in text) == (served is not None)
    assert served is None or served in text


@pytest.mark.parametrize(
    ("name", "measure"),
    [("areas-open-after-30-days", "open_after_30_days"), ("areas-closings", "closings")],
)
def test_a_comparison_of_areas_is_of_its_measure(release: Release, ask: Ask, name: str, measure: str) -> None:
    drawn = {(row["local_area"], row["n"], row["observed"], row["ratio"]) for row in figure(release, name, View())}
    assert drawn == set(ask("SELECT local_area, n, observed, ratio FROM area_comparison WHERE measure = ?", measure))


@pytest.mark.parametrize("period", ["last_12_months", "2024"])
def test_the_areas_comparison_names_its_own_window_whatever_period_is_chosen(site: str, ask: Ask, period: str) -> None:
    [window] = ask("SELECT DISTINCT opened_from, opened_to FROM area_comparison")
    first, last = (f"{day.day} {day:%B %Y}" for day in map(date.fromisoformat, window))
    [(n,)] = ask("SELECT sum(n) FROM area_comparison WHERE measure = 'closings'")
    assert f"opened {first} to {last}, whatever period is chosen" in page(site, View(AREA, period=period, speed=True))
    assert f"opened {first} to {last} (whatever period is chosen), n = {n:,}." in page(
        site, View(period=period, speed=True)
    )


# -- the sentence at the head of a page --------------------------------------------------------------------------------


def test_the_sentence_says_the_level_and_what_became_of_it_in_52_and_in_13_weeks(site: str, ask: Ask) -> None:
    [(waiting,)] = ask("SELECT count(*) FROM service_requests WHERE status = 'Open'")
    [(volume,)] = ask("SELECT count(*) FROM service_requests")
    text = page(site, View())
    assert (
        f"As of 10 February 2025, {waiting:,} requests are open. "
        "In the 13 weeks to 2 February 2025 the number of those opened since 17 August 2022 rose by 419 (3.3 %); in the same weeks "
        "of earlier years it moved by −20 to +30, so this is more than the season explains: the backlog is growing (as this rule "
        "said in 2.0 % of the last 98 weeks). The largest part: Building and development inquiry (+99 of +419)."
    ) in text
    assert cards_of(text)[0][2] == (
        f"of {volume:,} requests in the record; 13,292 of those opened since 17 August 2022 were open on 2 February 2025, "
        "2,191 more (19.7 %) than the 11,101 of 52 weeks before"
    )


FLOW = {
    "flow": "stable", "weeks_to": "2026-09-20", "net": 419, "net_low": -300, "net_high": 500, "years": 3, "backlog_start": 12873,
    "backlog_end": 13292, "backlog_year_before": 13292, "opened": 1, "closed_in": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({}, "rose by 419 (3.3 %); in the same weeks of earlier years it moved by −300 to +500, so this is about as usual."),
        ({"net": -600}, "fell by 600 (4.7 %); in the same weeks of earlier years it moved by −300 to +500, so this is about as usual."),
        ({"net": 0, "net_low": 5, "net_high": 5, "years": 1}, "did not change; in the same weeks a year before it moved by +5, so"),
        ({"net": 5, "backlog_start": 0}, "rose by 5; in the same weeks of earlier years it moved by −300 to +500, so this is about as usual."),
        ({"flow": "too_short"}, "rose by 419 (3.3 %); the record is too short to say whether that is usual."),
        ({"flow": "too_few"}, "In the 13 weeks to 20 September 2026, 1 request was opened and 4 closed, too few for a trend."),
    ],
)  # fmt: skip
def test_a_change_is_said_beside_that_of_earlier_years(row: dict[str, Any], sentence: str) -> None:
    assert sentence in in_13_weeks(FLOW | row)


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        (13292, "as many as 52 weeks before"),
        (13300, "8 fewer (0.1 %) than the 13,300 of 52 weeks before"),
        (10000, "3,292 more (32.9 %) than the 10,000 of 52 weeks before"),
        (29, "13,263 more than the 29 of 52 weeks before"),
    ],
)
def test_the_level_is_compared_with_the_same_weekday(before: int, sentence: str) -> None:
    were = "13,292 of those opened since 17 August 2022 were open on 20 September 2026, "
    assert since_a_year_before(FLOW | {"backlog_year_before": before}) == were + sentence


# -- is it getting better or worse? ------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", list(VIEWS.values())[2:], ids=list(VIEWS)[2:])
def test_a_page_says_how_many_were_closed_in_time_in_both_years_with_their_limits_and_n(site, ask, view):
    """Whatever period is chosen."""
    [(sentence, last)] = ask(
        f"""SELECT printf('%,d requests opened in the 52 weeks to DAY, %.1f %% (0.0 %% to 96.0 %%) were closed within %d days, '
                          || 'counting those still open; a year before %.1f %% (5.0 %% to 99.0 %%) of %,d: whether they are closed faster '
                          || 'or more slowly can’t be told (−2.3 to +12.0 points, 95 %% interval).',
                          2000 + rowid, rowid / 100.0, horizon_days, 100 - rowid / 100.0, 3000 + rowid), date(as_of, '-7 days')
            FROM speed_on_year WHERE {group_of(view)}"""
    )
    shown = page(site, view.but(period="2024"))
    assert f'<p class="lead">Of {sentence.replace("DAY", words.day(last))}</p>' in shown
    of_kind = "its type" if view.issue else "all requests"
    assert f"nearest to half of {of_kind} in the whole city were closed in the year before" in shown


SPEED = {
    "opened_to": "2026-09-20", "n": 12, "n_year_before": 1100, "horizon_days": 7, "state": "ok", "verdict": None, "share_within": 0.62,
    "share_within_low": 0.58, "share_within_high": 0.66, "share_within_year_before": 0.55, "share_within_year_before_low": 0.5,
    "share_within_year_before_high": 0.6, "share_change_low": 0.006, "share_change_high": 0.134,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "end"),
    [
        ({"verdict": "faster"}, "of 1,100: they are closed faster, by more than chance explains (+0.6 to +13.4 points, 95 % interval)."),
        ({"verdict": "slower"}, "of 1,100: they are closed more slowly, by more than chance explains (+0.6 to +13.4 points, 95 % interval)."),
        ({"verdict": "about the same"}, "of 1,100: about the same (+0.6 to +13.4 points, 95 % interval)."),
        ({"state": "too_short"}, "reach back the 104 weeks to 20 September 2026: there is no year before to compare with."),
        ({"state": "no_requests"}, "opened in the 52 weeks to 20 September 2026, nor in the 52 weeks before: there is no speed to compare."),
        (
            {"state": "too_few"},
            "Too few to compare: 12 opened in the 52 weeks to 20 September 2026, 1,100 a year before. It takes 30 of each that are 7 days old.",
        ),
    ],
)  # fmt: skip
def test_the_speed_is_judged_in_words_or_it_is_said_why_not(row: dict[str, Any], end: str) -> None:
    assert against_the_speed_before(SPEED | row).endswith(end)
