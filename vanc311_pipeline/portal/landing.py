"""Landed files: one window of one dataset exactly as served, as Parquet, with the proof that it is whole.

Every column is kept as the text that came, extra columns included.
An export counts only if its rows equal the portal's own count, asked before and after, while `data_processed` stood
still. A planned window was described by the grouped question, and its rows must give the same fingerprint; any other is
counted by a `total_count` of its own. Rows equal in every field were never seen in the city's data: an export that has
some may have lost others, so the portal is asked how often each pair of instants occurs. The file replaces its
predecessor in one rename, so a reader sees the old month or the new one. Bytes that are no UTF-8 read U+FFFD.
"""

import csv
import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from vanc311_pipeline.disk import file_digest, force_to_disk, scratch_in
from vanc311_pipeline.errors import CountMismatch, IntegrityFailed, PortalUnavailable, ReleaseMoved
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import DAMAGED, Release, Window, comparable_instant, is_instant
from vanc311_pipeline.portal.documents import Instants
from vanc311_pipeline.portal.fingerprint import Fingerprint, fingerprint_of
from vanc311_pipeline.schema import MODIFIED, OPENED, PORTAL_FIELDS
from vanc311_pipeline.settings import HEADER_CHARACTERS

_KEY = b"vanc311"


@dataclass(frozen=True)
class Landed:
    """What a landed file says of itself, in its Parquet metadata."""

    dataset: str
    month: str
    query: str
    url: str
    rows: int
    closed: int
    latest: str | None
    fingerprint: str
    total_count_before: int
    total_count_after: int
    data_processed: str
    fetched_at: str
    body_sha256: str
    columns: list[str]
    doubled: int = 0
    """Rows that equal another one in every field, beyond the first. A field that is new needs a default: older files lack it."""


def landed_path(raw_dir: Path, window: Window) -> Path:
    return raw_dir / window.dataset / f"{window.month}.parquet"


def land(
    portal: Portal, release: Release, window: Window, raw_dir: Path, described: Fingerprint | None = None
) -> Landed:
    """Fetch a window and put it in place of its predecessor, which stays if that fails. The metadata, which said before what `release` is,
    must still say so after; `described` is what the portal says of the window in it, if it was asked already.
    """
    target = landed_path(raw_dir, window)
    with scratch_in(target.parent, ".") as scratch:  # no other run fetches now
        body, file = scratch / "export.csv", scratch / "month.parquet"
        table = portal.persist(lambda: _fetch_whole(portal, release, window, body, described))
        landed = proof(table, release, window, portal.url, file_digest(body))
        pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(asdict(landed))}), file, compression="zstd")
        force_to_disk(file)
        file.replace(target)
    return landed


def proof(table: pa.Table, release: Release, window: Window, url: str, body_sha256: str) -> Landed:
    """What a whole window's rows say of themselves, now that they are fetched."""
    fingerprint = fingerprint_of(table)
    return Landed(
        dataset=window.dataset,
        month=window.month,
        query=window.where(release.last_month),
        url=url,
        rows=table.num_rows,
        closed=fingerprint.closed,
        latest=fingerprint.latest,
        fingerprint=fingerprint.digest,
        total_count_before=table.num_rows,
        total_count_after=table.num_rows,
        data_processed=release.data_processed,
        fetched_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        body_sha256=body_sha256,
        columns=table.column_names,
        doubled=doubled(table),
    )


def describe_landed(path: Path) -> Landed | None:
    """What the file at `path` says of itself, but for what another version added; None if there is none, IntegrityFailed if it is damaged."""
    if not path.exists():
        return None
    try:
        description = json.loads(pq.read_schema(path).metadata[_KEY])
        return Landed(**{each.name: description[each.name] for each in fields(Landed) if each.name in description})
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise IntegrityFailed(
            f"{path} is damaged or was not written by this pipeline ({error!r}). The stored months are not affected. "
            "Delete the file and load its month again: vanc311 sync --months " + path.stem
        ) from error


def read_landed(path: Path) -> pd.DataFrame:
    """A landed file's rows: every column text, null where the portal had nothing."""
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def landed_months(raw_dir: Path, dataset: str) -> list[str]:
    """The months (and `undated`) that have a landed file, oldest first."""
    return sorted(path.stem for path in (raw_dir / dataset).glob("*.parquet"))


def _fetch_whole(
    portal: Portal, release: Release, window: Window, body: Path, described: Fingerprint | None
) -> pa.Table:
    """The window's rows, as many before as after; `body` is the export that they came in."""
    where = window.where(release.last_month)
    before = portal.total_count(window.dataset, where) if described is None else described.rows
    portal.download(window.dataset, where, body, before)
    table = table_of(body, window)
    after = portal.total_count(window.dataset, where)
    now = portal.release(window.dataset)
    if now.identity != release.identity:
        raise ReleaseMoved(
            f"The city published {window.dataset} anew while {window.month} was read: {release.data_processed} with "
            f"{release.records_count:,} rows became {now.data_processed} with {now.records_count:,}. "
            "The month was left as it was; plan again with `vanc311 sync`."
        )
    if not before == table.num_rows == after:
        raise CountMismatch(
            f"{window.dataset} {window.month}: the export has {table.num_rows:,} rows, but the portal counts {before:,} before "
            f"and {after:,} after it. The month was left as it was. Try again later; if it stays so, tell the portal's "
            "operators (opendata@vancouver.ca)."
        )
    if described is not None and fingerprint_of(table).digest != described.digest and _legible(table):
        raise CountMismatch(
            f"{window.dataset} {window.month}: the export has as many rows as the portal counts, but not the same: per "
            "department and issue type its counts or newest changes are others. The month was left as it was. Try again "
            "later with `vanc311 sync`."
        )
    if doubled(table) and portal.instants(window.dataset, where) != _instants(table):
        raise CountMismatch(
            f"{window.dataset} {window.month}: the export repeats rows that the portal has once ({doubled(table):,} stand "
            "again), so that others are missing. The month was left as it was. Try again later with `vanc311 sync`."
        )
    return table


def _legible(table: pa.Table) -> bool:
    """Whether all names and instants came undamaged: one that didn't costs its row, and can't equal what the portal says."""
    names, instants = (
        [text for name in pair for text in table[name].unique().to_pylist() if text is not None]
        for pair in (("department", "service_request_type"), (OPENED, MODIFIED))
    )
    return not any(DAMAGED in name for name in names) and all(is_instant(text) for text in instants)


def doubled(table: pa.Table) -> int:
    """Rows that equal another one in every field, beyond the first."""
    return int(table.num_rows - table.group_by(table.column_names).aggregate([]).num_rows)


def _instants(table: pa.Table) -> Counter[Instants]:
    """How many of the rows were opened and last changed at the same two instants."""
    return Counter(zip(*(map(comparable_instant, table[name].to_pylist()) for name in (OPENED, MODIFIED)), strict=True))


def table_of(body: Path, window: Window) -> pa.Table:
    """The export's rows, every column as text; PortalUnavailable if it isn't a table with the fields that we rely on."""
    with body.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = next(csv.reader([file.readline(HEADER_CHARACTERS)], delimiter=";"), [])
    missing = [name for name in PORTAL_FIELDS if name not in header]
    if missing or len(set(header)) != len(header):
        raise PortalUnavailable(
            f"An export of {window.dataset} {window.month} has no usable header: "
            f"{'missing ' + ', '.join(missing) if missing else 'a name stands twice'}. It begins {';'.join(header)[:200]!r}."
        )
    try:
        table = pyarrow.csv.read_csv(
            body,
            read_options=pyarrow.csv.ReadOptions(column_names=header, skip_rows=1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=";", newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.binary() for name in header}, strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowException as error:
        words = str(error)[:300]
        raise PortalUnavailable(f"An export of {window.dataset} {window.month} is not whole CSV: {words}") from None
    return pa.table({name: _text(table[name]) for name in header})


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as text; what is no UTF-8 reads U+FFFD, as in the portal's other answers."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        values = [value and value.decode("utf-8", "replace") for value in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])
