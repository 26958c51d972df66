"""Audits: each asks one question about what is stored and answers with what it found. They only read.

What belongs here: the questions behind the asset checks, as functions of a read connection and the months to look at
(None: all). What does not: Dagster's names and severities (`orchestration.checks`).

An audit computes its answer another way than the code that it audits, or it could not find that code wrong.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.laws import broken_laws
from vanc311_pipeline.metrics.levels import LEVELS, METRICS, UNLOCATED
from vanc311_pipeline.plan import shrank
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import describe_landed, landed_months, landed_path
from vanc311_pipeline.requests.identity import request_id
from vanc311_pipeline.schema import (
    COUNTS,
    KNOWN_EXTRA_FIELDS,
    PORTAL_FIELDS,
    metric_cells,
    quarantined_requests,
    service_requests,
)
from vanc311_pipeline.settings import ARCHIVE, LIVE
from vanc311_pipeline.timezone import VANCOUVER
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.areas import area_names, areas_of_points
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import damage, differences, file_digest

Months = Collection[str] | None

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Finding:
    """An audit's answer."""

    problems: list[str] = field(default_factory=list)
    """What must not be: our data is wrong or not proven."""
    notes: list[str] = field(default_factory=list)
    """What is odd in the city's own data: kept, counted, said."""
    counts: Mapping[str, int | float | str] = field(default_factory=dict)
    """What was looked at, in numbers."""


# -- the landed files ------------------------------------------------------------------------------------------------


def raw_counts(raw_dir: Path, months: Months) -> Finding:
    """Every landed file holds as many rows as the portal counted before and after."""
    problems, files, rows = [], 0, 0
    for window in _landed(raw_dir, months):
        path = landed_path(raw_dir, window)
        about, found = describe_landed(path), pq.read_metadata(path).num_rows
        files, rows = files + 1, rows + found
        if about and not found == about.rows == about.total_count_before == about.total_count_after:
            problems.append(
                f"{window.dataset} {window.month}: the file has {found:,} rows, the portal counted "
                f"{about.total_count_before:,} before and {about.total_count_after:,} after"
            )
    return Finding(problems, counts={"files": files, "rows": rows})


def raw_fields(raw_dir: Path, months: Months) -> Finding:
    """The landed files have the fields that we know, in the order that we know."""
    notes = set()
    known = [*PORTAL_FIELDS, *KNOWN_EXTRA_FIELDS]
    for window in _landed(raw_dir, months):
        about = describe_landed(landed_path(raw_dir, window))
        columns = about.columns if about else []
        notes |= {f"{window.dataset} has the new field {name}" for name in columns if name not in known}
        if [name for name in columns if name in PORTAL_FIELDS] != list(PORTAL_FIELDS):
            notes.add(f"{window.dataset} serves its fields in another order")
    return Finding(notes=sorted(notes))


def portal_size(connection: sa.Connection) -> Finding:
    """No dataset lost more of its rows than we follow without consent."""
    problems, counts = [], {}
    for dataset in (LIVE, ARCHIVE):
        known, here = ledger.last_release(connection, dataset), ledger.rows_landed(connection, dataset)
        if known is None:
            continue
        counts[f"{dataset} rows"] = known.records_count
        if known.state == "held" and shrank(known.records_count, here):
            problems.append(
                f"{dataset} fell to {known.records_count:,} rows ({known.data_processed}); we hold {here:,}. Nothing was taken "
                "over. Wait for the portal to recover, or accept the loss: vanc311 sync --accept-shrink all"
            )
    return Finding(problems, counts=counts)


def _landed(raw_dir: Path, months: Months) -> Iterator[Window]:
    for dataset in (ARCHIVE, LIVE):
        for month in landed_months(raw_dir, dataset):
            if months is None or month in months:
                yield Window(dataset, month)


# -- the stored requests ---------------------------------------------------------------------------------------------


def accounting(connection: sa.Connection, raw_dir: Path, months: Months) -> Finding:
    """landed = stored + quarantined, by the ledger, by the tables and by the landed files."""
    stored, quarantined = _rows_by_month(connection, service_requests), _rows_by_month(connection, quarantined_requests)
    records = ledger.months(connection)
    problems = []
    for month in sorted({window.month for window in records} | stored.keys() | quarantined.keys()):
        if months is not None and month not in months:
            continue
        mine = {window: record for window, record in records.items() if window.month == month}
        landed = sum(record.rows_landed for record in mine.values())
        if landed != stored.get(month, 0) + quarantined.get(month, 0):
            problems.append(
                f"{month}: {landed:,} rows landed, but {stored.get(month, 0):,} are stored and "
                f"{quarantined.get(month, 0):,} quarantined"
            )
        for window, record in mine.items():
            about = describe_landed(landed_path(raw_dir, window))
            if (
                about
                and record.held_rows is None
                and about.body_sha256 == record.landed_sha256
                and about.rows != record.rows_landed
            ):
                problems.append(
                    f"{window.dataset} {month}: the file has {about.rows:,} rows, the ledger {record.rows_landed:,}"
                )
    return Finding(problems, counts={"stored": sum(stored.values()), "quarantined": sum(quarantined.values())})


def portal_total(connection: sa.Connection, expected_whole: bool) -> Finding:
    """All landed rows of the live dataset together are as many as the portal says it has.

    Args:
        expected_whole: the run was planned to load all that differs; else a part may be missing, which is only said.
    """
    known = ledger.last_release(connection, LIVE)
    landed = sum(record.rows_landed for window, record in ledger.months(connection).items() if window.dataset == LIVE)
    if known is None or landed == known.records_count:
        return Finding(counts={"landed": landed})
    message = f"{landed:,} rows of {LIVE} are landed; the portal's release of {known.data_processed} says {known.records_count:,}"
    if expected_whole or known.state == "settled":
        return Finding([f"{message}. The portal contradicts itself or moved; run `vanc311 sync` again."])
    return Finding(
        notes=[f"{message}. Only a part was asked for; `vanc311 sync` loads the rest."], counts={"landed": landed}
    )


def held_months(connection: sa.Connection) -> Finding:
    """No month is held back."""
    return Finding(
        [
            f"{window.month}: the portal now has {record.held_rows:,} rows of the {record.rows_landed:,} that we hold "
            f"(since {record.held_since}). The old rows stay. Wait for the portal to recover, or accept the loss: "
            f"vanc311 sync --accept-shrink {window.month}"
            for window, record in sorted(ledger.months(connection).items())
            if record.held_rows is not None
        ]
    )


def quarantine(connection: sa.Connection) -> Finding:
    """No row is in quarantine; if some are, for which reasons."""
    table = quarantined_requests
    query = sa.select(table.c.reason, sa.func.count()).group_by(table.c.reason).order_by(table.c.reason)
    return Finding(notes=[f"{rows:,} rows: {reason}" for reason, rows in connection.execute(query)])


def identity(connection: sa.Connection, months: Months) -> Finding:
    """Ids are unique, and each is the SHA-256 of its request's key; occurrences count from 0 without a gap."""
    columns = ["request_id", "department", "issue_type", "opened_at", "occurrence"]
    problems, rows = [], 0
    duplicates = (
        _count(connection, "SELECT count(*) - count(DISTINCT request_id) FROM service_requests")
        if months is None
        else 0
    )
    for month in _months_of(connection, months):
        stored = _request_rows(connection, columns, month)
        rows += len(stored)
        duplicates += len(stored) - len({row[0] for row in stored}) if months is not None else 0
        wrong = [id_ for id_, *key in stored if id_ != request_id(*key)]
        if wrong:
            problems.append(f"{month}: {len(wrong):,} ids are not the digest of their key, such as {wrong[0]!r}")
        numbered = {row[1:] for row in stored}
        gaps = {row[:-1] for row in numbered if row[-1] != 0 and (*row[:-1], row[-1] - 1) not in numbered}
        if gaps:
            problems.append(f"{month}: the occurrences of {len(gaps):,} keys don't count from 0 without a gap")
    if duplicates:
        problems.append(f"{duplicates:,} ids stand twice")
    return Finding(problems, counts={"rows": rows})


def completeness(connection: sa.Connection, months: Months) -> Finding:
    """No null where none may be, no empty text, and no `N/A`."""
    required = [column.name for column in service_requests.columns if not column.nullable]
    texts = [column.name for column in service_requests.columns if isinstance(column.type, sa.TEXT)]
    tests = {f"{name} is null": f"{name} IS NULL" for name in required}
    tests |= {f"{name} is empty text": f"{name} = ''" for name in texts}
    tests |= {
        f"{name} is N/A": f"{name} = 'N/A'" for name in ("closure_reason", "address", "local_area", "channel", "status")
    }
    return Finding([f"{rows:,} rows: {what}" for what, rows in _count_each(connection, tests, months) if rows])


def derivation(connection: sa.Connection, months: Months) -> Finding:
    """Local dates, months and durations are what the instants and dates of the row give."""
    problems, rows = [], 0
    for month in _months_of(connection, months):
        columns = [
            "opened_at",
            "opened_on",
            "open_month",
            "closed_on",
            "modified_at",
            "status",
            "days_to_close",
            "days_to_update",
        ]
        frame = _requests(connection, columns, month)
        rows += len(frame)
        opened, modified = (pd.to_datetime(frame[name], utc=True) for name in ("opened_at", "modified_at"))
        local = opened.dt.tz_convert(VANCOUVER)
        days = (pd.to_datetime(frame["closed_on"]) - pd.to_datetime(frame["opened_on"])).dt.days
        days = days.where((frame["status"] == "Close") & (days >= 0))
        seconds = (modified - opened).dt.total_seconds()
        tests = {
            "opened_on": frame["opened_on"] != _each_day(local, "%Y-%m-%d"),
            "open_month": frame["open_month"] != _each_day(local, "%Y-%m"),
            "partition_month": _each_day(opened, "%Y-%m") != month,
            "days_to_close": ~_equal_or_null(frame["days_to_close"], days),
            "days_to_update": ~_equal_or_null(frame["days_to_update"] * DAY_SECONDS, seconds.where(seconds > 0)),
        }
        problems += [
            f"{month}: {wrong.sum():,} rows have a wrong {name}" for name, wrong in tests.items() if wrong.any()
        ]
    return Finding(problems, counts={"rows": rows})


def status_and_close_date(connection: sa.Connection, months: Months) -> Finding:
    """A closed request has a close date, an open one has none, and there is no third status."""
    return _noted(
        connection,
        months,
        {
            "status Close without a close date": "status = 'Close' AND closed_on IS NULL",
            "status Open with a close date": "status = 'Open' AND closed_on IS NOT NULL",
            "a status that is neither Open nor Close": "status IS NULL OR status NOT IN ('Open', 'Close')",
        },
    )


def close_before_open(connection: sa.Connection, months: Months) -> Finding:
    """No close date lies before the opening date; where one does, the request is in no average."""
    return _noted(connection, months, {"closed before they were opened; in no average": "closed_on < opened_on"})


def plausible_times(connection: sa.Connection, months: Months) -> Finding:
    """Nothing happened before the record began, before its own opening, or after the release that told of it."""
    release = connection.scalar(sa.select(sa.func.max(schema.month_ledger.c.data_processed))) or "9999"
    return _noted(
        connection,
        months,
        {
            "opened before the record began": "opened_at < '2009-06-01T00:00:00Z'",
            "opened after the portal's newest release": "opened_at > :release",
            "last changed before they were opened": "modified_at < opened_at",
            "last changed after the portal's newest release": "modified_at > :release",
            "closed after the portal's newest release": "closed_on > substr(:release, 1, 10)",
        },
        release=release,
    )


def known_areas(connection: sa.Connection, months: Months) -> Finding:
    """Every stored area is one of the 22; names that the city served and that are none of them are said."""
    table = schema.month_ledger
    query = sa.select(table.c.partition_month, table.c.unknown_areas).where(table.c.rows_unknown_area > 0)
    notes = [
        f"{month}: names that are none of the 22, stored without an area: {names}"
        for month, names in connection.execute(query)
        if months is None or month in months
    ]
    tests = {
        "an area that is none of the 22": "local_area IS NOT NULL AND local_area NOT IN (SELECT local_area FROM local_areas)"
    }
    return Finding([f"{rows:,} rows: {what}" for what, rows in _count_each(connection, tests, months) if rows], notes)


def points_in_the_city(connection: sa.Connection, months: Months) -> Finding:
    """Every point lies in one of the 22 areas, and has both coordinates."""
    points, outside = 0, 0
    for frame, inside in _located(connection, months):
        points += len(frame)
        outside += int(pd.isna(inside).sum())
    finding = _noted(
        connection, months, {"one coordinate without the other": "(latitude IS NULL) <> (longitude IS NULL)"}
    )
    notes = [f"{outside:,} of {points:,} points lie outside all areas"] if outside else []
    return Finding(notes=notes + finding.notes, counts={"points": points, "outside": outside})


def points_in_their_area(connection: sa.Connection, months: Months) -> Finding:
    """Every point lies in the area that the city states; the published area wins where it doesn't."""
    points, elsewhere = 0, 0
    for frame, inside in _located(connection, months):
        stated = frame["local_area"].notna().to_numpy()
        points += int(stated.sum())
        elsewhere += int((inside[stated] != frame["local_area"].to_numpy(dtype=object)[stated]).sum())
    notes = [f"{elsewhere:,} of {points:,} points with an area lie elsewhere"] if elsewhere else []
    return Finding(notes=notes, counts={"points": points, "elsewhere": elsewhere})


def all_areas(connection: sa.Connection) -> Finding:
    """There are 22 areas, none of which overlaps another by more than a sliver at its border."""
    names = area_names(connection)
    centres = pd.read_sql(sa.select(schema.local_areas), connection)
    inside = areas_of_points(connection, centres["longitude"].to_numpy(), centres["latitude"].to_numpy())
    problems = [] if len(names) == 22 else [f"{len(names)} areas are stored, not 22"]
    problems += [
        f"the centre of {name} lies in {found or 'no area'}"
        for name, found in zip(centres["local_area"], inside, strict=True)
        if name != found
    ]
    return Finding(problems, counts={"areas": len(names)})


# -- the metrics -----------------------------------------------------------------------------------------------------


def conservation(connection: sa.Connection) -> Finding:
    """The levels add up to each other, exactly (docs/metrics.md, laws 1 to 4)."""
    tables = {level.name: pd.read_sql(sa.select(level.table), connection) for level in LEVELS}
    return Finding(broken_laws(tables), counts={level: len(frame) for level, frame in tables.items()})


def recomputed(connection: sa.Connection, months: Months) -> Finding:
    """The metrics, computed again another way, are the same.

    The cells of the months are counted anew in SQL from the raw dates of the requests; the wide tables are summed anew
    in pandas from all cells.
    """
    problems = []
    wanted = _months_of(connection, months)
    for month in wanted:
        problems += _different_cells(month, _cells_from_requests(connection, month), _stored_cells(connection, month))
    if months is None:
        volume = _count(
            connection,
            "SELECT (SELECT count(*) FROM service_requests) - (SELECT coalesce(sum(volume), 0) FROM metric_cells)",
        )
        problems += [f"the cells count {-volume:+,} requests other than the table holds"] if volume else []
    cells = pd.read_sql(sa.select(metric_cells), connection)
    for level in LEVELS:
        stored = pd.read_sql(sa.select(level.table), connection)
        for scope in level.scopes:
            mine = stored[stored["scope"] == scope] if "scope" in stored else stored
            problems += _different_level(f"{level.name} ({scope})", list(level.keys), _in_scope(cells, scope), mine)
    return Finding(problems, counts={"months": len(wanted), "cells": len(cells)})


def long_equals_wide(connection: sa.Connection) -> Finding:
    """`metric_aggregates` says what the wide tables say, number by number, and nothing else."""
    long = pd.read_sql(sa.select(schema.metric_aggregates), connection)
    problems, expected = [], 0
    for level in LEVELS:
        wide = pd.read_sql(sa.select(level.table), connection)
        wide = wide if "scope" in wide else wide.assign(scope=level.scopes[0])
        mine = long[
            (long["level"] == level.name) & (long[list(level.keys)].notna().all(axis=1) if level.keys else True)
        ]
        problems += _different_long(level.name, wide, mine, [*level.keys, "scope"])
        expected += len(wide) * len(METRICS)
        if level is UNLOCATED:
            total = _total(wide, connection.scalar(sa.select(sa.func.max(schema.metrics_citywide.c.as_of))))
            mine = long[(long["level"] == level.name) & long["issue_type"].isna()]
            problems += _different_long("the total of the unlocated", total, mine, ["scope"])
            expected += len(METRICS)
    extra = len(long) - expected
    return Finding(
        problems + ([f"{extra:+,} rows more than the wide tables give"] if extra else []), counts={"rows": len(long)}
    )


def _different_long(name: str, wide: pd.DataFrame, long: pd.DataFrame, keys: list[str]) -> list[str]:
    problems = []
    for metric, n in METRICS.items():
        mine = long[long["metric"] == metric]
        joined = wide.merge(mine, on=keys, how="outer", suffixes=("_wide", "_long"), indicator=True)
        wrong = (joined["_merge"] != "both") | (joined[n] != joined["n"])
        wrong |= joined["as_of_wide"] != joined["as_of_long"]
        wrong |= ~_equal_or_null(joined[metric], joined["value"])
        if wrong.any():
            problems.append(f"{name}: {wrong.sum():,} values of {metric} differ")
    return problems


def _total(wide: pd.DataFrame, as_of: str | None) -> pd.DataFrame:
    """The rows of a level taken together, as one row."""
    sums = wide[COUNTS].sum().to_frame().T.assign(scope=UNLOCATED.scopes[0], as_of=as_of)
    return sums.assign(
        avg_ttr=sums["sum_days_to_close"] / sums["n_ttr"].where(sums["n_ttr"] > 0),
        avg_ttu=sums["sum_seconds_to_update"] / sums["n_ttu"].where(sums["n_ttu"] > 0) / DAY_SECONDS,
    )


# -- the published file ----------------------------------------------------------------------------------------------


def published_whole(connection: sa.Connection, file: Path) -> Finding:
    """The published file is the one that was written, is undamaged, and explains every column."""
    if not file.exists():
        return Finding([f"{file} does not exist"])
    last = connection.execute(
        sa.select(schema.publications).order_by(schema.publications.c.published_at.desc()).limit(1)
    ).first()
    if last is None:
        return Finding([f"{file} exists, but no publication is on record"])
    problems = (
        []
        if file_digest(file) == last.sha256
        else [f"{file} is not the file that was published at {last.published_at}"]
    )
    return Finding(problems + damage(file), counts={"bytes": file.stat().st_size, "sha256": last.sha256})


def published_equal(warehouse: Warehouse, file: Path, months: Months) -> Finding:
    """The published file holds what the warehouse holds."""
    if not file.exists():
        return Finding([f"{file} does not exist"])
    try:
        problems = differences(warehouse, file, months)
    except sa.exc.DatabaseError as error:
        problems = [f"{file} can't be compared: {error.orig}"]
    return Finding(problems, counts={"months compared row by row": "all" if months is None else len(months)})


# -- how the questions are asked -------------------------------------------------------------------------------------


def _months_of(connection: sa.Connection, months: Months) -> list[str]:
    if months is not None:
        return sorted(months)
    return list(
        connection.scalars(
            sa.select(service_requests.c.partition_month).distinct().order_by(service_requests.c.partition_month)
        )
    )


def _rows_by_month(connection: sa.Connection, table: sa.Table) -> dict[str, int]:
    query = sa.select(table.c.partition_month, sa.func.count()).group_by(table.c.partition_month)
    return dict(connection.execute(query).all())


def _count(connection: sa.Connection, query: str) -> int:
    return int(connection.execute(sa.text(query)).scalar_one())


def _request_rows(
    connection: sa.Connection, columns: list[str], month: str, where: str = "true"
) -> list[tuple[Any, ...]]:
    """A month's requests as SQLite's own tuples: a million SQLAlchemy rows cost as much as all the questions."""
    query = f"SELECT {', '.join(columns)} FROM service_requests WHERE partition_month = ? AND {where}"
    raw = connection.connection.driver_connection
    return list(raw.execute(query, (month,))) if raw else []


def _requests(connection: sa.Connection, columns: list[str], month: str, where: str = "true") -> pd.DataFrame:
    kinds = {name: "float64" if isinstance(service_requests.c[name].type, sa.REAL) else None for name in columns}
    rows = zip(*_request_rows(connection, columns, month, where), strict=True)
    found = dict(zip(columns, rows, strict=False))
    return pd.DataFrame({name: pd.Series(found.get(name, ()), dtype=kind) for name, kind in kinds.items()})


def _each_day(instants: pd.Series, form: str) -> np.ndarray:
    """The instants' days as text, formatted once for each day that occurs."""
    codes, days = pd.factorize(instants.dt.tz_localize(None).dt.normalize())
    return pd.DatetimeIndex(days).strftime(form).to_numpy(dtype=object)[codes]


def _count_each(
    connection: sa.Connection, tests: dict[str, str], months: Months, **values: str
) -> list[tuple[str, int]]:
    """How many requests of the months meet each condition, in one pass over them."""
    sums = ", ".join(f"coalesce(sum({test}), 0)" for test in tests.values())
    query = sa.text(f"SELECT {sums} FROM service_requests")
    if months is not None:
        query = sa.text(f"{query.text} WHERE partition_month IN :months")
        query = query.bindparams(sa.bindparam("months", sorted(months), expanding=True))
    row = connection.execute(query, values).one()
    return [(what, int(rows)) for what, rows in zip(tests, row, strict=True)]


def _noted(connection: sa.Connection, months: Months, tests: dict[str, str], **values: str) -> Finding:
    found = _count_each(connection, tests, months, **values)
    return Finding(notes=[f"{rows:,} requests: {what}" for what, rows in found if rows], counts=dict(found))


def _located(connection: sa.Connection, months: Months) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Month by month, the requests that have coordinates, and the area that each point lies in."""
    for month in _months_of(connection, months):
        columns = ["latitude", "longitude", "local_area"]
        frame = _requests(connection, columns, month, "latitude IS NOT NULL AND longitude IS NOT NULL")
        yield frame, areas_of_points(connection, frame["longitude"].to_numpy(), frame["latitude"].to_numpy())


def _equal_or_null(left: pd.Series, right: pd.Series) -> pd.Series:
    """Equal to within a rounding of floating point, or null on both sides."""
    a, b = left.astype("float64").to_numpy(), right.astype("float64").to_numpy()
    return pd.Series(np.isclose(a, b, rtol=1e-12, atol=1e-6, equal_nan=True), index=left.index)


# Materialized, or SQLite would work out both differences again for each count.
_DATED = """
    WITH dated AS MATERIALIZED (
        SELECT local_area, issue_type, status, closed_on, opened_on, modified_at,
               strftime('%s', modified_at) - strftime('%s', opened_at) AS seconds,
               CAST(julianday(closed_on) - julianday(opened_on) AS INTEGER) AS days
        FROM service_requests WHERE partition_month = :month
    )
"""
_FROM_ROWS = {
    "volume": "count(*)",
    "open_requests": "sum(status IS 'Open')",
    "n_ttr": "sum(status IS 'Close' AND coalesce(days >= 0, 0))",
    "n_ttu": "sum(coalesce(seconds > 0, 0))",
    "closed": "sum(status IS 'Close')",
    "status_unknown": "sum(status IS NOT 'Open' AND status IS NOT 'Close')",
    "sum_days_to_close": "sum(CASE WHEN status = 'Close' AND days > 0 THEN days ELSE 0 END)",
    "sum_seconds_to_update": "sum(CASE WHEN seconds > 0 THEN seconds ELSE 0 END)",
    "n_negative": "sum(status IS 'Close' AND coalesce(days < 0, 0))",
    "n_closed_without_date": "sum(status IS 'Close' AND closed_on IS NULL)",
    "n_never_updated": "sum(coalesce(seconds = 0, 0))",
    "n_update_negative": "sum(coalesce(seconds < 0, 0))",
    "n_update_missing": "sum(modified_at IS NULL)",
    "n_static_open": "sum(status IS 'Open' AND opened_on < '2022-08-17')",
}


def _cells_from_requests(connection: sa.Connection, month: str) -> pd.DataFrame:
    sums = ", ".join(f"{_FROM_ROWS[name]} AS {name}" for name in COUNTS)
    query = sa.text(f"{_DATED} SELECT local_area, issue_type, {sums} FROM dated GROUP BY local_area, issue_type")
    return pd.read_sql(query, connection, params={"month": month})


def _stored_cells(connection: sa.Connection, month: str) -> pd.DataFrame:
    names = ["local_area", "issue_type", *COUNTS]
    return pd.read_sql(
        sa.select(*(metric_cells.c[name] for name in names)).where(metric_cells.c.partition_month == month), connection
    )


def _different_cells(month: str, ours: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
    keys = ["local_area", "issue_type"]
    left, right = (frame.fillna({"local_area": ""}).set_index(keys)[COUNTS].astype("int64") for frame in (ours, stored))
    if not right.index.is_unique:
        return [f"{month}: a cell stands twice"]
    left, right = left.align(right, fill_value=0)
    wrong = left.index[(left != right).any(axis=1)]
    return [f"{month}: {len(wrong):,} cells differ from the requests, such as {wrong[0]!r}"] if len(wrong) else []


def _in_scope(cells: pd.DataFrame, scope: str) -> pd.DataFrame:
    located = cells["local_area"].notna()
    return cells if scope == "all" else cells[located if scope == "located" else ~located]


def _different_level(name: str, keys: list[str], cells: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
    sums: Any = cells.groupby(keys)[COUNTS].sum() if keys else cells[COUNTS].sum().to_frame().T
    mine = stored.set_index(keys) if keys else stored.reset_index(drop=True)
    if not sums.index.sort_values().equals(mine.index.sort_values()):
        return [f"{name}: its groups are not those of the requests"]
    mine = mine.loc[sums.index]
    wrong = (mine[COUNTS] != sums).any(axis=1)
    wrong |= ~_equal_or_null(mine["avg_ttr"], sums["sum_days_to_close"] / sums["n_ttr"].where(sums["n_ttr"] > 0))
    wrong |= ~_equal_or_null(
        mine["avg_ttu"], sums["sum_seconds_to_update"] / sums["n_ttu"].where(sums["n_ttu"] > 0) / DAY_SECONDS
    )
    return (
        [f"{name}: {wrong.sum():,} groups have other numbers than their requests, such as {wrong.index[wrong][0]!r}"]
        if wrong.any()
        else []
    )
