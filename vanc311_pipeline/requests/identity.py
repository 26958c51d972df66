"""Identity: the deterministic key that stands in for the id that the portal lacks.

`request_id = sha256(department ␟ issue_type ␟ opened_at ␟ occurrence)`, where ␟ is U+001F, `opened_at` is
`YYYY-MM-DDTHH:MM:SSZ` and `occurrence` counts 0, 1, 2 … within the rows that share the first three, ordered by their
last change and then by every other field. It is a pure function of a month's rows, whatever their order: a rebuild
from nothing gives the same ids as years of increments. No two requests are merged, none is dropped.
"""

import hashlib

import pandas as pd

SEPARATOR = "\x1f"
LABEL = ("department", "issue_type")
KEY = [*LABEL, "opened_at"]
POINT = ("latitude", "longitude")
CONTENT = ("status", "closure_reason", "closed_on", "modified_at", "address", "local_area", "channel", *POINT)
"""The fields that may change while a request keeps its identity, in the order of the table."""

# The order within rows that share a key: the last change first.
TIE_BREAKERS = ["modified_at", *(name for name in CONTENT if name != "modified_at")]


def request_id(department: str, issue_type: str, opened_at: str, occurrence: int) -> str:
    """The id of one request.

    >>> request_id("ENG - Sanitation Services", "Garbage Bin Request Case", "2026-01-06T03:42:00Z", 0)[:12]
    '8ba04e5e1d9d'
    """
    return hashlib.sha256(SEPARATOR.join((department, issue_type, opened_at, str(occurrence))).encode()).hexdigest()


def occurrences(requests: pd.DataFrame) -> pd.Series:
    """The occurrence number of each cleaned request, by index; rows equal in every field get numbers in any order."""
    numbers = pd.Series(0, index=requests.index, dtype="int64")
    shared = requests[requests.duplicated(KEY, keep=False)]
    ordered = shared.sort_values(TIE_BREAKERS, kind="stable", na_position="first")
    numbers.update(ordered.groupby(KEY, sort=False).cumcount())
    return numbers
