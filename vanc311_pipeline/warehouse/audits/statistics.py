"""Audits of the statistics: the laws between their tables, and with the headline metrics.

Numbering follows docs/methods.md. Everything is compared in whole numbers, but for the shares.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metric_definitions import CHANGE_SHARE, MINIMUM_N, State
from vanc311_pipeline.metrics.groups import EACH_ISSUE, KEYS, WHOLE_CITY
from vanc311_pipeline.metrics.monthly import WITHIN
from vanc311_pipeline.metrics.statistics import DAILY as DAILY_KINDS
from vanc311_pipeline.metrics.statistics import NOT_HYPER_LOCAL
from vanc311_pipeline.settings import STATIC_BEFORE
from vanc311_pipeline.warehouse.audits.metrics import Additive, add_up
from vanc311_pipeline.warehouse.audits.questions import EXAMPLES, Finding, audit, broken, count, sizes
from vanc311_pipeline.warehouse.rows import Row, fetch

TOLERANCE = 1e-9
GROUP_KEYS = (*KEYS, "period")
GROUP = " || '|' || ".join(f"coalesce({key}, '')" for key in GROUP_KEYS)
"""A group and period as one text, by which two tables are joined: half of these are null, and null joins nothing."""
QUANTILES = {"median_days": 0.5, "p75_days": 0.25, "p90_days": 0.1}
"""A column of `time_to_close`, and the share that is still open from that day on."""
TIME_TO_CLOSE = Additive(
    "time_to_close",
    ("volume", "n", "closed", "still_open", "n_static", "n_after_as_of", "n_negative", "n_closed_without_date"),
    ("period",),
    headline={"volume": "volume"},
    once="period = 'all'",
)
SPEED = Additive("current_speed", ("followed", "n", "closed"))
WEEKDAYS = Additive("time_to_close_by_weekday", ("n",), ("weekday",), (WHOLE_CITY, EACH_ISSUE))
WITHOUT = Additive(
    "time_to_close_without", ("volume", "n", "closed", "still_open"), ("period", "left_out"), NOT_HYPER_LOCAL
)
MONTHLY = Additive(
    "monthly_series",
    ("opened", "closed_in", "open_at_end", "n", "closed", *(f"{n}_{days}" for days in WITHIN for n in ("n", "within"))),
    ("month",),
    headline={"opened": "volume", "closed_in": "closed - n_closed_without_date"},
)
ON_YEAR = Additive("year_on_year", ("requests", "requests_year_before"), ("measure",))
BY_AGE = Additive(
    "backlog_by_age",
    ("open_requests", "located", "n_static"),
    ("age_band",),
    NOT_HYPER_LOCAL,
    headline={"open_requests": "open_requests"},
)
DAILY = Additive("backlog_daily", ("opened", "closed_in", "backlog"), ("day",), DAILY_KINDS)
FLOW = Additive(
    "flow", ("opened", "closed_in", "net", "backlog_start", "backlog_end", "backlog_year_before"), (), NOT_HYPER_LOCAL
)
OUTCOMES = Additive(
    "outcomes",
    ("closed_as", "closed", "open_requests"),
    ("period", "outcome"),
    NOT_HYPER_LOCAL,
    headline={"closed_as": "closed"},
    once="period = 'all'",
)


@audit("time_to_close", "time_to_close_adds_up")
def timing(connection: sa.Connection) -> Finding:
    """Requests used and not used, closed and still open, add up over groups, and to the headline metrics."""
    lost = "volume <> n + n_static + n_after_as_of + n_negative + n_closed_without_date OR n <> closed + still_open"
    law = {"4: time_to_close: volume = n + not used, n = closed + still_open": f"time_to_close WHERE {lost}"}
    return Finding(
        [*add_up(connection, TIME_TO_CLOSE), *broken(connection, law)], counts=sizes(connection, "time_to_close")
    )


@audit("current_speed", "current_speed_adds_up")
def speed(connection: sa.Connection) -> Finding:
    """Requests followed, opened and closed in the last 13 weeks add up over groups.

    Laws 1 to 3.
    """
    return Finding(add_up(connection, SPEED), counts=sizes(connection, "current_speed"))


@audit("time_to_close_by_weekday", "weekdays_add_up")
def weekdays(connection: sa.Connection) -> Finding:
    """The weekdays of opening add up to the requests behind the curve of the last 12 months, and the issue types to the city.

    Law 2.
    """
    law = {
        "Σ weekdays = n of time_to_close": f"""
            (SELECT {GROUP} AS its_group, sum(n) AS n FROM time_to_close_by_weekday GROUP BY 1) AS sums
            JOIN (SELECT {GROUP} AS its_group, n AS whole FROM time_to_close) AS curves USING (its_group) WHERE n <> whole"""
    }
    problems = [*add_up(connection, WEEKDAYS), *broken(connection, law)]
    return Finding(problems, counts=sizes(connection, "time_to_close_by_weekday"))


@audit("time_to_close_without", "what_is_left_out_adds_up")
def left_out(connection: sa.Connection) -> Finding:
    """What is left when internal types and batch days are left out adds up over groups, and is no more than all.

    Laws 1 and 2.
    """
    more = f"""
        (WITH t AS MATERIALIZED (SELECT {GROUP} AS its_group, n AS n_of_all FROM time_to_close),
              w AS MATERIALIZED (SELECT {GROUP} AS its_group, left_out, n, closed, still_open FROM time_to_close_without)
         SELECT * FROM w JOIN t USING (its_group)) AS joined
        WHERE n > n_of_all OR n <> closed + still_open"""
    problems = [
        *add_up(connection, WITHOUT),
        *broken(connection, {"time_to_close_without: n = closed + still_open ≤ n of all": more}),
    ]
    return Finding(problems, counts=sizes(connection, "time_to_close_without"))


@audit("time_to_close_curves", "curves_agree_with_quantiles")
def curves_agree(connection: sa.Connection) -> Finding:
    """A median is the first day on which the curve is at one half, unless too few stand behind it; curves only fall."""
    laws = {
        f"{name} against its curve": f"""
            (WITH q AS MATERIALIZED (
                SELECT {GROUP} AS its_group, {name} FROM time_to_close WHERE {name[:-5]}_state <> '{State.TOO_FEW}'),
                  c AS MATERIALIZED (SELECT {GROUP} AS its_group, day, open_share FROM time_to_close_curves)
             SELECT * FROM c JOIN q USING (its_group)) AS joined
            WHERE coalesce(day >= {name}, false) <> (open_share <= {share + TOLERANCE})"""
        for name, share in QUANTILES.items()
    }
    laws["a curve rises or leaves its interval"] = f"""
        (SELECT open_share, open_share_low, open_share_high, lag(open_share) OVER (
            PARTITION BY {", ".join(GROUP_KEYS)} ORDER BY day) AS before
         FROM time_to_close_curves) AS steps
        WHERE open_share > before OR open_share NOT BETWEEN open_share_low - 1e-12 AND open_share_high + 1e-12
    """
    return Finding(broken(connection, laws), counts=sizes(connection, "time_to_close_curves"))


@audit("time_to_close_curves", "curves_recomputed_agree")
def curves_recomputed(connection: sa.Connection) -> Finding:
    """The curves of the city and its areas, computed again day by day from the requests, are the same."""
    as_of = connection.scalar(sa.select(sa.func.max(schema.metrics_citywide.c.as_of))) or ""
    first = max(date.fromisoformat(as_of) - timedelta(days=364), STATIC_BEFORE)
    ends, curves = defaultdict[Row, Ends](Counter), defaultdict[Row, dict[int, Row]](dict)
    for area, days, event, requests in fetch(connection, _BY_DAY, as_of=as_of, first=str(first)):
        located = [] if area is None else [("citywide", "located", None), ("neighbourhood", "located", area)]
        for group in (("citywide", "all", None), *located):
            ends[group][days, event] += requests
    for level, scope, area, day, *values in fetch(connection, _CURVES):
        curves[level, scope, area][day] = tuple(values)
    problems = [
        f"{level} {area or scope}: the curve differs on {days}"
        for level, scope, area in sorted(ends.keys() | curves.keys(), key=repr)
        if (days := _differing(ends[level, scope, area], curves[level, scope, area]))
    ]
    return Finding(problems, counts={"curves": len(curves)})


Ends = Counter[tuple[int, int]]
"""How many requests were followed for so many days, and were closed then (1) or are still open (0)."""
_BY_DAY = """
    SELECT local_area,
           CAST(julianday(CASE WHEN status = 'Close' AND closed_on <= :as_of THEN closed_on ELSE :as_of END)
                - julianday(opened_on) AS INTEGER) AS days,
           CASE WHEN status = 'Close' AND closed_on <= :as_of THEN 1 ELSE 0 END AS event, count(*) AS requests
    FROM service_requests
    WHERE opened_on BETWEEN :first AND :as_of
          AND NOT coalesce(status = 'Close' AND days_to_close IS NULL, false)
    GROUP BY 1, 2, 3
"""
_CURVES = """
    SELECT level, scope, local_area, day, at_risk, closed_by, open_share FROM time_to_close_curves
    WHERE period = 'last_12_months' AND level IN ('citywide', 'neighbourhood')
"""


def _differing(ends: Ends, curve: Mapping[int, Row]) -> list[int] | str:
    """On which days a curve is not the textbook's product, one day after the other."""
    at_risk, closed, open_share = ends.total(), 0, 1.0
    if bool(curve) != (at_risk >= MINIMUM_N):
        return f"every day: it is {'of too few requests' if curve else 'missing'}"
    expected: dict[int, Row] = {}
    for day in range(max(days for days, _ in ends) + 1 if curve else 0):
        open_share *= 1 - ends[day, 1] / at_risk
        closed += ends[day, 1]
        expected[day] = (at_risk, closed, open_share)
        at_risk -= ends[day, 0] + ends[day, 1]
    return [day for day in curve if day not in expected or not np.allclose(curve[day], expected[day], 0, TOLERANCE)]


@audit("monthly_series", "months_add_up")
def monthly(connection: sa.Connection) -> Finding:
    """The months of each group add up to its volume and its closed requests, and the groups to the city."""
    shares = [
        _quotient("monthly_series", f"share_{days}", f"within_{days}", f"n_{days}", f"share_{days}_state")
        for days in WITHIN
    ]
    problems = [*add_up(connection, MONTHLY), *broken(connection, dict(shares))]
    return Finding(problems, counts=sizes(connection, "monthly_series"))


@audit("year_on_year", "years_are_compared_rightly")
def years(connection: sa.Connection) -> Finding:
    """What was opened and closed in four weeks, and a year before, adds up over groups and is that of the requests themselves; a
    direction is given exactly where the change is beyond what is usual.

    Laws 1 to 3 and 5.
    """
    beyond = f"""
        requests + 0.5 >= (1 + noise_band) * (requests_year_before + 0.5)
        AND requests - requests_year_before >= {CHANGE_SHARE} * requests_year_before"""
    below = f"""
        requests_year_before + 0.5 >= (1 + noise_band) * (requests + 0.5)
        AND requests_year_before - requests >= {CHANGE_SHARE} * requests_year_before"""
    verdict = f"CASE WHEN {beyond} THEN 'more' WHEN {below} THEN 'fewer' ELSE 'about as many' END"
    change = "coalesce(1.0 * requests / nullif(requests_year_before, 0) - 1, -2)"
    right = f"verdict = {verdict} AND abs(coalesce(change_on_year, -2) - ({change})) <= {TOLERANCE}"
    withheld = "verdict IS NULL AND change_on_year IS NULL AND noise_band IS NULL"
    wrong = f"year_on_year WHERE NOT coalesce(CASE WHEN state = '{State.OK}' THEN {right} ELSE {withheld} END, false)"
    law = {"year_on_year: change and verdict follow from the counts and noise_band, given only if ok": wrong}
    problems = [*add_up(connection, ON_YEAR), *broken(connection, law), *_moved(connection)]
    return Finding(problems, counts=sizes(connection, "year_on_year"))


_MOVED = """
    WITH span AS (SELECT * FROM year_on_year WHERE level = 'citywide' AND scope = 'all'),
         moved AS (
            SELECT 'opened' AS measure, opened_on AS day, count(*) AS requests FROM service_requests GROUP BY opened_on
            UNION ALL
            SELECT 'closed_in', CASE WHEN closed_on > opened_on THEN closed_on ELSE opened_on END, count(*) FROM service_requests
            WHERE status = 'Close' AND (days_to_close IS NOT NULL OR closed_on < opened_on) GROUP BY 2
         )
    SELECT measure, span.requests, coalesce(sum(moved.requests) FILTER (WHERE day BETWEEN days_from AND days_to), 0),
           requests_year_before, coalesce(sum(moved.requests) FILTER (WHERE day BETWEEN year_before_from AND year_before_to), 0)
    FROM span LEFT JOIN moved USING (measure) GROUP BY measure, span.requests, requests_year_before
"""


def _moved(connection: sa.Connection) -> list[str]:
    """The city's four weeks and those a year before against the requests themselves."""
    return [
        f"5: year_on_year: the city's {measure} is {stored:,}, but {counted:,} requests were"
        for measure, now, counted_now, before, counted_before in fetch(connection, _MOVED)
        for stored, counted in ((now, counted_now), (before, counted_before))
        if stored not in (None, counted)
    ]


@audit("backlog_daily", "backlog_adds_up")
def backlog(connection: sa.Connection) -> Finding:
    """Each day's backlog is the day before's plus opened minus closed; the age bands are the open requests."""
    leap = f"""
        (SELECT opened, closed_in, backlog, coalesce(lag(backlog) OVER (
            PARTITION BY {", ".join(KEYS)} ORDER BY day), 0) AS before
         FROM backlog_daily) AS levels WHERE backlog <> before + opened - closed_in
    """
    laws = {
        "7: B(t) = B(t − 1) + opened(t) − closed(t)": leap,
        "7: flow: net = opened − closed_in = backlog_end − backlog_start": (
            "flow WHERE net <> opened - closed_in OR net <> backlog_end - backlog_start"
        ),
    }
    problems = [*add_up(connection, BY_AGE, DAILY, FLOW), *broken(connection, laws), *_last_level(connection)]
    return Finding(problems, counts=sizes(connection, "backlog_by_age", "backlog_daily", "flow"))


def _last_level(connection: sa.Connection) -> list[str]:
    """B(as_of) against the open requests themselves."""
    query = """
        WITH day AS (SELECT max(as_of) AS as_of FROM metrics_citywide)
        SELECT count(*) FILTER (WHERE status = 'Open' AND opened_on <= as_of)
               + count(*) FILTER (WHERE opened_on <= as_of AND closed_on > as_of AND days_to_close IS NOT NULL)
        FROM service_requests, day
    """
    city = "level = 'citywide' AND scope = 'all' AND day = as_of"
    stored = count(connection, f"SELECT coalesce(max(backlog), 0) FROM backlog_daily WHERE {city}")
    expected = count(connection, query)
    return [] if expected == stored else [f"7: B(as_of) is {stored:,}, but {expected:,} requests were open then"]


@audit("outcomes", "outcomes_add_up")
def outcome_shares(connection: sa.Connection) -> Finding:
    """The outcomes of each group are its closed requests; their incidence is the share closed."""
    laws = {
        "6: Σ outcomes = closed": f"""
            (SELECT sum(closed_as) AS parts, max(closed) AS closed FROM outcomes GROUP BY {", ".join(GROUP_KEYS)}) AS sums
            WHERE parts <> closed""",
        "6: Σ closure reasons = outcomes": """
            outcomes AS o LEFT JOIN (
                SELECT period, outcome, sum(closed) AS closed FROM closure_reasons GROUP BY period, outcome
            ) AS r USING (period, outcome)
            WHERE o.level = 'citywide' AND o.scope = 'all' AND o.closed_as <> coalesce(r.closed, 0)""",
        "6: Σ incidence = share closed": f"""
            (WITH i AS MATERIALIZED (
                SELECT {GROUP} AS its_group, day, sum(closed_share) AS closed_share FROM outcome_incidence GROUP BY 1, 2),
                  c AS MATERIALIZED (SELECT {GROUP} AS its_group, day, open_share FROM time_to_close_curves)
             SELECT * FROM i JOIN c USING (its_group, day)) AS joined
            WHERE abs(closed_share - (1 - open_share)) > {TOLERANCE}""",
    }
    share = _quotient("outcomes", "outcome_share", "closed_as", "closed", "state")
    problems = [*add_up(connection, OUTCOMES), *broken(connection, laws | dict([share]))]
    return Finding(problems, counts=sizes(connection, "outcomes", "closure_reasons", "outcome_incidence"))


def _quotient(table: str, value: str, part: str, whole: str, state: str) -> tuple[str, str]:
    """That a value is part / whole and inside its limits where the state is ok, and withheld elsewhere; and what breaks it."""
    inside = f"{value} BETWEEN {value}_low AND {value}_high"
    allowed = f"{TOLERANCE} * CASE WHEN {value} > 1 THEN {value} ELSE 1 END"
    right = f"abs({value} - 1.0 * {part} / nullif({whole}, 0)) <= {allowed} AND {inside}"
    wrong = f"NOT coalesce(CASE WHEN {state} = '{State.OK}' THEN {right} ELSE {value} IS NULL END, false)"
    return f"{table}: {value} = {part} / {whole}, given only if ok", f"{table} WHERE {wrong}"


@audit("area_comparison", "observed_equals_expected")
def comparison(connection: sa.Connection) -> Finding:
    """Over all areas, what is expected adds up to what is observed."""
    sums = {
        "area_comparison": ("area_comparison", "measure"),
        "area_issue_mix, types": ("area_issue_mix", "issue_type"),
        "area_issue_mix, areas": ("area_issue_mix", "local_area"),
    }
    problems = [
        f"8: {name}: {key}: observed {observed:,}, expected {expected:,.6f}"
        for name, (table, keys) in sums.items()
        for key, observed, expected in fetch(
            connection, f"SELECT {keys}, sum(observed), coalesce(sum(expected), 0) FROM {table} GROUP BY {keys}"
        )
        if abs(observed - expected) > TOLERANCE * max(1, observed)
    ]
    ratios = [
        _quotient(table, "ratio", "observed", "expected", "state") for table in ("area_comparison", "area_issue_mix")
    ]
    return Finding(
        [*problems[:EXAMPLES], *broken(connection, dict(ratios))],
        counts=sizes(connection, "area_comparison", "area_issue_mix"),
    )


@audit("open_request_standing", "every_open_request_stands")
def standing(connection: sa.Connection) -> Finding:
    """Every open request that a curve can be asked about has its line, and no other."""
    expected = f"""
        SELECT request_id FROM service_requests WHERE status = 'Open' AND opened_on >= '{STATIC_BEFORE}'
            AND opened_on <= (SELECT max(as_of) FROM metrics_citywide)
    """
    stored = "SELECT request_id FROM open_request_standing"
    laws = {
        "an open request has no line": f"({expected} EXCEPT {stored}) AS lacking",
        "a line is of no open request": f"({stored} EXCEPT {expected}) AS too_many",
    }
    return Finding(broken(connection, laws), counts=sizes(connection, "open_request_standing"))


@audit("quality_ledger", "quality_ledger_adds_up")
def quality_sums(connection: sa.Connection) -> Finding:
    """The ledger counts every stored and every quarantined row, and every closing on a batch day."""
    sums = {
        "volume": "SELECT count(*) FROM service_requests",
        "n_quarantined": "SELECT count(*) FROM quarantined_requests",
        "n_missing_area": "SELECT coalesce(sum(volume), 0) FROM metrics_unlocated",
        "n_negative": "SELECT n_negative FROM metrics_citywide WHERE scope = 'all'",
        "n_closed_without_date": "SELECT n_closed_without_date FROM metrics_citywide WHERE scope = 'all'",
        "n_batch_closed": f"SELECT count(*) FROM ({_BATCHED}) AS batched",
    }
    totals = {name: count(connection, f"SELECT coalesce(sum({name}), 0) FROM quality_ledger") for name in sums}
    expected = {name: count(connection, query) for name, query in sums.items()}
    problems = [
        f"quality_ledger: {name} adds up to {totals[name]:,}, not to {expected[name]:,}"
        for name in sums
        if totals[name] != expected[name]
    ]
    differing = {
        "batch_days: closings = requests closed on the day": f"({_CLOSED_ON_BATCH_DAYS}) AS days WHERE closings <> counted"
    }
    return Finding([*problems, *broken(connection, differing)], counts=totals | sizes(connection, "batch_days"))


@audit("corrections", "corrections_add_up")
def corrected(connection: sa.Connection) -> Finding:
    """The corrections of all months are the log's entries that are neither new requests nor first closings."""
    parts = {
        "n_vanished": "kind = 'vanished'",
        "n_relabelled": "kind = 'relabelled'",
        "n_reopened": "kind = 'reopened'",
        "n_corrected + n_clerical": "kind = 'edited'",
    }
    problems = []
    for columns, kind in parts.items():
        total = count(connection, f"SELECT coalesce(sum({columns}), 0) FROM corrections")
        entries = count(connection, f"SELECT count(*) FROM request_changes WHERE {kind}")
        if total != entries:
            problems.append(f"corrections: {columns} adds up to {total:,}, but the log has {entries:,} entries")
    return Finding(problems, counts=sizes(connection, "corrections"))


_BATCHED = """
    SELECT 1 FROM service_requests WHERE status = 'Close' AND days_to_close >= 0 AND (
        closed_on IN (SELECT day FROM batch_days WHERE level = 'citywide')
        OR (issue_type, closed_on) IN (SELECT issue_type, day FROM batch_days WHERE level = 'issue')
        OR (department, closed_on) IN (SELECT department, day FROM batch_days WHERE level = 'department'))
"""
_CLOSED_ON_BATCH_DAYS = """
    SELECT day, batch_days.issue_type, batch_days.department, closings, coalesce(sum(requests), 0) AS counted
    FROM batch_days LEFT JOIN (
        SELECT closed_on, issue_type, department, count(*) AS requests FROM service_requests
        WHERE status = 'Close' AND days_to_close >= 0 AND closed_on IN (SELECT day FROM batch_days) GROUP BY 1, 2, 3
    ) AS moved ON closed_on = day AND coalesce(batch_days.issue_type, moved.issue_type) = moved.issue_type
                  AND coalesce(batch_days.department, moved.department) = moved.department
    GROUP BY level, day, batch_days.issue_type, batch_days.department, closings
"""


@audit("outcome_mapping", "closure_reasons_are_mapped", blocking=False)
def unmapped(connection: sa.Connection) -> Finding:
    """Every closure reason belongs to an outcome group (warns)."""
    query = """
        SELECT closure_reason, sum(closed) FROM closure_reasons WHERE outcome = 'Unmapped' AND period = 'all'
        GROUP BY closure_reason HAVING sum(closed) > 0
    """
    notes = [
        f"{reason!r} closed {closed:,} requests and is in no outcome group: add it to metrics/outcomes.py"
        for reason, closed in fetch(connection, query)
    ]
    reasons = count(connection, "SELECT count(*) FROM outcome_mapping WHERE seen = 'yes'")
    return Finding(notes=notes, counts={"reasons": reasons})
