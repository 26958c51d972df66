"""Grow the bundled real sample to a table of any size, for benchmarks and load tests.

Real rows are drawn again on other days, whole: department, type, reason, durations, channel, area, address and coordinates
stay together. The oddities of the real data that a plain resampling loses are put in again: twins, colliding keys, open
cases, late changes, bulk closings.
"""

from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vanc311_pipeline.timezone import VANCOUVER

Int = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

MINUTE, HOUR, DAY = 60, 3_600, 86_400

OPENED_BY_MONTH_2025 = (21447, 22087, 20266, 22157, 24679, 24875, 26742, 23493, 23459, 21464, 22394, 19517)
GROWTH_PER_YEAR = 1.01
CUT_OFF = 21 * HOUR + 52 * MINUTE  # newest change seen in a real load: 21:52 on the evening before
JITTER = HOUR  # a row drawn again on one day moves by up to this much, so that it is another request

TWIN_ROWS = 0.009  # rows equal in all but last_modified
TWIN_GROUPS_PER_QUAD = 80
TWIN_TYPES, TWIN_TYPE_WEIGHT = "Bin Request", 100.0  # one call, two bins: most real twins
COLLIDING_ROWS = 0.007  # distinct requests on one key, beside the twins
OFF_MINUTE = 0.1  # chance of a group not entered to the minute, against 1 for one that was
LASTING_OPEN, LASTING_OPEN_DAYS = 0.009, 700.0  # share of new cases never closed, and how fast it falls with age
OPEN_WITH_REASON = 33 / 2_782
REOPENED_ROWS, REOPENED_REACH = 0.0004, 681  # closed once, open again, last modified up to so many days later
BACKWARD_ROWS, BACKWARD_REASON = 10 / 272_580, "Referred to another service group"
BULK_DAYS, BULK_SHARE, BULK_REACH, BULK_EDIT = 12, 0.2, 60, 58  # rows that share one last_modified: up to 58

TIME_OR_STATE = ("status", "closure_reason", "service_request_open_timestamp", "service_request_close_date")


class Source(NamedTuple):
    """The sample as numbers: what a row keeps when it is drawn for another day. All times are local."""

    table: pa.Table
    is_open: Bool
    weekday: Int  # Monday is 0
    second: Int  # second of the day at opening
    days: Int  # from opening to closing; 0 for open rows
    change: Int  # last modified, in seconds after midnight of the closing day (open rows: of the opening day)
    kind: Int  # department and type
    content: Int  # everything but times and state


@dataclass
class Rows:
    """The rows being made. `opened` and `changed` are local seconds since 1970, `closed` is a local day number."""

    pick: Int
    opened: Int
    closed: Int
    changed: Int
    is_open: Bool
    reason: Int


def grow(rows: int, *, first_month: str = "2022-01", last_day: date = date(2026, 9, 27), seed: int = 311) -> pa.Table:
    """The sample grown to `rows` rows, with exactly the schema of the sample, ordered by open timestamp."""
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    rng = np.random.default_rng(seed)
    source = read_source()
    calendar = np.arange(np.datetime64(first_month, "D"), np.datetime64(last_day, "D") + 1)
    if not calendar.size:
        raise ValueError(f"{first_month} begins after {last_day}")
    horizon = int(calendar[-1].astype(np.int64)) * DAY + CUT_OFF

    drawn = draw_rows(source, draw_days(source, calendar, rows, rng), horizon, rng)
    close_in_bulk(drawn, calendar, rng)
    close_backward(source, drawn, rng)
    leave_open(source, drawn, horizon, rng)
    reopen(source, drawn, horizon, rng)
    add_twins(source, drawn, horizon, rng)
    return to_table(source, drawn)


def read_source() -> Source:
    """Read the sample that ships with the package."""
    with (files("vanc311_pipeline") / "standin" / "sample" / "service_requests_sample.parquet").open("rb") as file:
        table = pq.read_table(file)
    frame = table.to_pandas()
    instants = (frame[f"{name}_timestamp"] for name in ("service_request_open", "last_modified"))
    walls = (each.dt.tz_convert(VANCOUVER).dt.tz_localize(None) for each in instants)
    opened, changed = (np.asarray(each, dtype="datetime64[s]").astype(np.int64) for each in walls)
    is_open = (frame["status"] == "Open").to_numpy()
    closing = frame["service_request_close_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    closed = np.where(is_open, opened // DAY, closing)
    return Source(
        table=table,
        is_open=is_open,
        weekday=weekday(opened // DAY),
        second=opened % DAY,
        days=closed - opened // DAY,
        change=changed - closed * DAY,
        kind=codes(frame, ["department", "service_request_type"]),
        content=codes(frame, [c for c in frame if c not in TIME_OR_STATE and c != "last_modified_timestamp"]),
    )


def weekday(days: Int) -> Int:
    """Weekday of day numbers since 1970-01-01, which was a Thursday; Monday is 0."""
    return (days + 3) % 7


def codes(frame: pd.DataFrame, columns: list[str]) -> Int:
    """One number per distinct combination of the columns, nulls included."""
    return frame.groupby(columns, dropna=False, sort=False).ngroup().to_numpy().astype(np.int64)


def draw_days(source: Source, calendar: npt.NDArray[np.datetime64], rows: int, rng: np.random.Generator) -> Int:
    """One sorted day number per row: months by the published profile, days in a month by the sample's weekdays."""
    months, of_month = np.unique(calendar.astype("datetime64[M]").astype(np.int64), return_inverse=True)
    length = np.diff(np.append(months, months[-1] + 1).astype("datetime64[M]").astype("datetime64[D]")).astype(int)
    covered = np.bincount(of_month) / length
    profile = np.array(OPENED_BY_MONTH_2025)[months % 12] * GROWTH_PER_YEAR ** ((months - months[0]) / 12)
    volumes = apportion(profile * covered, rows)

    days = calendar.astype(np.int64)
    share = np.bincount(source.weekday[~source.is_open], minlength=7)[weekday(days)].astype(float)
    counts = np.zeros(days.size, dtype=np.int64)
    for month, volume in enumerate(volumes):
        inside = of_month == month
        counts[inside] = rng.multinomial(volume, share[inside] / share[inside].sum())
    return np.repeat(days, counts)


def apportion(weights: npt.NDArray[np.float64], total: int) -> Int:
    """Whole numbers in proportion to the weights that add up to the total (largest remainders)."""
    exact = weights / weights.sum() * total
    whole: Int = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole


def draw_rows(source: Source, days: Int, horizon: int, rng: np.random.Generator) -> Rows:
    """A real row for each day, opened on that weekday, at about the local time it was opened."""
    age = horizon // DAY - days
    lasting = rng.random(days.size) < LASTING_OPEN * np.exp(-age / LASTING_OPEN_DAYS)
    pick = draw_like(source.weekday, ~source.is_open, weekday(days), rng)
    pick[lasting] = draw_like(source.weekday, source.is_open, weekday(days[lasting]), rng)

    shift = draw_shift(source, pick, rng)
    opened = days * DAY + source.second[pick] + shift
    for _ in range(5):  # keys that meet by chance would grow with the table; their share is set below instead
        again = repeats(source.kind[pick], opened)
        shift[again] = draw_shift(source, pick[again], rng)
        opened[again] = days[again] * DAY + source.second[pick[again]] + shift[again]
    opened[opened > horizon] -= DAY // 2  # nothing is newer than the load; the last evening moves to its morning
    # Some rows get a neighbour of the same department, type and open timestamp: distinct requests on one key.
    base = choose_slots(opened, np.ones(opened.size), round(opened.size * COLLIDING_ROWS / 2), rng)
    pick[base + 1] = draw_like(source.kind, ~source.is_open, source.kind[pick[base]], rng)
    opened[base + 1], shift[base + 1] = opened[base], 0

    closed = opened // DAY + source.days[pick]
    changed = np.maximum(closed * DAY + source.change[pick] + shift, opened)
    return Rows(pick, opened, closed, changed, source.is_open[pick], pick.copy())


def draw_like(of_source: Int, allowed: Bool, asked: Int, rng: np.random.Generator) -> Int:
    """For each wanted value a random allowed source row that has it; any allowed row where none has it."""
    order = np.flatnonzero(allowed)
    order = order[np.argsort(of_source[order], kind="stable")]
    first = np.searchsorted(of_source[order], asked, "left")
    count = np.searchsorted(of_source[order], asked, "right") - first
    first, count = np.where(count == 0, 0, first), np.where(count == 0, order.size, count)
    return order[first + (rng.random(asked.size) * count).astype(np.int64)]


def draw_shift(source: Source, pick: Int, rng: np.random.Generator) -> Int:
    """Seconds by which a row moves within its day; rows entered to the minute stay on a minute, others stay off."""
    second = source.second[pick]
    by_minute = second % MINUTE == 0
    shift = rng.integers(-JITTER, JITTER, pick.size, dtype=np.int64)
    shift -= np.where(by_minute, shift % MINUTE, 0)
    shift += ~by_minute & ((second + shift) % MINUTE == 0)
    leaves_day = ((second + shift) // DAY != 0) | ((source.change[pick] + shift) // DAY != source.change[pick] // DAY)
    return np.where(leaves_day, 0, shift)


def repeats(*keys: Int) -> Bool:
    """Rows whose keys already occurred further up."""
    return pd.DataFrame(dict(enumerate(keys))).duplicated().to_numpy()


def choose_slots(opened: Int, weight: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> Int:
    """First rows of separate runs of four neighbours in a month, drawn by weight (0: never); those on a minute are preferred."""
    starts = np.arange(0, opened.size - 3, 4)
    month = (opened // DAY).astype("datetime64[D]").astype("datetime64[M]")
    chance = np.where(month[starts] == month[starts + 3], weight[starts], 0.0)
    chance *= np.where(opened[starts] % MINUTE == 0, 1.0, OFF_MINUTE)
    rank = rng.exponential(size=starts.size) / np.maximum(chance, 1e-12)
    best = np.argsort(rank, kind="stable")[: min(count, int((chance > 0).sum()))]
    return starts[best]


def close_in_bulk(drawn: Rows, calendar: npt.NDArray[np.datetime64], rng: np.random.Generator) -> None:
    """On a few days close a share of the waiting cases at once, with one last_modified for each batch."""
    bulk = np.sort(rng.choice(calendar.astype(np.int64), min(BULK_DAYS, calendar.size), replace=False))
    following = np.append(bulk, bulk[-1] + 10**6)[np.searchsorted(bulk, drawn.opened // DAY, "right")]
    waiting = (following < drawn.closed) & (drawn.closed <= following + BULK_REACH) & ~drawn.is_open
    chosen = np.flatnonzero(waiting & (rng.random(waiting.size) < BULK_SHARE))
    chosen = chosen[np.argsort(following[chosen], kind="stable")]
    drawn.closed[chosen] = following[chosen]
    batch = np.arange(chosen.size) // BULK_EDIT % (8 * HOUR // MINUTE)
    drawn.changed[chosen] = following[chosen] * DAY + 9 * HOUR + batch * MINUTE + 17


def close_backward(source: Source, drawn: Rows, rng: np.random.Generator) -> None:
    """Close a handful of early-morning referrals on the day before they were opened, as the City's data does."""
    referred = (source.table["closure_reason"].to_pandas() == BACKWARD_REASON).to_numpy() & ~source.is_open
    able = np.flatnonzero(referred[drawn.pick])
    chosen = rng.choice(able, min(round(drawn.pick.size * BACKWARD_ROWS), able.size), replace=False)
    day = drawn.opened[chosen] // DAY
    drawn.opened[chosen] = day * DAY + 6 * HOUR + rng.integers(0, 2 * HOUR, chosen.size)
    drawn.closed[chosen] = day - 1
    drawn.changed[chosen] = drawn.opened[chosen] + rng.integers(0, HOUR, chosen.size)


def leave_open(source: Source, drawn: Rows, horizon: int, rng: np.random.Generator) -> None:
    """Show every row as it stood at the horizon: what closes later is still open, what changes later has not yet."""
    closing = drawn.closed * DAY + source.change[drawn.pick] % DAY
    unfinished = np.flatnonzero(~drawn.is_open & (closing > horizon))
    drawn.is_open[unfinished] = True
    no_reason = rng.random(unfinished.size) >= OPEN_WITH_REASON
    drawn.reason[unfinished[no_reason]] = source.table.num_rows  # one past the sample's own reasons: N/A
    model = rng.choice(np.flatnonzero(source.is_open), unfinished.size)
    drawn.changed[unfinished] = drawn.opened[unfinished] + source.change[model] - source.second[model]

    late = drawn.changed > horizon
    drawn.changed[late & ~drawn.is_open] = closing[late & ~drawn.is_open]
    waiting = np.flatnonzero(late & drawn.is_open)
    so_far = (horizon - drawn.opened[waiting]) * rng.random(waiting.size)
    drawn.changed[waiting] = drawn.opened[waiting] + so_far.astype(np.int64)
    drawn.changed[:] = np.clip(drawn.changed, drawn.opened, horizon)


def reopen(source: Source, drawn: Rows, horizon: int, rng: np.random.Generator) -> None:
    """Open a few closed cases again: no close date any more, and a last_modified well after the closing."""
    again = np.flatnonzero(~drawn.is_open & (rng.random(drawn.pick.size) < REOPENED_ROWS))
    latest = np.minimum(drawn.changed[again] + REOPENED_REACH * DAY, horizon)
    drawn.changed[again] += ((latest - drawn.changed[again]) * rng.random(again.size)).astype(np.int64)
    drawn.is_open[again] = True
    drawn.reason[again] = source.table.num_rows


def add_twins(source: Source, drawn: Rows, horizon: int, rng: np.random.Generator) -> None:
    """Overwrite neighbours with copies that differ in last_modified only: mostly pairs, a few groups of four."""
    bins = source.table["service_request_type"].to_pandas().str.contains(TWIN_TYPES).to_numpy()
    weight = np.where(bins[drawn.pick], TWIN_TYPE_WEIGHT, 1.0) * (drawn.changed < horizon - HOUR)
    groups = round(drawn.pick.size * TWIN_ROWS / (2 + 2 / TWIN_GROUPS_PER_QUAD))
    base = choose_slots(drawn.opened, weight, groups, rng)
    step = rng.integers(3, HOUR // 4, base.size)
    quads = slice(0, -(-base.size // TWIN_GROUPS_PER_QUAD))
    for place, member in ((1, slice(None)), (2, quads), (3, quads)):
        twin = base[member] + place
        for column in (drawn.pick, drawn.opened, drawn.closed, drawn.is_open, drawn.reason):
            column[twin] = column[base[member]]
        drawn.changed[twin] = drawn.changed[base[member]] + place * step[member]


def to_utc(wall: Int, second_time: Bool) -> Int:
    """UTC seconds of local ones; `second_time` picks the later of the two hours when the clock is set back."""
    local = pd.DatetimeIndex(wall.astype("datetime64[s]"))
    instants = local.tz_localize(VANCOUVER, ~second_time, nonexistent=pd.Timedelta(hours=1)).tz_convert(None)
    return np.asarray(instants, dtype="datetime64[s]").astype(np.int64)


def to_table(source: Source, drawn: Rows) -> pa.Table:
    """The Arrow table, sorted by opening, with no two rows equal in every field."""
    second_time = drawn.opened // MINUTE % 2 == 1  # the same choice for all rows that share an opening
    opened = to_utc(drawn.opened, second_time)
    changed = np.maximum(to_utc(drawn.changed, second_time), opened)
    while (equal := repeats(source.content[drawn.pick], opened, changed)).any():
        changed[equal] += 1

    order = np.argsort(opened, kind="stable")
    reasons = pa.concat_arrays([*source.table["closure_reason"].chunks, pa.array(["N/A"], pa.large_string())])
    columns = {
        "status": pa.array(["Close", "Open"]).take(pa.array(drawn.is_open[order].astype(np.int8))),
        "closure_reason": reasons.take(pa.array(drawn.reason[order])),
        "service_request_open_timestamp": opened[order].astype("datetime64[s]").astype("datetime64[ms]"),
        "service_request_close_date": pa.array(drawn.closed[order].astype("datetime64[D]"), mask=drawn.is_open[order]),
        "last_modified_timestamp": changed[order].astype("datetime64[s]").astype("datetime64[ms]"),
    }
    whole = source.table.take(pa.array(drawn.pick[order]))
    for place, field in enumerate(whole.schema):
        if field.name in columns:
            whole = whole.set_column(place, field, pa.array(columns[field.name]).cast(field.type))
    return whole
