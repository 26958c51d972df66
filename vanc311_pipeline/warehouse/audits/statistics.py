"""Audits of the statistics: the laws between their tables, and with the headline metrics.

Numbering follows docs/methods.md. Everything is compared in whole numbers, but for the shares.
"""

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.monthly import WITHIN
from vanc311_pipeline.metrics.statistics import DAILY as DAILY_KINDS
from vanc311_pipeline.metrics.statistics import NOT_HYPER_LOCAL
from vanc311_pipeline.registry import State
from vanc311_pipeline.settings import STATIC_BEFORE
from vanc311_pipeline.warehouse.audits.laws import Additive, add_up, agree
from vanc311_pipeline.warehouse.audits.questions import GROUP, Finding, count, none_where, sizes
from vanc311_pipeline.warehouse.audits.register import audit

LISTED = 5
TOLERANCE = 1e-9


TIME_TO_CLOSE = Additive(
    "time_to_close",
    ("volume", "n", "closed", "still_open", "n_static", "n_after_as_of", "n_negative", "n_closed_without_date"),
    ("period",),
)
MONTHLY = Additive(
    "monthly_series",
    (
        "opened",
        "closed_in",
        "open_at_end",
        "n",
        "closed",
        *(f"{count}_{days}" for days in WITHIN for count in ("n", "within")),
    ),
    ("month",),
)
BY_AGE = Additive("backlog_by_age", ("open_requests", "located", "n_static"), ("age_band",), NOT_HYPER_LOCAL)
DAILY = Additive("backlog_daily", ("opened", "closed_in", "backlog"), ("day",), DAILY_KINDS)
FLOW = Additive(
    "flow", ("opened", "closed_in", "net", "backlog_start", "backlog_end", "net_year_before"), (), NOT_HYPER_LOCAL
)
OUTCOMES = Additive("outcomes", ("closed_as", "closed", "open_requests"), ("period", "outcome"), NOT_HYPER_LOCAL)


@audit("time_to_close", "time_to_close_adds_up")
def timing(connection: sa.Connection) -> Finding:
    """Requests used and not used, closed and still open, add up over groups, and to the headline metrics.

    Laws 1 to 4 of docs/methods.md.
    """
    lost = "volume <> n + n_static + n_after_as_of + n_negative + n_closed_without_date OR n <> closed + still_open"
    return Finding(
        [
            *add_up(connection, TIME_TO_CLOSE),
            *none_where(
                connection,
                "4: time_to_close: volume = n + not used, n = closed + still_open",
                f"time_to_close WHERE {lost}",
            ),
            *agree(connection, TIME_TO_CLOSE, {"volume": "volume"}, "period = 'all'"),
        ],
        counts=sizes(connection, schema.time_to_close),
    )


@audit("monthly_series", "months_add_up")
def monthly(connection: sa.Connection) -> Finding:
    """The months of each group add up to its volume and its closed requests, and the groups to the city.

    Laws 1 to 3 and 5.
    """
    return Finding(
        [
            *add_up(connection, MONTHLY),
            *agree(connection, MONTHLY, {"opened": "volume", "closed_in": "closed - n_closed_without_date"}),
            *(
                problem
                for days in WITHIN
                for problem in _quotient(
                    connection, "monthly_series", f"share_{days}", f"within_{days}", f"n_{days}", f"share_{days}_state"
                )
            ),
        ],
        counts=sizes(connection, schema.monthly_series),
    )


@audit("backlog_daily", "backlog_adds_up")
def backlog(connection: sa.Connection) -> Finding:
    """Each day's backlog is the day before's plus opened minus closed; the age bands are the open requests.

    Laws 1 to 3, 5 and 7.
    """
    return Finding(
        [
            *(problem for each in (BY_AGE, DAILY, FLOW) for problem in add_up(connection, each)),
            *agree(connection, BY_AGE, {"open_requests": "open_requests"}),
            *_recurrence(connection),
            *_last_level(connection),
            *none_where(
                connection,
                "7: flow: net = opened − closed_in = backlog_end − backlog_start",
                "flow WHERE net <> opened - closed_in OR net <> backlog_end - backlog_start",
            ),
        ],
        counts=sizes(connection, schema.backlog_by_age, schema.backlog_daily, schema.flow),
    )


@audit("outcomes", "outcomes_add_up")
def outcome_shares(connection: sa.Connection) -> Finding:
    """The outcomes of each group are its closed requests; their incidence is the share closed.

    Laws 1 to 3 and 6; over the outcomes, the incidence is 1 − S.
    """
    by_reason = """
        outcomes AS o LEFT JOIN (
            SELECT period, outcome, sum(closed) AS closed FROM closure_reasons GROUP BY period, outcome
        ) AS r USING (period, outcome)
        WHERE o.level = 'citywide' AND o.scope = 'all' AND o.closed_as <> coalesce(r.closed, 0)
    """
    not_whole = """
        (SELECT sum(closed_as) AS parts, max(closed) AS closed FROM outcomes
         GROUP BY level, scope, local_area, issue_type, department, period) AS sums WHERE parts <> closed
    """
    return Finding(
        [
            *add_up(connection, OUTCOMES),
            *none_where(connection, "6: Σ outcomes = closed", not_whole),
            *none_where(connection, "6: Σ closure reasons = outcomes", by_reason),
            *agree(connection, OUTCOMES, {"closed_as": "closed"}, "period = 'all'"),
            *_incidence(connection),
            *_quotient(connection, "outcomes", "outcome_share", "closed_as", "closed", "state"),
        ],
        counts=sizes(connection, schema.outcomes, schema.closure_reasons, schema.outcome_incidence),
    )


@audit("area_comparison", "observed_equals_expected")
def comparison(connection: sa.Connection) -> Finding:
    """Over all areas, what is expected adds up to what is observed.

    Law 8.
    """
    sums = {
        "area_comparison": "SELECT measure, sum(observed), coalesce(sum(expected), 0) FROM area_comparison GROUP BY measure",
        "area_issue_mix, types": "SELECT issue_type, sum(observed), coalesce(sum(expected), 0) FROM area_issue_mix GROUP BY issue_type",
        "area_issue_mix, areas": "SELECT local_area, sum(observed), coalesce(sum(expected), 0) FROM area_issue_mix GROUP BY local_area",
    }
    problems = [
        f"8: {table}: {name}: observed {observed:,}, expected {expected:,.6f}"
        for table, query in sums.items()
        for name, observed, expected in connection.execute(sa.text(query))
        if abs(observed - expected) > TOLERANCE * max(1, observed)
    ]
    for table in ("area_comparison", "area_issue_mix"):
        problems += _quotient(connection, table, "ratio", "observed", "expected", "state")
    return Finding(problems[:LISTED], counts=sizes(connection, schema.area_comparison, schema.area_issue_mix))


@audit("open_request_standing", "every_open_request_stands")
def standing(connection: sa.Connection) -> Finding:
    """Every open request that a curve can be asked about has its line, and no other."""
    expected = f"""
        SELECT request_id FROM service_requests WHERE status = 'Open' AND opened_on >= '{STATIC_BEFORE}'
            AND opened_on <= (SELECT max(as_of) FROM metrics_citywide)
    """
    stored = "SELECT request_id FROM open_request_standing"
    return Finding(
        [
            *none_where(connection, "an open request has no line", f"({expected} EXCEPT {stored}) AS lacking"),
            *none_where(connection, "a line is of no open request", f"({stored} EXCEPT {expected}) AS too_many"),
        ],
        counts=sizes(connection, schema.open_request_standing),
    )


@audit("quality_ledger", "quality_ledger_adds_up")
def quality_sums(connection: sa.Connection) -> Finding:
    """The ledger counts every stored and every quarantined row."""
    sums = {
        "volume": "SELECT count(*) FROM service_requests",
        "n_quarantined": "SELECT count(*) FROM quarantined_requests",
        "n_missing_area": "SELECT coalesce(sum(volume), 0) FROM metrics_unlocated",
        "n_negative": "SELECT n_negative FROM metrics_citywide WHERE scope = 'all'",
        "n_closed_without_date": "SELECT n_closed_without_date FROM metrics_citywide WHERE scope = 'all'",
    }
    totals = {name: count(connection, f"SELECT coalesce(sum({name}), 0) FROM quality_ledger") for name in sums}
    expected = {name: count(connection, query) for name, query in sums.items()}
    return Finding(
        [
            f"quality_ledger: {name} adds up to {totals[name]:,}, not to {expected[name]:,}"
            for name in sums
            if totals[name] != expected[name]
        ],
        counts=totals,
    )


@audit("outcome_mapping", "closure_reasons_are_mapped", blocking=False)
def unmapped(connection: sa.Connection) -> Finding:
    """Every closure reason belongs to an outcome group (warns)."""
    query = """
        SELECT closure_reason, sum(closed) FROM closure_reasons WHERE outcome = 'Unmapped' AND period = 'all'
        GROUP BY closure_reason HAVING sum(closed) > 0
    """
    reasons = connection.execute(sa.text(query)).all()
    return Finding(
        notes=[
            f"{reason!r} closed {closed:,} requests and is in no outcome group: add it to metrics/outcomes.py"
            for reason, closed in reasons
        ],
        counts={"reasons": count(connection, "SELECT count(*) FROM outcome_mapping WHERE seen = 'yes'")},
    )


# -- what the audits share -------------------------------------------------------------------------------------------


def _quotient(connection: sa.Connection, table: str, value: str, part: str, whole: str, state: str) -> list[str]:
    """A value is part / whole and inside its limits where the state is ok, and withheld elsewhere."""
    inside = f"{value} BETWEEN {value}_low AND {value}_high"
    allowed = f"{TOLERANCE} * CASE WHEN {value} > 1 THEN {value} ELSE 1 END"
    right = f"abs({value} - 1.0 * {part} / nullif({whole}, 0)) <= {allowed} AND {inside}"
    wrong = f"NOT coalesce(CASE WHEN {state} = '{State.OK}' THEN {right} ELSE {value} IS NULL END, false)"
    return none_where(connection, f"{table}: {value} = {part} / {whole}, given only if ok", f"{table} WHERE {wrong}")


def _recurrence(connection: sa.Connection) -> list[str]:
    broken = """
        (SELECT opened, closed_in, backlog, coalesce(lag(backlog) OVER (
            PARTITION BY level, scope, local_area, issue_type, department ORDER BY day), 0) AS before
         FROM backlog_daily) AS levels WHERE backlog <> before + opened - closed_in
    """
    return none_where(connection, "7: B(t) = B(t − 1) + opened(t) − closed(t)", broken)


def _last_level(connection: sa.Connection) -> list[str]:
    """B(as_of) against the open requests themselves."""
    query = """
        WITH day AS (SELECT max(as_of) AS as_of FROM metrics_citywide)
        SELECT count(*) FILTER (WHERE status = 'Open' AND opened_on <= as_of)
               + count(*) FILTER (WHERE opened_on <= as_of AND closed_on > as_of AND days_to_close IS NOT NULL)
        FROM service_requests, day
    """
    level = (
        "SELECT coalesce(max(backlog), 0) FROM backlog_daily WHERE level = 'citywide' AND scope = 'all' AND day = as_of"
    )
    expected, stored = count(connection, query), count(connection, level)
    return [] if expected == stored else [f"7: B(as_of) is {stored:,}, but {expected:,} requests were open then"]


def _incidence(connection: sa.Connection) -> list[str]:
    """The cumulative incidences of a group add up to the share closed, on every day that both tables give."""
    joined = f"""
        (WITH i AS MATERIALIZED (
            SELECT {GROUP} AS its_group, day, sum(closed_share) AS closed_share FROM outcome_incidence GROUP BY 1, 2),
              c AS MATERIALIZED (SELECT {GROUP} AS its_group, day, open_share FROM time_to_close_curves)
         SELECT * FROM i JOIN c USING (its_group, day)) AS joined
        WHERE abs(closed_share - (1 - open_share)) > {TOLERANCE}
    """
    return none_where(connection, "6: Σ incidence = share closed", joined)
