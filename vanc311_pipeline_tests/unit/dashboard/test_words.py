"""Claims about what stands on a page that need no page: a view's address, a change in words, a cell."""

import math

import pytest

from vanc311_pipeline.dashboard.numbers import against_a_year_before
from vanc311_pipeline.dashboard.spreadsheets import harmless as harmless_text
from vanc311_pipeline.dashboard.tables import Cell, cell_of
from vanc311_pipeline.dashboard.view import View

AREA, ISSUE = "Arbutus Ridge", "Graffiti Removal - City Property Case"


@pytest.mark.parametrize(
    ("view", "level", "counted", "url"),
    [
        (View(), "citywide", "all", "/"),
        (View(scope="located"), "citywide", "located", "/?scope=located"),
        (View(period="2024"), "citywide", "all", "/?period=2024"),
        (View(period="all"), "citywide", "all", "/?period=all"),
        (View(period="until"), "citywide", "all", "/?period=until"),
        (View(AREA), "neighbourhood", "located", "/areas/arbutus-ridge"),
        (View(AREA, period="2024", scope="located"), "neighbourhood", "located", "/areas/arbutus-ridge?period=2024"),
        (View(None, ISSUE), "issue", "all", "/issues/graffiti-removal-city-property"),
        (
            View(None, ISSUE, scope="located"),
            "issue",
            "located",
            "/issues/graffiti-removal-city-property?scope=located",
        ),
        (View(AREA, ISSUE), "hyper_local", "located", "/areas/arbutus-ridge/graffiti-removal-city-property"),
        (
            View(AREA, ISSUE, "2024", "located"),
            "hyper_local",
            "located",
            "/areas/arbutus-ridge/graffiti-removal-city-property?period=2024",
        ),
    ],
)
def test_a_view_has_one_address(view: View, level: str, counted: str, url: str) -> None:
    assert (view.level, view.counted, view.url) == (level, counted, url)


def test_a_figures_address_says_all_of_its_view_and_a_mode_only_if_it_is_not_the_usual_one() -> None:
    assert View().figure("backlog", "svg") == "/figures/backlog.svg"
    assert View().figure("backlog", "svg", "dark") == "/figures/backlog.svg?mode=dark"
    view = View("Kitsilano", "Pothole Case", "2024", "located")
    assert view.figure("backlog", "csv") == "/figures/backlog.csv?area=kitsilano&issue=pothole&period=2024"


COMPARED = {
    "requests_year_before": 22_438, "state": "ok", "change_on_year": 0.083, "noise_band": 0.06, "verdict": "more",
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"verdict": "about as many"},
         "about as many as the 22,438 in the same four weeks a year before (ordinary: 6 % fewer to 6 % more)"),
        ({"verdict": "about as many", "noise_band": 0.01},
         "about as many as the 22,438 in the same four weeks a year before (ordinary: 5 % fewer to 5 % more)"),
        ({"verdict": "about as many", "noise_band": 2.01},
         "22,438 in the same four weeks a year before; such numbers differ too much from year to year in this record to compare them"),
        ({},
         "▲ 8.3 % more than the 22,438 in the same four weeks a year before, which is more than usual (ordinary: 6 % fewer to 6 % more)"),
        ({"verdict": "fewer", "change_on_year": -0.5, "noise_band": 0.25},
         "▼ 50.0 % fewer than the 22,438 in the same four weeks a year before, which is fewer than usual (ordinary: 20 % fewer to 25 % more)"),
        ({"requests_year_before": 0, "change_on_year": None, "noise_band": 3.0},
         "▲ more than the 0 in the same four weeks a year before, which is more than usual (ordinary: 75 % fewer to 300 % more)"),
        ({"requests_year_before": None, "state": "too_short"}, "the record does not cover the same four weeks a year before"),
        ({"state": "too_short"}, "22,438 in the same four weeks a year before; the record is too short to say what is usual"),
        ({"requests_year_before": 3, "state": "too_few"}, "3 in the same four weeks a year before; too few to compare"),
        ({"requests_year_before": 0, "state": "no_requests"}, "none in the same four weeks a year before, either"),
    ],
)  # fmt: skip
def test_a_direction_is_said_beside_what_is_ordinary_or_why_there_is_none(row: dict[str, object], words: str) -> None:
    assert against_a_year_before(COMPARED | row) == words


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, Cell("", quiet=True)), (math.nan, Cell("", quiet=True)), (1234.5, Cell("1,234.5")), (2.0, Cell("2")),
        (0.12345, Cell("0.1235")), (100, Cell("100")), (12_345, Cell("12,345")), ("=1", Cell("=1", number=False)),
        (Cell("x", "/x"), Cell("x", "/x")),
    ],
)  # fmt: skip
def test_a_value_stands_in_a_table_as_what_it_is(value: object, cell: Cell) -> None:
    assert cell_of(value) == cell


@pytest.mark.parametrize(
    ("text", "harmless"), [("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("a=", "a=")]
)
def test_no_name_is_a_formula(text: str, harmless: str) -> None:
    assert harmless_text(text) == harmless
