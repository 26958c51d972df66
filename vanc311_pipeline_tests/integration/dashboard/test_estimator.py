"""How long should mine take, and which areas wait longest: each sentence and dot is of its own group, and says no more than its n allows."""

import html
import re

import pytest
import requests

from vanc311_pipeline.charts.waits import waits
from vanc311_pipeline.dashboard.estimator import estimate
from vanc311_pipeline.dashboard.figures import draw
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline_tests.integration.dashboard.conftest import group_of

AREA, ISSUE, RARE = "Kitsilano", "Building and Development Inquiry Case", "Another Case"
PAIR, CITY, FAST = View(AREA, ISSUE), View(None, ISSUE), View(None, "Street Light Out Case")
RECENT = "'last_12_months'"

CURVE = [(0, 133, 0.9), (7, 100, 0.3), (14, 60, 0.08), (30, 5, 0.01)]
WAITS = [(-1, 133, 5, "ok"), (0, 125, 4, "ok"), (1, 120, 5, "ok"), (7, 40, 6, "ok"), (14, 11, None, "too_few")]
AREAS = {"Kitsilano": (40, 36, 44), "Sunset": (12, 4, 20), "Downtown": (3, 2, 5), "West End": (30, 11, None)}
PLANTED = [
    *(
        f"""INSERT INTO time_to_close_curves SELECT 'hyper_local', 'located', '{AREA}', '{ISSUE}', NULL, {RECENT}, {day}, {at_risk}, 0,
            {share}, {share} - 0.01, {share} + 0.02, '2026-01-12'"""
        for day, at_risk, share in CURVE
    ),
    *(
        f"""INSERT INTO waiting_times SELECT 'hyper_local', 'located', '{AREA}', '{ISSUE}', NULL, {RECENT}, {waited}, {followed}, 0.5,
            {further or "NULL"}, {3 if further else "NULL"}, {further or "NULL"}, '{state}', NULL, NULL, NULL, 'too_few',
            NULL, NULL, NULL, 'too_few', '2026-01-12'"""
        for waited, followed, further, state in WAITS
    ),
    f"""UPDATE waiting_times SET further_median = 0, further_median_low = 0, further_median_high = 0, further_median_state = 'ok'
        WHERE {group_of(FAST)} AND period = 'all' AND waited_days = -1""",
    f"UPDATE time_to_close SET median_days = 12, median_low = 10, median_high = 14 WHERE {group_of(CITY)} AND period = {RECENT}",
    f"UPDATE time_to_close SET median_state = 'too_few' WHERE level = 'hyper_local' AND issue_type = '{ISSUE}'",
    *(
        f"""UPDATE time_to_close SET median_days = {days}, median_low = {low}, median_high = {high or "NULL"}, n = {days} * 10,
            median_state = 'ok' WHERE {group_of(View(area, ISSUE))} AND period = {RECENT}"""
        for area, (days, low, high) in AREAS.items()
    ),
    f"UPDATE time_to_close_by_weekday SET issue_type = '{RARE}' WHERE issue_type = '{ISSUE}'",
    *(
        f"""INSERT INTO time_to_close_by_weekday SELECT 'issue', 'all', NULL, '{ISSUE}', NULL, {RECENT}, {weekday}, {weekday} * 100,
            {weekday} + 10, 1, 30, 'ok', 'yes', '2026-01-12'"""
        for weekday in range(1, 8)
    ),
]  # fmt: skip


def of_the_city(ask, day: int, next_day: int) -> str:
    """Of a day between the two, or of the first alone where they are the same."""
    [(n,)] = ask(f"SELECT at_risk FROM time_to_close_curves WHERE {group_of(CITY)} AND period = {RECENT} AND day = 0")
    shares = ask(
        f"""SELECT printf('%.1f %%', 100 - 100 * open_share), printf('%.1f %% to %.1f %%', 100 - 100 * open_share_high,
            100 - 100 * open_share_low) FROM time_to_close_curves WHERE {group_of(CITY)} AND period = {RECENT}
            AND day IN ({day}, {next_day}) ORDER BY day"""
    )
    also = f" and {shares[1][0]} within {next_day} days" if day != next_day else ""
    return (
        f"In all of Vancouver, {shares[0][0]} of those opened in the last 12 months were closed within {day} days{also} "
        f"(n = {n}; 95 % interval{'s' if also else ''} {' and '.join(limits for _, limits in shares)}), counting those still open."
    )


def of_the_area(*days: tuple[str, str, str, str]) -> str:
    day, closed, *_ = days[0]
    also = "".join(f" and {share} % {within}" for within, share, *_ in days[1:])
    limits = " and ".join(f"{low} % to {high} %" for *_, low, high in days)
    return (
        f"In Kitsilano, {closed} % of those opened in the last 12 months were closed {day}{also} (n = 133; 95 % "
        f"interval{'s' if also else ''} {limits}), counting those still open."
    )


AT_ONCE = ("on the day they were opened", "10.0", "8.0", "11.0")
SEVEN = ("within 7 days", "70.0", "68.0", "71.0")
FOURTEEN = ("within 14 days", "92.0", "90.0", "93.0")
OF_SEVEN = (
    "Of those in Kitsilano, opened in the last 12 months, that were still open after 7 days, half were closed within 6 days more "
    "(n = 40; 95 % interval 3 to 6)."
)


@pytest.mark.parametrize(
    ("reported", "answer", "area", "city_days", "further", "weekday"),
    [
        ("2026-01-12", "Waiting since the same day is usual in Kitsilano: fewer than half are closed sooner.",
         [AT_ONCE], None, ["still open at the end of the first day, half were closed within 4 days more (n = 125"], "Monday"),
        ("2026-01-11", "Waiting for 1 day is neither short nor clearly long in Kitsilano: 10.0 % to 70.0 % are closed sooner.",
         [AT_ONCE, SEVEN], None, ["half were closed within 5 days more (n = 120"], "Sunday"),
        ("2026-01-05", "Waiting for 7 days is long in Kitsilano, though not unusual: more than half are closed sooner, but not nine in ten.",
         [SEVEN], (7, 7), [OF_SEVEN], "Monday"),
        ("2026-01-02", "Waiting for 10 days is long in Kitsilano, though not unusual: more than half are closed sooner, perhaps nine in ten.",
         [SEVEN, FOURTEEN], None, [OF_SEVEN, 14], "Friday"),
        ("2025-12-23", "Waiting for 20 days is unusual in Kitsilano: nine in ten are closed sooner. It may be worth asking 3-1-1 again.",
         [FOURTEEN], (14, 21), [14, "Too few were still open after 30 days to say how much longer they took."], "Tuesday"),
        ("2025-12-03", "Waiting for 40 days is unusual in Kitsilano: nine in ten are closed sooner. It may be worth asking 3-1-1 again.",
         [FOURTEEN], (21, 21), ["Too few were still open after 30 days to say how much longer they took."], "Wednesday"),
    ],
)  # fmt: skip
def test_what_one_can_expect_is_told_of_its_area_with_the_city_beside(
    site, ask, reported, answer, area, city_days, further, weekday
):
    view = View(AREA, ISSUE, reported=reported)
    text = html.unescape(requests.get(site + view.url, timeout=60).text)
    told = re.findall(r"<li>(.*?)</li>", text[text.index('id="mine"') :].split("</section>")[0])
    assert f"<strong>{answer}</strong>" in text
    assert told[0] == of_the_area(*area)
    assert city_days is None or told[1] == of_the_city(ask, *city_days)
    number = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"].index(weekday) + 1
    assert told[-1] == (
        f"Weekdays differ: of those opened on a {weekday} in all of Vancouver, half were closed within {number + 10} days "
        f"(n = {number}00)."
    )
    sentences = [of_the_city_after(ask, each) if isinstance(each, int) else each for each in further]
    for sentence, shown in zip(sentences, told[2:-1][: len(sentences)], strict=True):
        assert sentence in shown
    assert f'<a href="{view.url}">Link to this answer</a>' in text
    assert (
        "Of requests of this type in Kitsilano, opened in the last 12 months, that were still open after so many days:"
        in text
    )


def of_the_city_after(ask, waited: int) -> str:
    [(followed, days)] = ask(
        f"""SELECT followed, further_median FROM waiting_times WHERE {group_of(CITY)} AND period = {RECENT}
            AND waited_days = {waited}"""
    )
    return (
        f"Of those in all of Vancouver, opened in the last 12 months, that were still open after {waited} days, half "
        f"were closed within {days} days more (n = {followed};"
    )


def test_one_reported_after_the_end_of_the_record_is_answered_as_one_just_reported(site, release, ask):
    text = requests.get(site + PAIR.but(reported="2026-01-14").url, timeout=60).text
    part = text[text.index('id="mine"') :].split("</section>")[0]
    assert 'value="2026-01-14" max="2027-01-12"' in part
    sentences = re.findall(r"<(?:strong|li)>(.*?)</(?:strong|li)>", part)
    assert [*sentences[:3], sentences[-1]] == [
        "Of those in Kitsilano, opened in the last 12 months, half were closed within 5 days (n = 133; 95 % interval 3 to 5).",
        "The record goes to 12 January 2026: one reported on 14 January 2026 is answered as one just reported.",
        of_the_area(AT_ONCE),
        "Weekdays differ: of those opened on a Wednesday in all of Vancouver, half were closed within 13 days (n = 300).",
    ]
    [(n,)] = ask(f"SELECT followed FROM waiting_times WHERE {group_of(FAST)} AND period = 'all' AND waited_days = -1")
    at_once = f"Of those in all of Vancouver, opened at any time, half were closed on the same day (n = {n})."
    assert estimate(release, FAST.but(reported="2027-01-12")).answer == at_once


def test_where_too_few_were_followed_nothing_is_called_usual(release, ask):
    answer = estimate(release, CITY.but(reported="2025-10-01"))
    assert answer.answer == "Whether waiting for 103 days is usual can’t be said: too few were followed for so long."
    [(area, n)] = ask(
        f"""SELECT local_area, n FROM time_to_close WHERE level = 'hyper_local' AND period = {RECENT} AND n BETWEEN 2 AND 29
            AND issue_type = '{ISSUE}' ORDER BY n LIMIT 1"""
    )
    assert estimate(release, View(area, ISSUE, reported="2025-10-01")).grounds[0] == (
        f"In {area} too few were followed to say when nine in ten are closed (n = {n} opened in the last 12 months), so the answer is "
        "of all of Vancouver."
    )
    [(rare,)] = ask("SELECT min(issue_type) FROM metrics_by_issue WHERE volume = 1")
    answer = estimate(release, View(None, rare, reported="2026-01-01"))
    assert answer.answer.startswith("Too few requests of this type were reported (n = ")
    assert answer.grounds == ()


@pytest.mark.parametrize(
    ("reported", "answer"),
    [
        ("2027-01-13", "13 January 2027 is not in it. Choose a day between, or at most a year later."),
        ("1999-12-31", "to 12 January 2026: 31 December 1999 is not in it."),
        ("2026-02-30", "“2026-02-30” is no day of the calendar."),
        ("<b>yesterday</b> or the day before", "“<b>yesterday</b> or ” is no day of the calendar."),
    ],
)  # fmt: skip
def test_a_day_that_cannot_be_is_refused_kindly(release, reported, answer):
    refusal = estimate(release, CITY.but(reported=reported))
    assert answer in refusal.answer
    assert refusal.grounds == ()


def test_nobody_who_named_no_day_is_told_anything(release):
    assert estimate(release, CITY) is None
    assert estimate(release, View(AREA, reported="2026-01-01")) is None


# -- which areas wait longest ------------------------------------------------------------------------------------------


def test_the_areas_stand_in_the_order_of_their_wait_and_are_told_from_the_city_where_intervals_allow(release):
    figure = draw(release, CITY, "areas-by-wait")
    ranked = sorted(AREAS.items(), key=lambda item: -item[1][0])
    assert figure.rows.astype(object).where(figure.rows.notna(), None).to_numpy()[:, :5].tolist() == [
        [None, 115, 12, 10, 14],
        *([area, days * 10, days, low, high] for area, (days, low, high) in ranked),
    ]
    assert (
        figure.finding
        == "Which areas wait longest? Clearly longer in Kitsilano, clearly shorter in Downtown than in the city."
    )
    assert "3 of 6 pairs of areas can be told apart; all others overlap and cannot be ranked." in figure.note
    assert "opened in the last 12 months: days until half were closed" in figure.note
    assert "in all n = 115." in figure.note
    told = figure.table.set_index("area")["against the city"]
    assert told.to_dict() == {"all of Vancouver": ""} | {
        area: {AREA: "clearly longer", "Downtown": "clearly shorter"}.get(area, "can’t be told") for area in AREAS
    }
    [axis] = {row["end"] for row in figure.chart()["datasets"]["rows"]}
    assert axis == pytest.approx(1.05 * max(day for days in AREAS.values() for day in days if day))


def waiting(area: str, days: int, low: int, high: int | None) -> dict[str, object]:
    quantile = {"median_days": days, "median_low": low, "median_high": high, "median_state": "ok"}
    return {"local_area": area, "n": 100, "period": "all", "as_of": "2026-01-12"} | quantile


def test_what_overlaps_is_not_ranked():
    city = waiting("", 5, 5, 5)
    alike = waits([waiting("A", 6, 5, 9), waiting("B", 4, 3, 5)], city, "Pothole")
    assert alike.finding == "Which areas wait longest? No area can be told from the city."
    assert "Their intervals overlap: the areas cannot be ranked." in alike.note
    assert list(alike.table["95 % interval"]) == ["5 to 5", "5 to 9", "3 to 5"]
    many = waits([waiting(letter, 9, 8, None) for letter in "ABCDEFG"], city, "Pothole")
    assert many.finding.endswith("Clearly longer in A, B, C, D, E and 2 more than in the city.")
    assert list(many.table["95 % interval"])[1:] == ["8 to not reached"] * 7
    assert waits([waiting("A", 9, 8, 9) | {"median_state": "too_few"}], city, "Pothole").notes == (
        "Too few requests: A.",
    )
    assert many.notes == ("An arrow: the upper end of the interval is not reached.",)


def test_why_a_long_bar_is_not_named_as_longer_is_said():
    city, long = waiting("", 5, 5, 5), waiting("B", 9, 8, 9)
    wide = [waiting("A", 43, 4, 50), long, waiting("C", 8, 2, 9)]
    assert "A is not called longer, although areas below are: its interval is too wide." in waits(wide, city, "P").note
    wider = [*wide, waiting("D", 10, 5, 11)]
    assert (
        "A and D are not called longer, although areas below are: their intervals are too wide."
        in waits(wider, city, "P").note
    )
    assert "not called longer" not in waits([long, wide[2]], city, "P").note


@pytest.mark.parametrize("spelling", ["20260101", "2026-W01-4", " 2026-01-01 "])
def test_a_day_has_one_address(site, spelling):
    led = requests.get(f"{site}{CITY.url}", {"reported": spelling}, timeout=60, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (308, CITY.but(reported="2026-01-01").url)
