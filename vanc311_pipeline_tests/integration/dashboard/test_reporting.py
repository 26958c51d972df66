"""When and how it is reported, counted from the requests themselves: by hour of the week, and by channel."""

import html
import re
from collections import Counter
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
import requests

from vanc311_pipeline.dashboard import reporting
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline_tests.integration.dashboard.conftest import reading, requests_of
from vanc311_pipeline_tests.integration.planting import execute

AREA, ISSUE = "Kitsilano", "Building and Development Inquiry Case"
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def tables_of(site: str, view: View) -> tuple[str, list[list[list[str]]]]:
    """The part of a page, and the cells of its two tables below their headings, each with its class."""
    page = html.unescape(requests.get(site + view.url, timeout=60).text)
    part = page[page.index('<details class="block" id="reported">') :].split("</details>")[0]
    lines = [re.findall(r"<tr>(.*?)</tr>", table) for table in part.split("</table>")[:2]]
    return part, [
        [re.findall(r"<t[hd][^>]*?(?:class=\"([^\"]*)\")?>([^<]*)<", line) for line in table] for table in lines
    ]


@pytest.mark.parametrize(
    "view",
    [View(), View(scope="located"), View(AREA, period="2024"), View(None, ISSUE), View(None, ISSUE, scope="located")],
    ids=str,
)
def test_each_block_of_the_week_and_each_channel_has_its_requests_of_the_last_12_months(site, ask, view):
    rows = ask(
        f"""SELECT opened_at, opened_on, coalesce(channel, 'unknown') FROM service_requests, periods
            WHERE {requests_of(view)} AND period = 'last_12_months' AND opened_on BETWEEN opened_from AND opened_to"""
    )
    blocks = Counter(
        (
            date.fromisoformat(on).weekday(),
            datetime.fromisoformat(at).astimezone(ZoneInfo("America/Vancouver")).hour // 3,
        )
        for at, on, _ in rows
    )
    part, (times, channels) = tables_of(site, view)
    assert len(re.findall(rf"n = {len(rows):,}\b", part)) == 2
    assert [text for _, text in times[0]] == ["day", *(f"{hour:02} to {hour + 3:02}" for hour in range(0, 24, 3))]
    shown = {
        (day, place): (int(text.replace(",", "")), shade)
        for day, (_, *cells) in enumerate(times[1:])
        for place, (shade, text) in enumerate(cells)
    }
    assert [line[0][1] for line in times[1:]] == DAYS
    most = max(blocks.values())
    shades = {key: next(step for step in range(5) if blocks[key] * 4 <= most * step) for key in shown}
    assert shown == {key: (blocks[key], f"number shade-{shades[key]}") for key in shown}
    assert len(shown) == 56
    assert sum(number for number, _ in shown.values()) == len(rows)
    ranked = sorted(Counter(channel for *_, channel in rows).items(), key=lambda item: (-item[1], item[0]))
    assert [[text for _, text in line] for line in channels[1:]] == [
        [channel, f"{number:,}", f"{100 * number / len(rows):.1f} %"] for channel, number in ranked
    ]


def test_below_30_requests_a_channel_has_no_share_and_without_any_nothing_is_said(own_file):
    execute(
        own_file,
        f"UPDATE channels SET volume = iif(scope = 'all', 29, 30) WHERE issue_type = '{ISSUE}'",
        "DELETE FROM reporting_times WHERE level = 'neighbourhood'",
    )
    with reading(own_file) as changed:
        few, enough = (reporting.channels(changed, View(None, ISSUE, scope=scope)) for scope in ("all", "located"))
        assert {row["share"].text for row in few} == {"too few"}
        assert [row["share"].text for row in enough] == [f"{100 * row['requests'] / 30:.1f} %" for row in enough]
        assert reporting.days(changed, View(AREA)) == []
