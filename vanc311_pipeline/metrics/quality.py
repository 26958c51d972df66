"""Quality of the record: what is missing or odd in it, counted by month of opening and department."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import Facts, Mask, month_texts
from vanc311_pipeline.metrics.outcomes import OUTCOMES, outcome_codes

OBSOLETE = re.compile(r"ZZ?\b")

Cell = tuple[str, str]
"""A month and a department."""
CELL = ["open_month", "department"]


def quality_ledger(
    facts: Facts, batch: Mask, repeats: Mapping[Cell, int], quarantined: Mapping[Cell, int]
) -> pd.DataFrame:
    """The table `quality_ledger`: the requests, those of them that repeat an earlier one, and the rows in quarantine."""
    obsolete = np.array([bool(OBSOLETE.match(name)) for name in facts.issues], dtype=bool)
    counted = {
        "volume": np.ones(len(facts), dtype=bool),
        "n_missing_area": ~facts.located,
        "n_missing_point": ~facts.point,
        "n_negative": facts.negative,
        "n_closed_without_date": facts.is_closed & ~facts.closed_with_date,
        "n_twins": facts.twin,
        "n_batch_closed": batch,
        "n_obsolete_label": obsolete[facts.issue],
        "n_unmapped_reason": facts.is_closed & (outcome_codes(facts) == len(OUTCOMES) - 1),
    }
    size = max(len(facts.departments), 1)
    cell, cells = pd.factorize(facts.open_month * size + facts.department, sort=True)
    month, department = np.divmod(cells, size)
    keys = [month_texts(month), np.array(facts.departments, dtype=object)[department]]
    counts = {name: np.bincount(cell[some], minlength=len(cells)) for name, some in counted.items()}
    ledger = pd.DataFrame(counts, pd.MultiIndex.from_arrays(keys, names=CELL))
    beside = [
        pd.Series(list(rows.values()), pd.MultiIndex.from_tuples(rows, names=CELL), name=name, dtype="int64")
        for name, rows in (("n_repeats", repeats), ("n_quarantined", quarantined))
    ]
    return pd.concat([ledger, *beside], axis=1).fillna(0).astype("int64").sort_index().reset_index()
