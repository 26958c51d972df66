"""Side by side, by department, and what changed most: each number is of its own group, and no difference is said that chance may be."""

import csv
import html
import io
import re

import openpyxl
import pytest
import requests

from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.compare import Axis, Dot, compared
from vanc311_pipeline.dashboard.departments import better_or_worse, grown_beyond_chance, summary, types
from vanc311_pipeline.dashboard.tables import changed_most
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline_tests.integration.dashboard.conftest import Ask, group_of, requests_of, served
from vanc311_pipeline_tests.integration.planting import execute

AREA, OTHER, ISSUE = "Kitsilano", "Sunset", "Building and Development Inquiry Case"
LEFT, RIGHT, CITY = View(AREA), View(OTHER), View()
RECENT = "'last_12_months'"
PLANTED = [
    *(
        f"""UPDATE time_to_close SET {name}_days = {days}, {name}_low = {low}, {name}_high = {high}, {name}_state = 'ok', n = {n}
            WHERE {group_of(view)} AND period = {RECENT}"""
        for view, n, name, days, low, high in (
            (LEFT, 500, "median", 9, 8, 10), (RIGHT, 700, "median", 5, 4, 7), (CITY, 9000, "median", 8, 7, 8),
            (LEFT, 500, "p90", 30, 20, 40), (RIGHT, 700, "p90", 35, 40, "NULL"), (CITY, 9000, "p90", 41, 41, 41),
        )
    ),
    *(f"DELETE FROM time_to_close_curves WHERE {group_of(view)} AND period = {RECENT}" for view in (LEFT, RIGHT, CITY)),
    *(
        f"""INSERT INTO time_to_close_curves SELECT '{view.level}', '{view.counted}', {f"'{view.area}'" if view.area else "NULL"}, NULL, NULL,
            {RECENT}, {day}, {at_risk}, 0, {share}, {share} - 0.02, {share} + 0.01, '2026-01-12'"""
        for view, points in (
            (LEFT, [(0, 500, 0.9), (7, 400, 0.5), (30, 90, 0.2), (90, 20, 0.1)]),
            (RIGHT, [(0, 700, 0.8), (7, 600, 0.4), (30, 99, 0.15), (90, 20, 0.1)]),
            (CITY, [(0, 9000, 0.8), (7, 6000, 0.45), (30, 999, 0.19), (90, 20, 0.04)]),
        )
        for day, at_risk, share in points
    ),
    "UPDATE speed_on_year SET horizon_days = CASE level WHEN 'citywide' THEN 30 ELSE 90 END",
    "UPDATE year_on_year SET q_value = 0.5, verdict = 'about as many' WHERE state = 'ok'",
    f"""UPDATE year_on_year SET requests = 90, requests_year_before = 40, verdict = 'more', q_value = 0.05, state = 'ok', noise_band = 0.2
        WHERE level = 'issue' AND scope = 'all' AND measure = 'opened' AND issue_type = '{ISSUE}'""",
    """UPDATE year_on_year SET requests = 20, requests_year_before = 100, verdict = 'fewer', q_value = 0.001, state = 'ok', noise_band = 0.2
       WHERE level = 'issue' AND scope = 'all' AND measure = 'opened' AND issue_type = 'Street Light Out Case'""",
    """UPDATE year_on_year SET requests = 500, requests_year_before = 10, verdict = 'more', q_value = 0.06, state = 'ok', noise_band = 0.2
       WHERE level = 'issue' AND scope = 'all' AND measure = 'opened' AND issue_type = 'Garbage Bin Request Case'""",
]  # fmt: skip


def rows_of(release, left: View, right: View) -> dict[str, tuple[str, str, str]]:
    return {
        row["label"].split(",")[0]: (row["left"].text, row["right"].text, row["difference"])
        for row in compared(release, (left, right))
    }


def test_both_stand_with_their_own_numbers_and_a_difference_only_beyond_chance(release, ask):
    rows = rows_of(release, LEFT, RIGHT)
    waiting = [
        f"{ask(f'SELECT sum(status = {chr(39)}Open{chr(39)}) FROM service_requests WHERE {requests_of(view)}')[0][0]:,}"
        for view in (LEFT, RIGHT)
    ]
    assert rows["open now"] == (*waiting, "–")
    (now, before), (now_there, before_there) = (
        ask(f"SELECT requests, requests_year_before FROM year_on_year WHERE {group_of(view)} AND measure = 'opened'")[0]
        for view in (LEFT, RIGHT)
    )
    assert rows["reported"] == (f"{now:,}", f"{now_there:,}", "–")
    on_year = rows["against the same four weeks a year before"]
    assert [re.findall(r"[\d,]+", text)[0] for text in on_year[:2]] == [f"{before:,}", f"{before_there:,}"]
    assert rows["half closed within"] == (
        "9 days, 95 % interval 8 to 10, n = 500", "5 days, 95 % interval 4 to 7, n = 700", "longer in Kitsilano, beyond chance",
    )  # fmt: skip
    assert rows["nine in ten closed within"] == (
        "30 days, 95 % interval 20 to 40, n = 500", "35 days, 95 % interval 40 to not reached, n = 700", "can’t be told apart",
    )  # fmt: skip
    assert rows["closed within 30 days"] == (
        "80.0 %, 95 % interval 79.0 % to 82.0 %, n = 500", "85.0 %, 95 % interval 84.0 % to 87.0 %, n = 700", "more in Sunset, beyond chance",
    )  # fmt: skip


def test_an_area_stands_beside_the_city(release):
    rows = rows_of(release, RIGHT, CITY)
    assert rows["half closed within"][1:] == ("8 days, 95 % interval 7 to 8, n = 9,000", "can’t be told apart")
    assert rows["nine in ten closed within"][2] == "can’t be told apart"
    assert rows["closed within 30 days"][1:] == (
        "81.0 %, 95 % interval 80.0 % to 83.0 %, n = 9,000",
        "more in Sunset, beyond chance",
    )
    assert rows_of(release, LEFT, CITY)["closed within 30 days"][2] == "can’t be told apart"


def test_what_is_not_known_of_one_is_not_compared(release):
    rows = rows_of(release, View(OTHER, "Street Light Out Case"), View(None, "Street Light Out Case"))
    assert rows["half closed within"][0].startswith("too few, n = ")
    assert {row[2] for row in rows.values()} == {"–"}


@pytest.mark.parametrize(
    ("asked", "canonical"),
    [
        ("/compare?right=sunset&left=Kitsilano&issue=", "/compare?left=kitsilano&right=sunset"),
        ("/compare?left=&right=sunset", "/compare?left=sunset"),
        ("/compare?left=sunset&right=sunset", "/compare?left=sunset"),
        ("/compare?left=&right=&issue=", "/compare"),
        ("/compare?issue=street-light-out", "/compare"),
        ("/compare?issue=Street+Light+Out+Case&left=sunset", "/compare?left=sunset&issue=street-light-out"),
    ],
)
def test_a_comparison_has_one_address(site, asked, canonical):
    led = requests.get(site + asked, timeout=60, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (308, canonical)
    assert requests.get(site + canonical, timeout=60).status_code == 200


def test_the_page_shows_the_rows_and_both_on_one_axis(site, release):
    text = html.unescape(requests.get(f"{site}/compare?left=kitsilano&right=sunset", timeout=60).text)
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", text[text.index("<tbody>") : text.index("</tbody>")])
    assert cells == [
        part
        for row in compared(release, (LEFT, RIGHT))
        for part in (row["label"], row["left"].text, row["right"].text, row["difference"])
    ]
    drawn = re.findall(r"<title>(.*?): .*?x1=\"([\d.]+)%\" x2=\"([\d.]+)%\".*?cx=\"([\d.]+)%\"", text)
    assert [(name, *map(float, places)) for name, *places in drawn] == [
        ("Kitsilano", *(pytest.approx(3 + 92 * days / 10) for days in (8, 10, 9))),
        ("Sunset", *(pytest.approx(3 + 92 * days / 10) for days in (4, 7, 5))),
    ]


def test_the_drawing_has_its_source_its_link_and_a_sentence_to_quote(site, ask):
    [(as_of, meaning)] = ask("SELECT as_of, meaning FROM release, metric_definitions WHERE metric = 'median_days'")
    text = html.unescape(requests.get(f"{site}/compare?left=kitsilano&right=sunset", timeout=60).text)
    part = text[text.index("<svg") : text.index("</section>", text.index("<svg"))]
    source = f"City of Vancouver, 3-1-1{{}}as of {words.day(as_of)}."
    assert f'<p class="source">Source: {source.format(" · ")}</p>' in part
    assert part.count(meaning) == 2
    assert '<a data-copy="link" href="/compare?left=kitsilano&right=sunset#axis">' in part
    [sentence] = re.findall('<span data-copy="sentence with its source">(.*?)</span>', part)
    assert sentence.startswith(
        "Kitsilano, half closed within: 9 days, 95 % interval 8 to 10, n = 500; Sunset: 5 days, 95 % interval 4 to 7, n = 700; "
        "longer in Kitsilano, beyond chance; opened in the last 12 months. Meant: "
    )
    assert f" Closed does not mean fixed. Source: {source.format(', ')} " in sentence


@pytest.mark.parametrize("most", [0, 1, 7, 44, 365])
def test_the_axis_has_whole_ticks_and_ends_beyond_the_last_interval(most):
    axis = Axis((Dot("all of Vancouver", "/", 0, 0, most, ""),))
    assert len(axis.ticks) <= 7
    assert axis.top >= most
    assert len({after - before for before, after in zip(axis.ticks, axis.ticks[1:], strict=False)}) == 1


# -- departments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", ["2024", "all", "last_12_months"])
def test_a_department_has_its_own_types_with_what_came_in_and_what_waits(release, ask: Ask, period):
    [(first, last)] = ask("SELECT opened_from, opened_to FROM periods WHERE period = ?", period)
    labels = [
        label for (label,) in ask("SELECT DISTINCT department FROM service_requests WHERE department LIKE 'ENG - %'")
    ]
    expected = {
        issue: (reported, waiting)
        for issue, reported, waiting in ask(
            """SELECT issue_type, sum(opened_on BETWEEN ? AND ?), sum(status = 'Open') FROM service_requests
               WHERE department LIKE 'ENG - %' GROUP BY 1""", first, last,
        )
    }  # fmt: skip
    rows = types(release, labels, period)
    assert {row["issue_type"]: (row["volume"], row["open"]) for row in rows} == expected
    volumes = [row["volume"] for row in rows]
    assert volumes == sorted(volumes, reverse=True)
    reported, waiting = (sum(numbers) for numbers in zip(*expected.values(), strict=True))
    period_in_words = {"2024": "in 2024", "all": "at any time", "last_12_months": "in the last 12 months"}[period]
    assert summary(rows, period).startswith(
        f"{reported:,} requests were opened {period_in_words}. {waiting:,} requests are open, and "
    )
    assert {row["name"].link for row in rows} == {View(issue=row["issue_type"], period=period).url for row in rows}


def test_how_many_are_overdue_agrees_with_their_number():
    row = {"volume": 1, "open": 1, "overdue": 1}
    assert summary([row], "2024") == "1 request was opened in 2024. 1 request is open, and 1 of them is overdue."
    rows = [row | {"volume": 2, "overdue": 0}, row | {"overdue": 2}, row | {"overdue": None}]
    assert "3 requests are open, and 2 of them are overdue" in summary(rows, "all")
    assert "and none of them is overdue" in summary([row | {"overdue": 0}], "all")


def test_a_branch_leads_to_its_list_and_keeps_its_period(site):
    text = requests.get(f"{site}/departments/eng-sanitation-services?period=2024", timeout=60).text
    assert '<a href="/departments/eng-sanitation-services?period=2024" aria-current="true">in 2024</a>' in text
    assert 'A branch of <a href="/departments/eng?period=2024">Engineering</a>' in text
    [link] = re.findall(r'href="(/requests[?][^"]*)">Its open requests', text)
    assert html.unescape(link) == "/requests?department=eng-sanitation-services&status=open&order=overdue"
    led = requests.get(f"{site}/departments/eng?period=last_12_months", timeout=60, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (308, "/departments/eng")


def test_what_is_open_and_what_is_overdue_of_a_type_leads_to_its_list(site):
    page = requests.get(f"{site}/departments/eng?period=last_90_days", timeout=60).text
    links = re.findall(r'<td[^>]*><a href="/requests([?][^"]*)">([\d,]+)</a>', page)
    for lists in ([link for link in links if ("overdue=yes" in link[0]) == overdue] for overdue in (False, True)):
        query, number = max(lists, key=lambda link: int(link[1]))
        listed = csv.reader(requests.get(f"{site}/requests.csv{html.unescape(query)}", timeout=60).text.splitlines())
        assert len(list(listed)) == 1 + int(number)


@pytest.mark.parametrize(
    ("called", "like"), [("eng", "ENG - %"), ("eng-sanitation-services", "ENG - Sanitation Services")]
)
def test_in_which_ways_a_departments_own_requests_were_reported_adds_up(site, ask, called, like):
    counted = ask(
        """SELECT iif(channel = 'WEB', 'Web', channel), count(*) FROM service_requests, periods
               WHERE period = 'last_12_months' AND department LIKE ? AND opened_on BETWEEN opened_from AND opened_to
           GROUP BY 1 ORDER BY 2 DESC, 1""",
        like,
    )
    n = sum(number for _, number in counted)
    page = html.unescape(requests.get(f"{site}/departments/{called}", timeout=60).text)
    part = page[page.index(f"<h2>Most are reported by {counted[0][0]}: {counted[0][1]:,} of {n:,} requests") :]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", part[part.index("<tbody>") : part.index("</tbody>")])
    assert list(zip(cells[::3], cells[1::3], cells[2::3], strict=True)) == [
        (channel, f"{number:,}", f"{100 * number / n:.1f} %") for channel, number in counted
    ]


def test_a_whole_month_of_a_group_is_counted_from_its_requests_on_its_page_and_in_its_workbook(site, ask):
    month, before = ask(
        "SELECT max(month), date(max(month) || '-01', '-1 year') FROM monthly_series WHERE provisional = 'no'"
    )[0]
    counted = ask(
        """SELECT sum(open_month = ?), sum(open_month = ?), sum(substr(closed_on, 1, 7) = ? AND status = 'Close'),
                  sum(opened_on < date(? || '-01', '+1 month') AND status IN ('Open', 'Close')
                      AND coalesce(max(closed_on, opened_on), '9999') >= date(? || '-01', '+1 month'))
           FROM service_requests WHERE department LIKE 'ENG - %' AND (status = 'Open' OR closed_on IS NOT NULL)""",
        month, before[:7], month, month, month,
    )[0]  # fmt: skip
    opened, year_before, closed, waiting = counted
    page = html.unescape(requests.get(f"{site}/departments/eng?month={month}", timeout=60).text)
    assert (
        f"In {words.month(month)}, {opened:,} requests were opened ({year_before:,} a year before) and {closed:,} closed; "
        f"{waiting:,} were open at its end."
    ) in page
    assert f'<option value="{month}" selected>' in page
    file = requests.get(f"{site}/departments/eng.xlsx?month={month}", timeout=60)
    sheet, notes = openpyxl.load_workbook(io.BytesIO(file.content)).worksheets
    head, *rows = sheet.iter_rows(values_only=True)
    by_type = dict(
        ask(
            "SELECT issue_type, count(*) FROM service_requests WHERE department LIKE 'ENG - %' AND open_month = ? GROUP BY 1",
            month,
        )
    )
    assert {row[0]: row[head.index("opened")] for row in rows if row[head.index("opened")]} == by_type
    assert [row[0].value for row in notes.iter_rows()][:2] == ["What", "In short"]
    led = requests.get(f"{site}/departments/eng?month=1999-01", timeout=60, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (308, "/departments/eng")


def test_what_grew_and_what_is_closed_faster_is_said_only_beyond_chance(release, ask):
    labels = sorted(
        {label for (label,) in ask("SELECT DISTINCT department FROM speed_on_year WHERE department LIKE 'ENG - %'")}
    )
    counts = dict(
        ask("SELECT verdict, count(*) FROM speed_on_year WHERE scope = 'all' AND department LIKE 'ENG - %' GROUP BY 1")
    )
    sentence = better_or_worse(release, labels)
    same, judged = (
        sum(counts.get(verdict, 0) for verdict in some)
        for some in (["about the same"], ["about the same", "faster", "slower"])
    )
    assert f"about as fast in {same}; of the other {len(labels) - judged} it can’t be told." in sentence
    assert better_or_worse(release, labels[:1]).startswith(("Of ", "Too few", "The record", "None was"))
    [(branch,)] = ask(
        "SELECT department FROM service_requests WHERE issue_type = ? ORDER BY opened_on DESC LIMIT 1", ISSUE
    )
    assert grown_beyond_chance(release, [branch]).endswith(
        f"(q ≤ 0.05 over all types): {plain('issue', ISSUE)} (40 to 90)."
    )
    assert grown_beyond_chance(release, ["ENG - Parking Management"]).startswith("None of its types was reported more")


# -- what changed most -------------------------------------------------------------------------------------------------


def test_what_changed_most_is_beyond_chance_and_the_largest_difference_comes_first(site, release, ask):
    rows, looked_at = changed_most(release, CITY)
    assert [(row["issue"].text, row["requests_year_before"], row["requests"], row["change"].text) for row in rows] == [
        (plain("issue", "Street Light Out Case"), 100, 20, "80 % fewer"), (plain("issue", ISSUE), 40, 90, "125 % more"),
    ]  # fmt: skip
    known = "SELECT count(*) FROM year_on_year WHERE level = 'issue' AND scope = 'all' AND measure = 'opened' AND state = 'ok'"
    assert [(looked_at,)] == ask(known)
    text = requests.get(site, timeout=60).text
    assert f"Of {looked_at} types with enough requests, 2 differ by more than years commonly do" in text


def test_where_nothing_changed_beyond_chance_nothing_stands_out(own_file):
    execute(own_file, "UPDATE year_on_year SET q_value = 0.051 WHERE state = 'ok'")
    with served(own_file) as address:
        text = requests.get(address, timeout=60).text
    assert "Nothing stands out against a year before" in text
    assert "types with enough requests, none differ by more than" in text
