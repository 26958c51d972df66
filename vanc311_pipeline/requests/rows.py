"""Rows: cleaned requests and quarantined rows as tuples in their tables' column order, with identity and canonical text."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from vanc311_pipeline import schema
from vanc311_pipeline.requests.cleaning import Cleaned, date_text, instant_text
from vanc311_pipeline.requests.identity import KEY, SEPARATOR, occurrences, request_id

Row = tuple[Any, ...]


@dataclass(frozen=True)
class MonthRows:
    """One month's rows for the warehouse, of one dataset or, in an overlap month, of two."""

    requests: list[Row]
    """In the column order of `schema.service_requests`, by request_id."""
    quarantined: list[Row]
    """In the column order of `schema.quarantined_requests`."""
    stored_by_dataset: Counter[str]
    quarantined_by_dataset: Counter[str]


def month_rows(month: str, cleaned: Mapping[str, Cleaned]) -> MonthRows:
    """Give identity to the cleaned rows of one month, over all the datasets that it comes from."""
    parts = [part.requests for part in cleaned.values()]
    requests = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)
    return MonthRows(
        requests=_request_rows(requests),
        quarantined=[
            row for dataset, part in cleaned.items() for row in _quarantined_rows(dataset, month, part.quarantined)
        ],
        stored_by_dataset=Counter({dataset: len(part.requests) for dataset, part in cleaned.items()}),
        quarantined_by_dataset=Counter({dataset: len(part.quarantined) for dataset, part in cleaned.items()}),
    )


def _request_rows(requests: pd.DataFrame) -> list[Row]:
    columns: dict[str, list[Any]] = {
        name: pa.array(requests[name], from_pandas=True).to_pylist()
        for name in map(str, requests.select_dtypes(exclude=["datetime", "datetimetz"]))
    }
    columns |= {name: instant_text(requests[name]) for name in ("opened_at", "modified_at")}
    columns |= {name: date_text(requests[name]) for name in ("opened_on", "closed_on")}
    columns["open_month"] = date_text(requests["opened_on"], unit="M")
    columns["occurrence"] = occurrences(requests).tolist()
    columns["request_id"] = [
        request_id(*key) for key in zip(*(columns[name] for name in (*KEY, "occurrence")), strict=True)
    ]
    # Sorted by id: neighbours in the primary key's index are written together.
    return sorted(
        zip(*(columns[column.name] for column in schema.service_requests.columns), strict=True), key=lambda row: row[0]
    )


def _quarantined_rows(dataset: str, month: str, frame: pd.DataFrame) -> list[Row]:
    equal_before: Counter[str] = Counter()
    rows = []
    for reason, raw in sorted(zip(frame["reason"], frame["raw_row"], strict=True)):
        key = SEPARATOR.join((dataset, month, raw, str(equal_before[raw])))
        equal_before[raw] += 1
        rows.append((hashlib.sha256(key.encode()).hexdigest(), dataset, month, reason, raw))
    return rows
