"""Claims about what stands on a page that need no page: a view's address, a change in words, a cell."""

import math

import pytest

from vanc311_pipeline.dashboard.numbers import change
from vanc311_pipeline.dashboard.site import _harmless
from vanc311_pipeline.dashboard.tables import Cell, cell_of
from vanc311_pipeline.dashboard.view import View, view_of

AREA, ISSUE = "Arbutus Ridge", "Pot/hole & Case"


@pytest.mark.parametrize(
    ("view", "level", "counted", "url"),
    [
        (View(), "citywide", "all", "/"),
        (View(scope="located"), "citywide", "located", "/?scope=located"),
        (View(period="2024"), "citywide", "all", "/?period=2024"),
        (View(period="all"), "citywide", "all", "/?period=all"),
        (View(period="until"), "citywide", "all", "/?period=until"),
        (View(AREA), "neighbourhood", "located", "/areas/Arbutus%20Ridge"),
        (View(AREA, period="2024", scope="located"), "neighbourhood", "located", "/areas/Arbutus%20Ridge?period=2024"),
        (View(None, ISSUE), "issue", "all", "/issues/Pot%2Fhole%20%26%20Case"),
        (View(None, ISSUE, scope="located"), "issue", "located", "/issues/Pot%2Fhole%20%26%20Case?scope=located"),
        (View(AREA, ISSUE), "hyper_local", "located", "/?area=Arbutus%20Ridge&issue=Pot%2Fhole%20%26%20Case"),
        (
            View(AREA, ISSUE, "2024", "located"),
            "hyper_local",
            "located",
            "/?area=Arbutus%20Ridge&issue=Pot%2Fhole%20%26%20Case&period=2024",
        ),
    ],
)
def test_a_view_has_one_address(view: View, level: str, counted: str, url: str) -> None:
    assert (view.level, view.counted, view.url) == (level, counted, url)


def test_a_figures_address_says_all_of_its_view_and_a_mode_only_if_it_is_not_the_usual_one() -> None:
    assert View().figure("map", "svg") == "/figures/map.svg"
    assert View().figure("map", "svg", "dark") == "/figures/map.svg?mode=dark"
    view = View("Kitsilano", "Case", "2024", "located")
    assert view.figure("backlog", "csv") == "/figures/backlog.csv?area=Kitsilano&issue=Case&period=2024"


@pytest.mark.parametrize(
    ("parameters", "view"),
    [
        ({}, View()),
        ({"area": "", "issue": "", "period": "", "scope": ""}, View()),
        ({"scope": "elsewhere"}, View()),
        ({"area": "A", "issue": "B", "period": "2024", "scope": "located"}, View("A", "B", "2024", "located")),
    ],
)
def test_an_empty_parameter_is_none(parameters: dict[str, str], view: View) -> None:
    assert view_of(parameters) == view


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (5, None, "the record does not cover the same days a year before"),
        (5, 5, "as many as 5 in the same days a year before"),
        (5, 4, "▲ more than the 4 in the same days a year before"),
        (3, 4, "▼ fewer than the 4 in the same days a year before"),
        (0, 0, "as many as 0 in the same days a year before"),
        (29, 29, "as many as 29 in the same days a year before"),
        (58, 29, "▲ more than the 29 in the same days a year before"),
        (45, 30, "▲ more by 50.0 % than the 30 in the same days a year before"),
        (15, 30, "▼ fewer by 50.0 % than the 30 in the same days a year before"),
        (2_000, 1_000, "▲ more by 100.0 % than the 1,000 in the same days a year before"),
    ],
)
def test_a_share_is_said_of_30_requests_or_more(now: int, before: int | None, words: str) -> None:
    assert change(now, before) == words


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, Cell("", quiet=True)),
        (math.nan, Cell("", quiet=True)),
        (1234.5, Cell("1,234.5")),
        (2.0, Cell("2")),
        (0.12345, Cell("0.1235")),
        (100, Cell("100")),
        (12_345, Cell("12,345")),
        ("=1", Cell("=1", number=False)),
        (Cell("x", "/x"), Cell("x", "/x")),
    ],
)
def test_a_value_stands_in_a_table_as_what_it_is(value: object, cell: Cell) -> None:
    assert cell_of(value) == cell


@pytest.mark.parametrize(
    ("text", "harmless"), [("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("a=", "a=")]
)
def test_no_name_is_a_formula(text: str, harmless: str) -> None:
    assert _harmless(text) == harmless
