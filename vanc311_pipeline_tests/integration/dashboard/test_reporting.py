"""When and how it is reported, counted from the requests themselves: by hour of the week, and by channel."""

from collections import Counter
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from vanc311_pipeline.dashboard.figures import draw
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline_tests.integration.dashboard.conftest import requests_of
from vanc311_pipeline_tests.integration.planting import execute

AREA, ISSUE = "Kitsilano", "Building and Development Inquiry Case"
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@pytest.mark.parametrize(
    "view",
    [View(), View(scope="located"), View(AREA, period="2024"), View(None, ISSUE), View(None, ISSUE, scope="located")],
    ids=str,
)
def test_each_block_of_the_week_and_each_channel_has_its_requests_of_the_last_12_months(release, ask, view):
    rows = ask(
        f"""SELECT opened_at, opened_on, iif(channel = 'WEB', 'Web', coalesce(channel, 'unknown')) FROM service_requests, periods
            WHERE {requests_of(view)} AND period = 'last_12_months' AND opened_on BETWEEN opened_from AND opened_to"""
    )
    blocks = Counter(
        (
            date.fromisoformat(on).weekday(),
            datetime.fromisoformat(at).astimezone(ZoneInfo("America/Vancouver")).hour // 3,
        )
        for at, on, _ in rows
    )
    times, channels = (draw(release, view, name) for name in ("reported-when", "channels"))
    assert sum(times.rows["requests"]) == len(rows)
    shown = times.table.set_index("day")
    assert list(shown.index) == [*DAYS, "all days"]
    assert list(shown.columns) == [*(f"{hour:02} to {hour + 3:02}" for hour in range(0, 24, 3)), "all hours"]
    by_day, by_block = (Counter(key[place] for key in blocks.elements()) for place in (0, 1))
    assert dict(np.ndenumerate(shown.to_numpy())) == {
        **{(day, block): blocks[day, block] for day in range(7) for block in range(8)},
        **{(day, 8): by_day[day] for day in range(7)},
        **{(7, block): by_block[block] for block in range(8)},
        (7, 8): len(rows),
    }
    most = max(blocks, key=lambda key: (blocks[key], -key[0], -key[1]))
    day = max(range(7), key=lambda day: (by_day[day], -day))
    assert times.finding == (
        f"The busiest day is {DAYS[day]} ({by_day[day]:,} of {len(rows):,} requests), "
        f"the busiest three hours of the week are {DAYS[most[0]]} from {shown.columns[most[1]]} ({blocks[most]:,})."
    )
    ranked = sorted(Counter(channel for *_, channel in rows).items(), key=lambda item: (-item[1], item[0]))
    shares = [(channel, number, f"{100 * number / len(rows):.1f} %") for channel, number in ranked]
    assert list(channels.table.itertuples(index=False, name=None)) == shares
    (channel, number, share), *_ = shares
    assert channels.finding == f"Most are reported by {channel}: {number:,} of {len(rows):,} requests ({share})."
    for figure in (times, channels):
        assert f"reported in the last 12 months, whatever period is chosen, n = {len(rows):,}." in figure.note


def test_below_30_requests_a_channel_has_no_share_and_without_any_nothing_is_said(own_file):
    execute(
        own_file,
        f"UPDATE channels SET volume = iif(scope = 'all', 29, 30) WHERE issue_type = '{ISSUE}'",
        "DELETE FROM reporting_times WHERE level = 'neighbourhood'",
    )
    with reading(own_file) as changed:
        few, enough = (draw(changed, View(None, ISSUE, scope=scope), "channels") for scope in ("all", "located"))
        assert set(few.table["share"]) == {"too few"}
        assert few.finding.endswith(" of 29 requests.")
        assert list(enough.table["share"]) == [f"{100 * number / 30:.1f} %" for number in enough.table["requests"]]
        assert draw(changed, View(AREA), "reported-when") is None
