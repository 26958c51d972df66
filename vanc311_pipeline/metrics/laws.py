"""Laws: the equations that hold between the levels, exactly, whatever the data.

Pure functions on frames of the wide tables. Each law returns what is broken, in words; an empty list is a pass.
Numbering follows docs/methods.md.
"""

import pandas as pd

from vanc311_pipeline.schema import COUNTS

Tables = dict[str, pd.DataFrame]
"""The wide tables by level name, as read from the warehouse."""


def broken_laws(tables: Tables) -> list[str]:
    """Every violation of the conservation laws 1 to 4."""
    city, areas = tables["citywide"].set_index("scope")[COUNTS], tables["neighbourhood"].set_index("local_area")[COUNTS]
    issues = tables["issue"].set_index(["scope", "issue_type"])[COUNTS]
    cells = tables["hyper_local"].set_index(["local_area", "issue_type"])[COUNTS]
    unlocated = tables["unlocated"].set_index("issue_type")[COUNTS]
    return [
        *_equal("1: city.located = Σ neighbourhoods", _row(city, "located"), areas.sum()),
        *_equal("1: city.all = Σ neighbourhoods + unlocated", _row(city, "all"), areas.sum() + unlocated.sum()),
        *_equal("2: city.all = Σ issues.all", _row(city, "all"), _scope(issues, "all").sum()),
        *_equal("2: city.located = Σ issues.located", _row(city, "located"), _scope(issues, "located").sum()),
        *_same("3: neighbourhood = Σ its issues", areas, cells.groupby(level="local_area").sum()),
        *_same("3: issue.located = Σ its areas", _scope(issues, "located"), cells.groupby(level="issue_type").sum()),
        *_same(
            "3: issue.all = issue.located + unlocated",
            _scope(issues, "all"),
            _scope(issues, "located").add(unlocated, fill_value=0),
        ),
        *(problem for name, frame in tables.items() for problem in _identities(name, frame)),
    ]


def _identities(name: str, frame: pd.DataFrame) -> list[str]:
    """Law 4: every request is in exactly one class of each kind."""
    sums = {
        "volume = open + closed + status_unknown": (
            frame["volume"],
            frame["open_requests"] + frame["closed"] + frame["status_unknown"],
        ),
        "closed = n_ttr + n_negative + n_closed_without_date": (
            frame["closed"],
            frame["n_ttr"] + frame["n_negative"] + frame["n_closed_without_date"],
        ),
        "volume = n_ttu + n_never_updated + n_update_negative + n_update_missing": (
            frame["volume"],
            frame["n_ttu"] + frame["n_never_updated"] + frame["n_update_negative"] + frame["n_update_missing"],
        ),
    }
    return [
        f"4: {name}: {law} fails in {(left != right).sum()} rows"
        for law, (left, right) in sums.items()
        if (left != right).any()
    ]


def _row(frame: pd.DataFrame, key: str) -> pd.Series:
    return frame.reindex([key], fill_value=0).sum()


def _scope(issues: pd.DataFrame, scope: str) -> pd.DataFrame:
    return issues[issues.index.get_level_values("scope") == scope].droplevel("scope")


def _equal(law: str, left: pd.Series, right: pd.Series) -> list[str]:
    return [
        f"{law}: {name} is {left[name]:,} on the left, {right[name]:,} on the right"
        for name in COUNTS
        if left[name] != right[name]
    ]


def _same(law: str, left: pd.DataFrame, right: pd.DataFrame) -> list[str]:
    """Equal row by row; a missing row counts as zeros."""
    left, right = left.align(right, fill_value=0)
    differing = left.index[(left != right).any(axis=1)]
    return [f"{law}: fails for {key!r}" for key in differing[:20]]
