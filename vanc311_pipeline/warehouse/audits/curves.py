"""Audits of the curves of time to close: against their own quantiles, and computed again another way."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.registry import MINIMUM_N
from vanc311_pipeline.settings import STATIC_BEFORE
from vanc311_pipeline.warehouse.audits.questions import GROUP_KEYS, Finding, in_words, none_where, sizes
from vanc311_pipeline.warehouse.audits.register import audit
from vanc311_pipeline.warehouse.rows import fetch

TOLERANCE = 1e-9
QUANTILES = {"median_days": 0.5, "p75_days": 0.25, "p90_days": 0.1}
"""A column of `time_to_close`, and the share that is still open from that day on."""
KEYS = ", ".join(GROUP_KEYS)


@audit("time_to_close_curves", "curves_agree_with_quantiles")
def curves_agree(connection: sa.Connection) -> Finding:
    """A median is the first day on which the curve is at one half; curves only fall."""
    quantiles_of = {
        row[:-3]: row[-3:] for row in fetch(connection, f"SELECT {KEYS}, {', '.join(QUANTILES)} FROM time_to_close")
    }
    wrong: dict[str, list[dict[str, Any]]] = {name: [] for name in QUANTILES}
    for *group, day, open_share in fetch(connection, f"SELECT {KEYS}, day, open_share FROM time_to_close_curves"):
        quantiles = quantiles_of.get(tuple(group), (None,) * len(QUANTILES))
        for (name, share), quantile in zip(QUANTILES.items(), quantiles, strict=True):
            reached = quantile is not None and day >= quantile
            if reached != (open_share <= share + TOLERANCE):
                wrong[name].append(dict(zip(GROUP_KEYS, group, strict=True)) | {"day": day, "open_share": open_share})
    problems = [
        f"{name} against its curve: fails in {len(rows):,} rows, such as {in_words(rows[0])}"
        for name, rows in wrong.items()
        if rows
    ]
    rising = """
        (SELECT open_share, open_share_low, open_share_high, lag(open_share) OVER (
            PARTITION BY level, scope, local_area, issue_type, department, period ORDER BY day) AS before
         FROM time_to_close_curves) AS steps
        WHERE open_share > before OR open_share NOT BETWEEN open_share_low - 1e-12 AND open_share_high + 1e-12
    """
    return Finding(
        [*problems, *none_where(connection, "a curve rises or leaves its interval", rising)],
        counts=sizes(connection, schema.time_to_close_curves),
    )


@audit("time_to_close_curves", "curves_recomputed_agree")
def curves_recomputed(connection: sa.Connection) -> Finding:
    """The curves of the city and its areas, computed again day by day from the requests, are the same."""
    as_of = connection.scalar(sa.select(sa.func.max(schema.metrics_citywide.c.as_of))) or ""
    first = date.fromisoformat(as_of) - timedelta(days=364)
    days = {"as_of": as_of, "first": max(str(first), str(STATIC_BEFORE))}
    histogram = pd.read_sql(sa.text(_BY_DAY), connection, params=days)
    stored = pd.read_sql(
        sa.text("SELECT * FROM time_to_close_curves WHERE period = 'last_12_months' AND scope IN ('all', 'located')"),
        connection,
    )
    problems: list[str] = []
    located = histogram[histogram["local_area"].notna()]
    groups = {
        ("citywide", "all", ""): histogram,
        ("citywide", "located", ""): located,
        **{("neighbourhood", "located", str(area)): rows for area, rows in located.groupby("local_area")},
    }
    for (level, scope, area), rows in groups.items():
        curve = stored[(stored["level"] == level) & (stored["scope"] == scope)]
        curve = curve[curve["local_area"] == area] if area else curve
        problems += _different_curve(f"{level} {area or scope}", rows, curve)
    return Finding(problems, counts={"curves": len(groups)})


_BY_DAY = """
    SELECT local_area, CASE WHEN status = 'Close' AND closed_on <= :as_of THEN 1 ELSE 0 END AS event,
           CAST(julianday(CASE WHEN status = 'Close' AND closed_on <= :as_of THEN closed_on ELSE :as_of END)
                - julianday(opened_on) AS INTEGER) AS days, count(*) AS requests
    FROM service_requests
    WHERE opened_on BETWEEN :first AND :as_of
          AND NOT coalesce(status = 'Close' AND days_to_close IS NULL, false)
    GROUP BY 1, 2, 3
"""


def _different_curve(name: str, rows: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
    """The textbook's product, one day after the other."""
    total = int(rows["requests"].sum())
    if total < MINIMUM_N:
        return [f"{name}: a curve of fewer than {MINIMUM_N} requests"] if len(stored) else []
    open_share, closed, left = 1.0, 0, total
    expected: dict[int, tuple[int, int, float]] = {}
    by_day = rows.pivot_table(index="days", columns="event", values="requests", aggfunc="sum", fill_value=0)
    by_day = by_day.reindex(index=range(int(rows["days"].max()) + 1), columns=[0, 1], fill_value=0)
    for day, (censored, ended) in enumerate(by_day.to_numpy()):
        at_risk = left
        open_share *= 1 - ended / at_risk if at_risk else 1
        closed, left = closed + ended, left - ended - censored
        expected[day] = (at_risk, closed, open_share)
    wrong = [
        day
        for day, *values in stored[["day", "at_risk", "closed_by", "open_share"]].itertuples(index=False)
        if day not in expected or not np.allclose(values, expected[day], rtol=0, atol=TOLERANCE)
    ]
    missing = [] if len(stored) else ["no curve"]
    return [f"{name}: the curve differs on {wrong or missing}"] if wrong or missing else []
