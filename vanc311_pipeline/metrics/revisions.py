"""Revisions: how far a figure moved after it was first published, by what, and after how many days it hardly moves any more.

What belongs here: the tables `revisions` and `settling`, from what was published of each figure when. What does not: the figures
(`vintages`). A revision is R = (v − v') / v, v' being the value that stood so many days after the end of the period and v that after
90 days. Source: OECD/Eurostat guidelines on revisions policy and analysis (mean, mean absolute revision, HAC t).
"""

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.metrics.estimates import newey_west, t_95
from vanc311_pipeline.metrics.facts import PROVISIONAL_DAYS, WEEK_DAYS, Ints, first_days, month_numbers
from vanc311_pipeline.metrics.vintages import COUNTING, KEY, MEDIAN_AFTER, PARTS, WITHIN_DAYS

FINAL_DAYS = 90
"""So many days after the end of its period a figure is taken as final."""
LAGS = (*range(15), 21, 30, 45, 60)
LEAST_REFERENCES = 13
GROUP = KEY[:-1]
WEEKLY = COUNTING[:3]
"""The figures that decide from which day on the record is settled."""
SETTLED = {"citywide": 0.005, "neighbourhood": 0.02}
"""A figure is settled if 19 in 20 revisions are no larger: of the city, and of the median area."""
MATURING = {f"within_{WITHIN_DAYS}": WITHIN_DAYS} | {f"median_{days}": days for days in MEDIAN_AFTER}
"""So many days after its month's end a figure is first given: its lag is counted from then on."""


def revisions(lines: pd.DataFrame, as_of: int) -> pd.DataFrame:
    """The table `revisions`, from the lines of `figure_vintages` in their order, with `as_of` as a day number.

    A reference counts if it was followed to its end on one basis, and from the lag on.
    """
    end = _end(lines)
    of_time = (end + FINAL_DAYS <= as_of) & (lines["as_of"].to_numpy() <= end + FINAL_DAYS)
    lines = lines.assign(end=end)[of_time].sort_values("reference", kind="stable")
    lines["series"] = lines.groupby([*KEY], dropna=False, sort=False).ngroup()
    series = lines.groupby("series")
    whole = (series["basis"].transform("nunique") == 1) & (series["value"].transform("last") > 0)
    lines = lines[whole]
    moved = lines[[*PARTS.values()]].astype(float).fillna(0).groupby(lines["series"]).cumsum()
    lines = lines.assign(**moved)
    final = lines.groupby("series").tail(1).set_index("series")
    return pd.concat([_of_lag(lines, final, lag) for lag in LAGS], ignore_index=True)


def _end(lines: pd.DataFrame) -> Ints:
    """The day from which on a figure's lag is counted: the last of its week or month, or that on which it was mature."""
    maturing = lines["figure"].map(MATURING)
    month = maturing.notna().to_numpy()
    text = lines["reference"].where(~month, lines["reference"] + "-01").to_numpy(dtype="datetime64[D]")
    first = text.astype(np.int64)
    ripe = first_days(month_numbers(first) + 1) - 1 + maturing.fillna(0).to_numpy(dtype=np.int64)
    return np.where(month, ripe, first + WEEK_DAYS - 1)


def _of_lag(lines: pd.DataFrame, final: pd.DataFrame, lag: int) -> pd.DataFrame:
    """The rows of one lag: from the line that stood then, and the final one, of each figure of each reference; parts are sums so far."""
    then = lines[lines["as_of"] <= lines["end"] + lag].groupby("series").tail(1).set_index("series")
    last = final.loc[then.index]
    columns = {"revision": (last["value"] - then["value"]) / last["value"]}
    columns |= {name: (last[name] - then[name]) / last["value"] for name in PARTS.values()}
    table = last[[*GROUP]].assign(**columns)
    rows = [
        {**dict(zip(GROUP, names, strict=True)), "lag_days": lag, **_summary(some)}
        for names, some in table.groupby([*GROUP], dropna=False, sort=False)
    ]
    return pd.DataFrame(rows)


def _summary(table: pd.DataFrame) -> dict[str, object]:
    """What some revisions have in common, in the order of their references."""
    revision = table["revision"].to_numpy()
    n, mean = len(revision), float(revision.mean())
    spread = t_95(n - 1) * newey_west(revision) if n > 1 else np.nan
    counting = table["figure"].iloc[0] in COUNTING
    by_kind = {name: float(table[name].mean()) if counting else None for name in PARTS.values()}
    estimates = {
        "mean_revision": mean,
        "mean_revision_low": mean - spread,
        "mean_revision_high": mean + spread,
        "mean_absolute": float(np.abs(revision).mean()),
        "p95_absolute": float(np.quantile(np.abs(revision), 0.95, method="inverted_cdf")),
        "share_up": float((revision > 0).mean()),
        **by_kind,
    }
    enough = n >= LEAST_REFERENCES
    state = State.OK if enough else State.TOO_FEW
    return {
        "n": n,
        **{name: value if enough else None for name, value in estimates.items()},
        "state": str(state),
    }


def settling(table: pd.DataFrame) -> pd.DataFrame:
    """The table `settling`, from `revisions`: after how many days each weekly figure is settled."""
    return pd.DataFrame([{"figure": figure, **_settled(table, figure)} for figure in WEEKLY])


def _settled(table: pd.DataFrame, figure: str) -> dict[str, object]:
    """The smallest lag from which on a figure moves by no more than is allowed; by rule, until that is known."""
    if not len(table):
        return {"settles_after_days": PROVISIONAL_DAYS, "rule": "by rule", "n": 0}
    rows = table[table["figure"] == figure]
    city = rows[rows["level"] == "citywide"]
    references = int(city["n"].min()) if len(city) == len(LAGS) else 0
    if references < LEAST_REFERENCES:
        return {"settles_after_days": PROVISIONAL_DAYS, "rule": "by rule", "n": references}
    calm = [
        all(
            rows[(rows["level"] == level) & (rows["lag_days"] == lag)]["p95_absolute"].astype(float).median() <= most
            for level, most in SETTLED.items()
        )
        for lag in LAGS
    ]
    restless = [lag for lag, is_calm in zip(LAGS, calm, strict=True) if not is_calm]
    after = [lag for lag in LAGS if lag > max(restless, default=-1)]
    return {"settles_after_days": after[0] if after else LAGS[-1], "rule": "measured", "n": references}
