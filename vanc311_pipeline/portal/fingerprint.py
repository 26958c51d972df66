"""Fingerprints: the digest of a month's cells, by which we know without reading it whether a month has changed.

The portal gives the cells in one grouped question; a landed file gives the same cells by counting its rows. Equal
fingerprints are the proof that the file shows the state that the portal described. Pure functions; no I/O.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from vanc311_pipeline.portal.contract import Cell, canonical_instant
from vanc311_pipeline.settings import FIRST_MONTH, UNDATED

_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Fingerprint:
    """What a month looks like from outside."""

    rows: int
    closed: int
    latest: str | None
    digest: str


def fingerprints(cells: Iterable[Cell], last_month: str) -> dict[str, Fingerprint]:
    """Fold the portal's cells into one fingerprint for each month; what no month up to `last_month` holds is `undated`."""
    months: dict[str, dict[tuple[str | None, str | None], Cell]] = {}
    for cell in cells:
        month = cell.month if cell.month and FIRST_MONTH <= cell.month <= last_month else UNDATED
        group = months.setdefault(month, {})
        key = (cell.department, cell.issue_type)
        group[key] = _add(group[key], cell) if key in group else cell
    return {month: _fold(group.values()) for month, group in months.items()}


def fingerprint_of(table: pa.Table) -> Fingerprint:
    """The fingerprint of rows as served: columns named as the portal names them, all text."""
    keys = ["department", "service_request_type"]
    counted = table.group_by(keys).aggregate(
        [([], "count_all"), ("service_request_close_date", "count"), ("last_modified_timestamp", "max")]
    )
    columns = ("count_all", "service_request_close_date_count", "last_modified_timestamp_max")
    lines = zip(*(counted[name].to_pylist() for name in (*keys, *columns)), strict=True)
    return _fold(
        Cell(None, department, kind, rows, closed, _instant(latest)) for department, kind, rows, closed, latest in lines
    )


def _instant(text: str | None) -> str | None:
    """The canonical form; what is no instant stays as it is and makes the fingerprint differ, as it must."""
    try:
        return canonical_instant(text) if text else None
    except ValueError:
        return text


def _add(one: Cell, other: Cell) -> Cell:
    """Two cells of one department and type, from two months that share a window (`undated`)."""
    return Cell(
        one.month,
        one.department,
        one.issue_type,
        one.rows + other.rows,
        one.closed + other.closed,
        max((latest for latest in (one.latest, other.latest) if latest), default=None),
    )


def _fold(cells: Iterable[Cell]) -> Fingerprint:
    members = list(cells)
    lines = sorted(
        _SEPARATOR.join(
            (cell.department or "", cell.issue_type or "", str(cell.rows), str(cell.closed), cell.latest or "")
        )
        for cell in members
    )
    return Fingerprint(
        rows=sum(cell.rows for cell in members),
        closed=sum(cell.closed for cell in members),
        latest=max((cell.latest for cell in members if cell.latest), default=None),
        digest=hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32],
    )
