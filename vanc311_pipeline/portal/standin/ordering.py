"""The order of rows.

Belongs here: sorting row numbers by columns with nulls lowest, and by the arbitrary but repeatable order that stands
in where nothing was asked for, or where what was asked for leaves ties. Does not belong here: reading order_by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanc311_pipeline.portal.standin.zones import Ints


def sorted_rows(keys: list[tuple[Any, bool]], last: NDArray[Any]) -> Ints:
    """Row numbers sorted by (column, descending) keys, then by `last`."""
    ranks = [_ranks(column, descending) for column, descending in keys]
    order: Ints = np.lexsort([last, *reversed(ranks)]) if ranks else np.argsort(last, kind="stable")
    return order


def _ranks(column: Any, descending: bool) -> Ints:
    ranks = pc.rank(column, [("", "ascending", "at_start")], tiebreaker="dense")
    numbers: Ints = ranks.to_numpy(zero_copy_only=False).astype(np.int64)
    return -numbers if descending else numbers
