"""Plausibility: is the record like itself a few months ago, and like what was published about it elsewhere? Only ever a note.

Published figures (`published_2025.toml`) are anchors, not laws: the city edits its rows.
"""

import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.warehouse.audits.questions import Finding, audit, count
from vanc311_pipeline.warehouse.engine import Warehouse

COMPARED_MONTHS, NEEDED_MONTHS = 12, 6
MONTH_AT_LEAST = 100
UNUSUAL_POINTS = 10
WATCHED = {
    "n_missing_area": "without an area",
    "n_missing_point": "without a point",
    "n_twins": "twins",
    "n_repeats": "possible repeats",
    "n_batch_closed": "closed in a batch",
    "n_negative": "closed before they were opened",
}


@audit("quality_ledger", "quality_is_as_usual", blocking=False)
def as_usual(connection: sa.Connection) -> Finding:
    """No share of odd rows in the last whole month is 10 points from what is usual (warns).

    Usual is the median of the 12 months before, of the city and of each department.
    """
    ledger = pd.read_sql(sa.text("SELECT * FROM quality_ledger WHERE volume > 0"), connection)
    if ledger.empty:
        return Finding(counts={"compared": 0})
    last = _last_whole_month(connection)
    city = ledger.groupby("open_month", as_index=False)[["volume", *WATCHED]].sum().assign(department="the city")
    notes, compared = [], 0
    for department, rows in pd.concat([city, ledger]).groupby("department"):
        volume = rows.set_index("open_month")["volume"].sort_index()
        volume = volume[volume >= MONTH_AT_LEAST]
        before = volume[volume.index < last].tail(COMPARED_MONTHS).index
        if last not in volume.index or len(before) < NEEDED_MONTHS:
            continue
        compared += 1
        shares = rows.set_index("open_month")[list(WATCHED)].div(volume, axis=0)
        for name, words in WATCHED.items():
            usual, now = shares[name][before].median(), shares[name][last]
            if abs(now - usual) * 100 > UNUSUAL_POINTS:
                notes.append(
                    f"{department}, {last}: {now:.1%} of requests are {words}, usually {usual:.1%} (n = {volume[last]:,})"
                )
    return Finding(notes=notes, counts={"compared": compared, "month": last})


def _last_whole_month(connection: sa.Connection) -> str:
    as_of = connection.scalar(sa.select(sa.func.max(schema.metrics_citywide.c.as_of)))
    a_week_before = date.fromisoformat(as_of or "") - timedelta(days=6)
    return f"{a_week_before.replace(day=1) - timedelta(days=1):%Y-%m}"


@dataclass(frozen=True)
class Anchor:
    """A published figure of 2025, and how far ours may be from it."""

    what: str
    counted: str
    """How it is counted among the requests of the year, in SQL."""
    low: float
    high: float


def _anchor(what: str, published: float = 0, share: float = 0, points: float = 0, **given: Any) -> Anchor:
    if "between" in given:
        return Anchor(what, given["counted"], *given["between"])
    if "test" in given:
        counted = f"100.0 * count(*) FILTER (WHERE {given['test']}) / count(*)"
        return Anchor(f"{what}, % (published {published})", counted, published - points, published + points)
    low, high = published * (1 - share), published * (1 + share)
    return Anchor(f"{what} (published {published:,g})", given["counted"], low, high)


_FILE = Path(__file__).with_name("published_2025.toml")
ANCHORS = [_anchor(**entry) for entry in tomllib.loads(_FILE.read_text(encoding="utf-8"))["anchors"]]
_YEAR = "FROM service_requests WHERE opened_on BETWEEN '2025-01-01' AND '2025-12-31'"


@audit("quality_ledger", "published_2025_figures_are_near", blocking=False)
def published_2025(connection: sa.Connection, warehouse: Warehouse) -> Finding:
    """Our figures of 2025 are near those published elsewhere; of the city's own portal only (warns)."""
    held = count(
        connection,
        "SELECT count(DISTINCT partition_month) FROM month_ledger WHERE partition_month BETWEEN '2025-01' AND '2026-01'",
    )
    if warehouse.settings.source == "sample" or not warehouse.settings.asks_city or held < 13:
        return Finding(counts={"compared": 0})
    counted = connection.execute(sa.text(f"SELECT {', '.join(anchor.counted for anchor in ANCHORS)} {_YEAR}")).one()
    figures = {anchor: value or 0 for anchor, value in zip(ANCHORS, counted, strict=True)}
    return Finding(
        notes=[
            f"{anchor.what}: ours is {value:,g}"
            for anchor, value in figures.items()
            if not anchor.low <= value <= anchor.high
        ],
        counts={"compared": len(figures)},
        table=[
            {"figure of 2025": anchor.what, "ours": f"{value:,g}", "plausible": f"{anchor.low:,g} to {anchor.high:,g}"}
            for anchor, value in figures.items()
        ],
    )
