"""Fingerprints: the digest of a month's cells, by which we know without reading it whether a month has changed.

The portal gives the cells in one grouped question, a landed file by counting its rows. Equal fingerprints prove that they agree.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

import pyarrow as pa

from vanc311_pipeline.portal.contract import comparable_instant
from vanc311_pipeline.portal.documents import Cell
from vanc311_pipeline.schema import MODIFIED, OPENED
from vanc311_pipeline.settings import FIRST_MONTH, UNDATED


@dataclass(frozen=True)
class Fingerprint:
    """What a month looks like from outside."""

    rows: int
    closed: int
    latest: str | None
    digest: str


def fingerprints(cells: Iterable[Cell], last_month: str) -> dict[str, Fingerprint]:
    """Fold the portal's cells into one fingerprint for each month; what no month up to `last_month` holds is `undated`."""
    months: dict[str, dict[tuple[str, str], Cell]] = {}
    for cell in cells:
        month = cell.month if cell.month and FIRST_MONTH <= cell.month <= last_month else UNDATED
        group = months.setdefault(month, {})
        key = (cell.department or "", cell.issue_type or "")  # which an export, as CSV, does not tell apart
        group[key] = _add(group[key], cell) if key in group else cell
    return {month: _fold(group.values()) for month, group in months.items()}


def fingerprint_of(table: pa.Table) -> Fingerprint:
    """The fingerprint of rows as served: columns named as the portal names them, all text."""
    counted = table.group_by(["department", "service_request_type"]).aggregate(
        [([], "count_all"), *((column, function) for column, function in _COUNTED)]
    )
    names = ["department", "service_request_type", "count_all", *("_".join(pair) for pair in _COUNTED)]
    lines = zip(*(counted[name].to_pylist() for name in names), strict=True)
    return _fold(Cell(None, *line[:5], *map(comparable_instant, line[5:])) for line in lines)


_COUNTED = (
    ("service_request_close_date", "count"),
    ("latitude", "count"),
    *product((OPENED, MODIFIED), ("min", "max")),
)


def _add(one: Cell, other: Cell) -> Cell:
    """Two cells of one department and type: from two months that share a window (`undated`), or of null and of empty text."""
    added = {name: getattr(one, name) + getattr(other, name) for name in ("rows", "closed", "points")}
    for name, pick in (("first_opened", min), ("last_opened", max), ("earliest", min), ("latest", max)):
        added[name] = pick(filter(None, (getattr(one, name), getattr(other, name))), default=None)
    return replace(one, **added)


def _fold(cells: Iterable[Cell]) -> Fingerprint:
    members = list(cells)
    lines = sorted(json.dumps([value or "" for value in vars(replace(cell, month=None)).values()]) for cell in members)
    return Fingerprint(
        rows=sum(cell.rows for cell in members),
        closed=sum(cell.closed for cell in members),
        latest=max((cell.latest for cell in members if cell.latest), default=None),
        digest=hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32],
    )


EMPTY = _fold(())
"""Of a month that the portal no longer has."""
