"""Claims about the figures: what they draw is what their rows say, and they say n, as_of and what is left out."""

import math
import re
import struct
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from vanc311_pipeline.charts import areas, groups, reported, waits
from vanc311_pipeline.charts.figure import SIZES, config
from vanc311_pipeline.metric_definitions import METRICS
from vanc311_pipeline.settings import LICENCE

AS_OF = "2026-01-12"
LIGHT = {
    "ink": "#1b1f24", "quiet": "#59636e", "rule": "#d8dee4", "paper": "#ffffff", "mark": "#0072b2", "mark-2": "#b34a00", "mark-3": "#8f4e77",
}  # fmt: skip
TOLD = {
    "opened-and-closed": r"(November|December) 2025: \d+ opened, \d+ closed$|January 2026: 7 opened, 40 closed$",
    "closed-within": r"November 2025: 90.0% closed within 30 days \(n = 50\)$",
    "backlog": r"\d+ \w+ 202[4-6]: \d+ open$",
    "time-to-close": r"\d+\.\d% still open after \d+ days? \(\d+ followed so long\)$",
    "backlog-by-age": r"[\w -]+ days: \d+ open \(\d+\.\d%\)$",
    "outcomes": r"[\w ]+: \d+\.\d% \(\d+\.\d% to \d+\.\d%\), \d+ requests$",
    "areas-by-wait": r"(Sunset|all of Vancouver): half closed within \d days \(\d to (4|not reached)\), n = \d+$",
    "reported-when": r"(Monday, 0 to 1|Sunday, 23 to 24): (1 request|29 requests)$",
    "channels": r"(WEB: 20 requests \(66\.7 %\)|Phone: 10 requests \(33\.3 %\))$",
    "areas-closings": r"(Sunset|Marpole): \d\.\d\d times as many as expected \(\d\.\d\d to \d\.\d\d\), n = \d+: [a-z ]+$",
}


def months(*names, **columns):
    """Rows of `monthly_series`: 50 opened and 40 closed in each month, nine in ten of them within 30 days, but for some columns."""
    usual = {
        "opened": 50,
        "closed_in": 40,
        "open_at_end": 12,
        "provisional": "no",
        "share_30": 0.9,
        "share_30_state": "ok",
        "n_30": 50,
    }
    rows = pd.DataFrame({"month": names} | usual | columns).assign(as_of=AS_OF)
    share = rows["share_30"]
    return rows.assign(within_30=share * rows["n_30"], share_30_low=share - 0.1, share_30_high=share + 0.05)


NOT_YET = {"share_30": [0.9, None, None], "share_30_state": ["ok", "immature", "immature"]}
MONTHS = months(
    "2025-11", "2025-12", "2026-01", opened=[50, 301, 7], closed_in=[40, 288, 40], provisional=["no", "no", "yes"], **NOT_YET
)  # fmt: skip
DAYS = pd.DataFrame(
    {"day": pd.date_range("2024-09-05", AS_OF).strftime("%Y-%m-%d"), "opened": 2, "closed_in": 1, "as_of": AS_OF}
)
DAYS["backlog"] = DAYS.index + 1
DAYS["understated"] = np.where(DAYS["backlog"] < 100, "yes", "no")
DAYS["provisional"] = np.where(DAYS["backlog"] > 494, "yes", "no")
OPEN = np.array([40, 30, 10, 8, 12, 0])
BANDS = pd.DataFrame(
    {"age_band": ["0-7", "8-30", "31-90", "91-365", "over 365", "opened after as_of"], "band_order": range(1, 7), "open_requests": OPEN,
     "located": OPEN, "n_static": [0, 0, 0, 0, 3, 0], "share_of_open": OPEN / 100, "as_of": AS_OF}
)  # fmt: skip
CLOSED_AS = np.array([60, 40])
OUTCOMES = pd.DataFrame(
    {"outcome": ["Service recorded as provided", "Handed off or planned"], "outcome_order": [1, 2], "closed_as": CLOSED_AS, "closed": 100,
     "open_requests": 7, "period": "2025", "outcome_share": CLOSED_AS / 100, "outcome_share_low": CLOSED_AS / 120,
     "outcome_share_high": CLOSED_AS / 90, "state": "ok", "as_of": AS_OF}
)  # fmt: skip
AT_RISK = np.array([40, 30, 12, 6, 1])
CURVE = pd.DataFrame(
    {"day": [0, 1, 7, 30, 730], "at_risk": AT_RISK, "closed_by": 40 - AT_RISK, "open_share": AT_RISK / 40, "open_share_low": AT_RISK / 45,
     "open_share_high": AT_RISK / 38}
)  # fmt: skip
SUMMARY = {
    "period": "last_12_months", "n": 40, "still_open": 4, "as_of": AS_OF, "followed_days": 730,
    "median_days": 3, "median_state": "ok", "p90_days": 18, "p90_state": "ok",
    "n_static": 0, "n_after_as_of": 0, "n_negative": 2, "n_closed_without_date": 0,
}  # fmt: skip
RATIO = np.array([1.0, 1.75, np.nan])
AREAS = pd.DataFrame(
    {"measure": "closings", "local_area": ["Sunset", "Marpole", "Strathcona"], "opened_from": "2024-12-14", "opened_to": "2025-12-13",
     "n": [100, 120, 4], "observed": [90, 90, 1], "expected": 90 / RATIO, "ratio": RATIO, "ratio_low": RATIO * 0.8, "ratio_high": RATIO * 1.2,
     "shrunken_ratio": RATIO**0.9, "verdict": ["about the same", "clearly more", None], "among_areas": ["within", "outside", None],
     "state": ["ok", "ok", "too_few"], "tau": [0.15, 0.15, None], "se_log_ratio": [0.05, 0.05, None], "as_of": AS_OF}
)  # fmt: skip
CITY = {
    "local_area": None,
    "n": 90,
    "median_days": 3,
    "median_low": 2,
    "median_high": 4,
    "median_state": "ok",
    "period": "2025",
    "as_of": AS_OF,
}
SUNSET = CITY | {"local_area": "Sunset", "n": 40, "median_days": 8, "median_low": 5, "median_high": None}
HOURS = pd.DataFrame({"weekday": [1, 7], "hour": [0, 23], "requests": [1, 29], "as_of": AS_OF})
CHANNELS = pd.DataFrame({"channel": ["Phone", "WEB"], "requests": [10, 20], "volume": 30, "as_of": AS_OF})

FIGURES = [
    groups.opened_and_closed(MONTHS, "Kitsilano"), groups.closed_within(MONTHS, "Kitsilano", 30),
    groups.backlog(DAYS, "Kitsilano"), groups.by_age(BANDS, "Kitsilano"), groups.outcomes(OUTCOMES, "Kitsilano"),
    groups.curve(CURVE, SUMMARY, "Kitsilano"),
    waits.waits([SUNSET], CITY, "Pothole"), reported.times(HOURS, "Kitsilano"), reported.channels(CHANNELS, "Kitsilano", str),
    areas.comparison(AREAS),
]  # fmt: skip
each_figure = pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)


def drawn(figure) -> list[dict]:
    """Every row in the specification."""
    return [row for rows in figure.chart()["datasets"].values() for row in rows]


@each_figure
def test_a_figure_says_what_it_shows_of_whom_and_as_of_when(figure):
    assert figure.finding.endswith(".")
    assert "12 January 2026" in figure.description
    assert figure.description.endswith("Source: City of Vancouver, 3-1-1 · as of 12 January 2026.")
    assert METRICS[figure.metric].definition in figure.meaning
    assert figure.specification("wide")["description"] == figure.description


@each_figure
def test_a_picture_that_stands_alone_carries_its_sentence_its_note_its_source_and_the_licence(figure):
    title = figure.specification("light")["title"]
    assert " ".join(title["text"]) == figure.finding
    assert " ".join(title["subtitle"]) == " ".join((figure.note, *figure.notes, figure.source, LICENCE))
    assert "title" not in figure.specification("wide")


@each_figure
def test_a_picture_of_a_fixed_size_says_n_as_of_the_release_source_and_licence_in_what_is_left_of_its_words(figure):
    long = replace(figure, notes=("A note as long as a page. " * 50,), release="Release 2026-01-12.0123.")
    for mode in SIZES:
        specification = long.specification(mode)
        lines = specification["title"]["subtitle"]
        assert lines[-3:] == [figure.source, long.release, LICENCE]
        assert re.search(r"\bn = \d", " ".join((*specification["title"]["text"], *lines)))
        assert len(lines) <= 6
        assert lines[2].endswith(" …")
    assert struct.unpack(">II", long.png("card")[16:24]) == SIZES["card"]


@each_figure
def test_light_and_dark_differ_in_colours_and_in_nothing_else(figure):
    light, dark = figure.specification("light"), figure.specification("dark")
    assert light.pop("config") != dark.pop("config")
    assert light == dark


@each_figure
def test_in_a_page_every_colour_is_the_pages_and_without_one_it_is_the_light_one(figure):
    colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', figure.svg("wide"))) - {"none", "transparent"}
    assert colours <= {f"var(--{name}, {colour})" for name, colour in LIGHT.items()}
    assert not figure.empty


@each_figure
def test_what_is_pointed_at_is_told_in_words_and_no_mark_by_its_first_row_alone(figure):
    told = re.findall(r'aria-label="([^"]*)" role="graphics-symbol"', figure.svg("narrow"))
    assert told
    assert all(re.match(TOLD.get(figure.name, ""), text) for text in told), told


WORST = [
    *FIGURES, groups.by_age(BANDS.assign(open_requests=OPEN * 2_000), "Kitsilano"),
    waits.waits([SUNSET | {"local_area": "Kensington-Cedar Cottage"}], CITY, "Pothole"),
    areas.comparison(AREAS.assign(local_area=["Sunset", "Kensington-Cedar Cottage", "Strathcona"])),
]  # fmt: skip


def texts(node, x=0.0):
    """Each text of a picture that is not turned, with its left and its right end, by 6.5 units a character, which is rather too much."""
    moved = re.match(r"translate\(([-\d.]+),[-\d.]+\)(.*)", node.get("transform", ""))
    x += float(moved[1]) if moved else 0
    if node.tag.endswith("}text") and not moved[2] and node.get("opacity") != "0":
        text = max((line.text for line in node if line.text), key=len, default=node.text)
        left = x - 6.5 * len(text) * {"start": 0, "middle": 0.5, "end": 1}[node.get("text-anchor")]
        yield text, left, left + 6.5 * len(text)
    for child in node:
        yield from texts(child, x)


@pytest.mark.parametrize("mode", ["narrow", "wide"])
@pytest.mark.parametrize("figure", WORST, ids=lambda figure: figure.name)
def test_every_text_lies_within_the_picture_and_is_whole(figure, mode):
    """A phone showed "59" for 59.4 %, half of the titles of axes, and "Service recorde…"."""
    picture = ElementTree.fromstring(figure.svg(mode))
    lines = list(texts(picture))
    assert len(lines) > 5
    assert not [line for line in lines if "…" in line[0] or line[1] < -6 or line[2] > float(picture.get("width")) + 6]


@each_figure
def test_a_table_for_reading_has_at_most_24_rows_below_plain_headings(figure):
    assert 0 < len(figure.table) <= 24
    assert not [name for name in figure.table.columns if "_" in name]


def test_in_a_table_the_newest_stand_first_and_days_are_summed_to_months():
    assert list(FIGURES[0].table["month"]) == ["2026-01", "2025-12", "2025-11"]
    backlog = FIGURES[2].table
    assert list(backlog["month"])[:2] == ["2026-01", "2025-12"]
    assert list(backlog["opened"])[:2] == [2 * 12, 2 * 31]
    assert list(backlog["open at the end"])[:2] == [495, 495 - 12]
    curve = FIGURES[5].table
    assert list(curve["days after opening"]) == [0, 1, 3, 7, 14, 30]
    assert list(curve["followed so long"]) == [40, 30, 30, 12, 12, 6]
    assert list(curve["share"])[:2] == ["100.0 %", "75.0 %"]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 5, 12])
def test_counts_have_whole_ticks_each_once(most):
    """B17: "0 1 1 2 2"."""
    few = groups.opened_and_closed(months("2025-11", "2025-12", opened=most, closed_in=0), "Kitsilano")
    bands = groups.by_age(BANDS.assign(open_requests=[most, 0, 0, 0, 0, 0]), "Kitsilano")
    for figure in (few, bands):
        ticks = [
            text
            for text in re.findall(r">([^<>]*)</text>", figure.svg("wide").partition("role-axis-title")[0])
            if text.isdigit()
        ]
        assert len(ticks) == len(set(ticks))


def test_lines_are_labelled_at_their_ends_apart_even_where_they_meet():
    same = groups.opened_and_closed(months("2025-11", "2025-12", opened=[5, 7], closed_in=[3, 7]), "Kitsilano")
    labels = re.findall(r',([-\d.]+)\)"[^>]*>(opened|closed)</text>', same.svg("wide"))
    places = {name: float(y) for y, name in labels}
    assert places["closed"] - places["opened"] >= 8


def test_what_was_opened_and_closed_is_drawn_month_by_month_and_the_finding_is_the_last_complete_month():
    figure = FIGURES[0]
    assert [(row["month"], row["opened"], row["closed"]) for row in drawn(figure)] == [
        ("2025-11", 50, 40), ("2025-12", 301, 288), ("2026-01", 7, 40),
    ]  # fmt: skip
    assert figure.finding == "In December 2025, 301 requests were opened and 288 closed."
    assert figure.notes == (groups.PROVISIONAL,)


def test_an_immature_month_is_counted_in_words_and_not_drawn():
    figure = FIGURES[1]
    assert [row["month"] for row in drawn(figure)] == ["2025-11"]
    assert figure.notes == ("Not shown: 2 months whose youngest requests are not yet 30 days old.",)
    assert figure.finding == "90.0 % of the requests opened in November 2025 were closed within 30 days (n = 50)."


def test_without_a_mature_month_the_figure_says_so():
    figure = groups.closed_within(MONTHS[1:], "Kitsilano", 30)
    assert (
        figure.finding
        == "Neither the last three months nor the last 12 together have 30 requests that are 30 days old."
    )


def test_where_the_newest_months_are_too_small_the_last_12_are_pooled_and_an_old_month_is_not_quoted():
    """E16: "100.0 % of the requests opened in July 2023", three years later."""
    small = months("2025-01", "2025-06", "2025-11", share_30_state="too_few", n_30=20, share_30=0.95)
    figure = groups.closed_within(pd.concat([months("2023-07"), small]), "Kitsilano", 30)
    assert figure.finding == (
        "Of the 60 requests opened in the 12 months to November 2025, 95.0 % were closed within 30 days. "
        "The newest months are too small alone."
    )


def test_the_backlog_is_drawn_each_sunday_and_each_day_since_the_last_settled_one_from_the_day_on_which_the_record_is_long_enough():
    figure = FIGURES[2]
    assert len(figure.rows) == (DAYS["understated"] == "no").sum()
    assert [row["backlog"] for row in drawn(figure)] == [*range(102, 495, 7), 495]
    assert {row["backlog"]: row["label"] for row in drawn(figure) if row["label"]} == {130: "130", 494: "494"}
    assert figure.finding == "494 requests were open at the end of 11 January 2026, 364 more than 52 weeks before."
    assert "Days before 2023-08-17 are left out" in figure.notes[1]


def test_the_bands_of_age_are_drawn_without_the_empty_one_and_static_ones_are_said():
    figure = FIGURES[3]
    assert [row["age_band"] for row in drawn(figure)] == ["0-7", "8-30", "31-90", "91-365", "over 365"]
    assert figure.finding == "Of 100 requests that are open, 12 (12.0 %) have been open for over a year."
    assert figure.notes[0].startswith("3 of them were opened before 2022-08-17")
    assert groups.by_age(BANDS.assign(open_requests=0, n_static=0), "Kitsilano").finding == "No request is open."


def test_outcomes_have_their_denominator_beside_them():
    figure = FIGURES[4]
    assert figure.finding == "60.0 % of the closed requests were closed as “Service recorded as provided”."
    assert "opened in 2025; n = 100 requests closed, 7 still open. 95 % intervals." in figure.note
    few = groups.outcomes(OUTCOMES.assign(state="too_few", outcome_share=None, closed=12), "Kitsilano")
    assert few.finding == "Fewer than 30 closed requests (n = 12): no share is given."
    assert drawn(few) == []


def test_the_curve_ends_after_a_year_and_says_what_it_could_not_use():
    figure = FIGURES[5]
    assert [row["day"] for row in drawn(figure)] == [0, 1, 7, 30]
    assert figure.finding == "Half are closed within 3 days, nine in ten within 18 days, counting those still open."
    assert figure.notes == ("Left out: 2 closed before the opening.",)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"median_state": "too_few", "n": 12}, "Too few requests (n = 12): no statistic is given."),
        ({"median_state": "not_reached"}, "More than half are still open; they were followed for up to 730 days."),
        ({"median_state": "no_requests"}, "No request at all, in a period that the record covers."),
        ({"median_days": 1, "p90_state": "not_reached"},
         "Half are closed within 1 day; by our estimate more than a tenth are still open after 730 days, the longest followed."),
    ],
)  # fmt: skip
def test_a_curve_without_a_quantile_says_why(change, sentence):
    assert groups.time_to_close(SUMMARY | change) == sentence


NOW = {"weeks_from": "2025-09-08", "weeks_to": "2025-12-07", "followed": 1234, "median_days": 0, "median_state": "ok",
       "p90_days": 9, "p90_state": "ok"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "half are closed on the day they are opened, nine in ten within 9 days, whenever they were opened (n = 1,234)."),
        ({"median_days": 1, "p90_state": "too_few"}, "half are closed within 1 day, whenever they were opened (n = 1,234)."),
    ],
)  # fmt: skip
def test_the_speed_of_now_names_its_weeks_and_without_a_median_nothing_is_said_of_it(change, sentence):
    assert groups.current_speed(NOW | change) == f"At the speed of 8 September 2025 to 7 December 2025, {sentence}"
    assert groups.current_speed(NOW | change | {"median_state": "too_few"}) is None


def weekdays(differ, **medians):
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return [
        {"weekday": number, "median_days": medians.get(name), "weekdays_differ": differ,
         "median_state": "ok" if name in medians else "too_few"}
        for number, name in enumerate(names, start=1)
    ]  # fmt: skip


def test_the_quickest_and_the_slowest_weekday_of_opening_are_told_where_they_differ():
    assert groups.by_weekday(weekdays("yes", tuesday=3, thursday=5, sunday=0)) == (
        "Of those opened on a Sunday, half are closed on the day they are opened; on a Thursday, within 5 days."
    )
    assert groups.by_weekday(weekdays("no", tuesday=3, thursday=4)) is None
    assert groups.by_weekday(weekdays("no")) is None


def test_areas_are_drawn_by_name_and_those_withheld_are_named():
    figure = FIGURES[-1]
    assert [row["local_area"] for row in drawn(figure) if "local_area" in row] == ["Marpole", "Sunset"]
    assert (
        figure.finding
        == "Closings against what the same types of request give in the whole city: clearly more in Marpole."
    )
    assert figure.notes == ("Too few requests for a ratio: Strathcona.",)
    assert "faster than the same types of request city-wide" in figure.note


def test_grey_bars_are_where_nearly_all_areas_would_lie_that_differ_as_areas_usually_do():
    bars = {
        row["local_area"]: (row["usual_low"], row["usual_high"]) for row in drawn(FIGURES[-1]) if "usual_low" in row
    }
    assert bars["Sunset"] == pytest.approx(
        (math.exp(-2 * math.hypot(0.15, 0.05)), math.exp(2 * math.hypot(0.15, 0.05)))
    )
    assert "if they differed only as much as areas usually do" in FIGURES[-1].note
    assert (
        "usually differ from the city by up to 26 % fewer or 35 % more; outside that, chance allowed for: Marpole."
        in FIGURES[-1].note
    )


@pytest.mark.parametrize("figure", FIGURES[-1:], ids=lambda figure: figure.name)
def test_what_is_compared_has_its_own_window_and_n_whatever_period_is_chosen(figure):
    assert "opened 14 December 2024 to 13 December 2025 (whatever period is chosen), n = 224." in figure.note


def test_without_an_area_that_can_be_compared_the_figure_says_so():
    figure = areas.comparison(AREAS[2:])
    assert figure.finding == "No area has requests enough for a comparison."
    assert "How much areas usually differ is not known." in figure.note
    assert figure.png().startswith(b"\x89PNG")


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_marks_stand_out_and_text_can_be_read(mode):
    look = config(mode)
    paper = look["background"]
    assert all(contrast(colour, paper) >= 3 for colour in look["range"]["category"])
    assert all(contrast(colour, paper) >= 4.5 for colour in (look["axis"]["labelColor"], look["title"]["color"]))


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ({"A": "somewhat fewer"}, "somewhat fewer in A."),
        ({"A": "clearly more", "B": "clearly fewer", "C": "clearly more", "D": "unclear", "E": "somewhat more"},
         "clearly more in A and C; clearly fewer in B; somewhat more in 1."),
        ({"A": "about the same", "B": "unclear", "C": "unclear"},
         "No area is shown to differ from the city, given what is reported in each: 1 about the same, 2 unclear."),
    ],
)  # fmt: skip
def test_the_sentence_names_the_areas_that_differ_and_how_surely(verdicts, sentence):
    rows = pd.DataFrame(
        [
            {"local_area": area, "verdict": verdict, "state": "ok", "measure": "open_after_30_days"}
            for area, verdict in verdicts.items()
        ]
    )
    assert areas.finding(rows).endswith(sentence)
