"""Audits of the stored requests: identity, derivations, and what is odd in the city's own data."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.requests.identity import request_id
from vanc311_pipeline.schema import deep_readings, local_areas, month_ledger, service_requests
from vanc311_pipeline.settings import LIVE
from vanc311_pipeline.timezone import in_vancouver, local_day
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.areas import AREAS_EXPECTED, areas_of_points
from vanc311_pipeline.warehouse.audits.questions import (
    Finding,
    Months,
    Points,
    among,
    audit,
    count,
    dated,
    forbidden,
    noted,
    request_rows,
)
from vanc311_pipeline.warehouse.rows import months_of

IDLE_DAYS = 3
"""For so many days the city's record may stand still before we stop to publish from it."""


@audit("local_areas", "there_are_22_areas")
def all_areas(connection: sa.Connection) -> Finding:
    """There are 22 local areas, and each one's centre lies inside it."""
    centres = pd.read_sql(sa.select(local_areas), connection)
    inside = areas_of_points(connection, centres["longitude"].to_numpy(), centres["latitude"].to_numpy())
    problems = [] if len(centres) == AREAS_EXPECTED else [f"{len(centres)} areas are stored, not {AREAS_EXPECTED}"]
    problems += [
        f"the centre of {name} lies in {area or 'no area'}"
        for name, area in zip(centres["local_area"], inside, strict=True)
        if name != area
    ]
    return Finding(problems, counts={"areas": len(centres)})


@audit("service_requests", "stored_total_equals_portal_total")
def portal_total(connection: sa.Connection, planned: bool) -> Finding:
    """All landed rows of the live dataset are as many as the portal's records_count."""
    release, landed = ledger.last_release(connection, LIVE), ledger.rows_landed(connection, LIVE)
    if release is None or landed == release.records_count:
        return Finding(counts={"landed": landed})
    message = f"{landed:,} rows of {LIVE} are landed; the portal's release of {release.data_processed} says {release.records_count:,}"
    if planned or release.state == "settled":
        return Finding([f"{message}. The portal contradicts itself or moved; run `vanc311 sync` again."])
    part = f"{message}. Only a part was asked for; `vanc311 sync` loads the rest."
    return Finding(notes=[part], counts={"landed": landed})


@audit("service_requests", "no_month_is_held")
def held_months(connection: sa.Connection) -> Finding:
    """In no month, and not in all together, did what can be used change so much that we keep the old rows."""
    lines = ledger.held(connection)
    return Finding([f"{line} (since {line.held_since}). The old rows stay. {ledger.advice([line])}" for line in lines])


@audit("service_requests", "request_ids_are_unique_and_well_formed")
def identity(connection: sa.Connection, months: Months) -> Finding:
    """Every id is unique and is the SHA-256 of its request's key."""
    columns = ["request_id", "department", "issue_type", "opened_at", "occurrence"]
    problems, rows, duplicates = [], 0, 0
    for month in months_of(connection, months):
        stored = request_rows(connection, columns, month)
        rows += len(stored)
        ids = {row[0] for row in stored}
        duplicates += len(stored) - len(ids)
        wrong = [id_ for id_, *key in stored if id_ != request_id(*key)]
        if wrong:
            problems.append(f"{month}: {len(wrong):,} ids are not the digest of their key, such as {wrong[0]!r}")
        gaps = sum(request_id(d, t, o, number - 1) not in ids for _, d, t, o, number in stored if number)
        if gaps:
            problems.append(f"{month}: the occurrences don't count from 0 without a gap ({gaps:,} requests)")
    if months is None:  # in two months, too
        duplicates = count(connection, "SELECT count(*) - count(DISTINCT request_id) FROM service_requests")
    if duplicates:
        problems.append(f"{duplicates:,} ids stand twice")
    return Finding(problems, counts={"rows": rows})


@audit("service_requests", "nothing_required_is_missing")
def completeness(connection: sa.Connection, months: Months) -> Finding:
    """No null where none may be, no empty text, no N/A."""
    columns = service_requests.columns
    tests = {f"{each.name} is null": f"{each.name} IS NULL" for each in columns if not each.nullable}
    tests |= {f"{each.name} is empty text": f"{each.name} = ''" for each in columns if isinstance(each.type, sa.TEXT)}
    not_given = ("closure_reason", "address", "local_area", "channel", "status")
    tests |= {f"{name} is N/A": f"{name} = 'N/A'" for name in not_given}
    return forbidden(connection, months, tests)


_DURATIONS = """
    SELECT count(*) FILTER (WHERE CASE WHEN status = 'Close' AND days >= 0 AND NOT not_closed_yet
                                       THEN days_to_close IS NULL OR days_to_close <> days
                                       ELSE days_to_close IS NOT NULL END),
           count(*) FILTER (WHERE CASE WHEN seconds > 0 AND NOT not_changed_yet
                                       THEN days_to_update IS NULL OR abs(days_to_update * 86400 - seconds) > 1e-5
                                       ELSE days_to_update IS NOT NULL END)
    FROM dated
"""
_DAYS = """
    SELECT substr(opened_at, 1, 13), opened_on, open_month, count(*) FROM service_requests WHERE partition_month = :month
    GROUP BY 1, 2, 3
"""


@audit("service_requests", "dates_and_durations_follow_from_instants")
def derivation(connection: sa.Connection, months: Months) -> Finding:
    """Local dates, months and durations, computed again from the instants, are the same."""
    problems, rows = [], 0
    for month in months_of(connection, months):
        wrong = dict.fromkeys(("opened_on", "open_month", "partition_month", "days_to_close", "days_to_update"), 0)
        for hour, opened_on, open_month, number in connection.execute(sa.text(_DAYS), {"month": month}):
            local = _local(hour)
            rows += number
            wrong["opened_on"] += number * (opened_on != f"{local:%Y-%m-%d}")
            wrong["open_month"] += number * (open_month != f"{local:%Y-%m}")
            wrong["partition_month"] += number * (not hour.startswith(month))
        [(wrong["days_to_close"], wrong["days_to_update"])] = dated(connection, month, _DURATIONS)
        problems += [f"{month}: {number:,} rows have a wrong {name}" for name, number in wrong.items() if number]
    return Finding(problems, counts={"rows": rows})


def _local(hour: str) -> datetime:
    """A UTC hour such as 2025-08-25T15 in Vancouver, whose offsets are whole hours; what is no hour is no day either."""
    try:
        return in_vancouver(f"{hour}:00:00+00:00")
    except ValueError:
        return datetime.min


@audit("service_requests", "newest_change_is_recent")
def recent_change(connection: sa.Connection) -> Finding:
    """The newest change in the record is of the last day before the portal's release (warns), or at most three days older.

    A part of the record that was asked for by itself may have older ones, and is never blocked.
    """
    newest = ledger.newest_change(connection)
    if newest is None:
        return Finding()
    last = ledger.released_on(connection) - timedelta(days=1)
    behind = (last - local_day(newest)).days
    message = (
        f"The newest change in the record is of {newest}: {behind} days before {last}, the last day before the portal's release. "
        "Nothing is known of the days since: the statistics stop there."
    )
    live = ledger.last_release(connection, LIVE)
    whole = live is not None and ledger.rows_landed(connection, LIVE) == live.records_count
    counts = {"newest change": newest}
    if whole and behind > IDLE_DAYS:
        return Finding([message], counts=counts)
    return Finding(notes=[message] if behind > 0 else [], counts=counts)


@audit("service_requests", "fingerprints_show_every_change", blocking=False)
def silent_changes(connection: sa.Connection, months: Months) -> Finding:
    """No month had changed when it was read again though its fingerprint stood still (warns)."""
    month, read_at = deep_readings.c.partition_month, deep_readings.c.read_at
    newest = sa.select(month, sa.func.max(read_at)).group_by(month)
    query = sa.select(deep_readings).where(sa.tuple_(month, read_at).in_(newest), among(deep_readings, months))
    readings = connection.execute(query).all()
    return Finding(
        notes=[
            f"{line.partition_month}: {line.changes_found:,} changes that the fingerprint did not show (read {line.read_at})"
            for line in readings
            if line.changes_found
        ],
        counts={"months read again": len(readings), "rows compared": sum(line.rows for line in readings)},
    )


@audit("service_requests", "areas_are_known")
def known_areas(connection: sa.Connection, months: Months) -> Finding:
    """Every area is one of the 22; unknown names that the city served are stored without an area (warns)."""
    unknown = "local_area IS NOT NULL AND local_area NOT IN (SELECT local_area FROM local_areas)"
    columns = month_ledger.c
    query = sa.select(columns.partition_month, columns.unknown_areas).where(columns.rows_unknown_area > 0)
    notes = [
        f"{month}: names that are none of the 22, stored without an area: {names}"
        for month, names in connection.execute(query.where(among(month_ledger, months)))
    ]
    return replace(forbidden(connection, months, {"an area that is none of the 22": unknown}), notes=notes)


@audit("service_requests", "fields_are_usable", blocking=False)
def usable_fields(connection: sa.Connection, months: Months) -> Finding:
    """Every field came with a value that can be used; one that can't is null, and the landed file keeps it (warns)."""
    month, unusable = month_ledger.c.partition_month, month_ledger.c.unusable_fields
    query = sa.select(month, unusable).where(unusable.is_not(None), among(month_ledger, months)).order_by(month)
    notes, values = [], 0
    for of_month, fields in connection.execute(query):
        for name, field in json.loads(fields).items():
            values += field["rows"]
            notes.append(
                f"{of_month}: {field['rows']:,} rows came with a {name} that can't be used, such as "
                f"{', '.join(map(repr, field['examples']))}; they are stored without it"
            )
    return Finding(notes=notes, counts={"values": values})


@audit("service_requests", "points_lie_in_the_city", blocking=False)
def points_in_the_city(connection: sa.Connection, months: Months, points: Points) -> Finding:
    """Every point lies in one of the 22 areas (warns)."""
    half = noted(connection, months, {"one coordinate without the other": "(latitude IS NULL) <> (longitude IS NULL)"})
    outside, all_points = points.counts["outside"], points.counts["points"]
    notes = [f"{outside:,} of {all_points:,} points lie outside all areas"] if outside else []
    return Finding(
        notes=notes + half.notes,
        counts={"points": all_points, "outside": outside},
        offending=[*(("outside all areas", row) for row in points.outside), *half.offending],
    )


@audit("service_requests", "points_lie_in_their_area", blocking=False)
def points_in_their_area(points: Points) -> Finding:
    """Every point lies in the area that the city states (warns)."""
    elsewhere, stated = points.counts["elsewhere"], points.counts["stated"]
    return Finding(
        notes=[f"{elsewhere:,} of {stated:,} points with an area lie elsewhere"] if elsewhere else [],
        counts={"points": stated, "elsewhere": elsewhere},
        offending=[("in another area than the city states", row) for row in points.elsewhere],
    )
