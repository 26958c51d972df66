"""One planted violation, or several, for each check of the statistics."""

from vanc311_pipeline import schema
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline_tests.integration.planting import WARN, Case, Violations, cases, stored

CITY = "level = 'citywide' AND scope = 'all'"
RECENT = "period = 'last_12_months'"
OF_A_LINE = ", ".join(schema.figure_vintages.columns.keys()[1:-1])
CITYS_PORTAL = {"portal_url": "https://opendata.vancouver.ca"}


def a_row(table: str, where: str = "true") -> str:
    return f"rowid = (SELECT min(rowid) FROM {table} WHERE {where})"


def all_months_of_2025(settings: Settings) -> None:
    """The ledger says that every month of 2025 is there."""
    columns = ", ".join(column.name for column in schema.month_ledger.columns)
    with_month = columns.replace("partition_month", "'{month}'")
    for month in (*(f"2025-{number:02}" for number in range(1, 13)), "2026-01"):
        stored(
            settings,
            f"INSERT INTO month_ledger ({columns}) SELECT {with_month.format(month=month)} FROM month_ledger "
            f"WHERE dataset = '{LIVE}' LIMIT 1 ON CONFLICT (dataset, partition_month) DO UPDATE SET run_id = 'planted'",
        )


STATISTICS_WRONG: Violations = {
    "time_to_close_adds_up": {
        "time_to_close: 1: city.all = Σ neighbourhoods + unlocated": "UPDATE time_to_close SET n = n + 1, closed = "
        f"closed + 1, volume = volume + 1 WHERE {CITY} AND {RECENT}",
        "3: neighbourhood = Σ of its issues": "UPDATE time_to_close SET n = n - 1, n_static = n_static + 1 WHERE level "
        "= 'hyper_local' AND closed > 0",
        "4: time_to_close: volume = n + not used, n = closed + still_open: fails in 1 rows": "UPDATE time_to_close SET "
        f"still_open = still_open + 1 WHERE {CITY} AND {RECENT}",
        "differs from metrics_by_issue": "DELETE FROM time_to_close WHERE period = 'all' AND issue_type = 'Street Light Out Case'",
    },
    "weekdays_add_up": {
        "time_to_close_by_weekday: 2: city.all = Σ issues.all": f"UPDATE time_to_close_by_weekday SET n = n + 1 WHERE {CITY} AND weekday = 1",
        "Σ weekdays = n of time_to_close: fails in 1 rows": f"UPDATE time_to_close_by_weekday SET n = n - 1 WHERE {CITY} AND weekday = 7",
    },
    "current_speed_adds_up": {
        "current_speed: 1: city.all = Σ neighbourhoods + unlocated": f"UPDATE current_speed SET followed = followed + 1 WHERE {CITY}",
    },
    "what_is_left_out_adds_up": {
        "time_to_close_without: 1: city.all = Σ neighbourhoods + unlocated": "UPDATE time_to_close_without SET closed = closed + 1 "
        f"WHERE {CITY} AND left_out = 'both'",
        "n = closed + still_open ≤ n of all: fails in 1 rows": "UPDATE time_to_close_without SET still_open = still_open + 1 "
        f"WHERE {CITY} AND left_out = 'both'",
    },
    "curves_agree_with_quantiles": {
        "median_days against its curve: fails in": f"UPDATE time_to_close SET median_days = median_days + 1 WHERE {CITY} AND {RECENT}",
        "p90_days against its curve: fails in": f"UPDATE time_to_close SET p90_days = NULL WHERE {CITY} AND {RECENT}",
        "a curve rises or leaves its interval": "UPDATE time_to_close_curves SET open_share = open_share + 0.5 WHERE "
        f"{CITY} AND {RECENT} AND day = 9",
    },
    "curves_recomputed_agree": {
        "citywide all: the curve differs on [7]": "UPDATE time_to_close_curves SET open_share = open_share + 1e-8 "
        f"WHERE {CITY} AND {RECENT} AND day = 7",
        "citywide all: the curve differs on [0]": f"UPDATE time_to_close_curves SET at_risk = at_risk + 1 WHERE {CITY} AND {RECENT} AND day = 0",
        "neighbourhood Downtown: the curve differs on every day: it is missing": "DELETE FROM time_to_close_curves "
        f"WHERE local_area = 'Downtown' AND {RECENT}",
    },
    "months_add_up": {
        "monthly_series: 1: city.all": f"UPDATE monthly_series SET opened = opened + 1 WHERE {CITY} AND month = '2024-01'",
        "monthly_series: citywide (all) differs from metrics_citywide": "DELETE FROM monthly_series WHERE month = '2024-01'",
        "monthly_series: share_30 = within_30 / n_30, given only if ok: fails in 1 rows": "UPDATE monthly_series SET "
        f"share_30 = share_30 - 0.01 WHERE {CITY} AND month = '2024-01'",
        "share_90 = within_90 / n_90, given only if ok": f"UPDATE monthly_series SET share_90 = 0.5 WHERE {CITY} AND "
        "share_90_state = 'immature'",
    },
    "years_are_compared_rightly": {
        "year_on_year: 1: city.all = Σ neighbourhoods + unlocated": "UPDATE year_on_year SET requests = requests + 1 "
        f"WHERE {CITY} AND measure = 'opened'",
        "year_on_year: 3: neighbourhood = Σ of its issues": "DELETE FROM year_on_year WHERE level = 'hyper_local' AND requests > 0",
        "5: year_on_year: the city's closed_in is": "UPDATE year_on_year SET requests_year_before = "
        f"requests_year_before + 1 WHERE {CITY} AND measure = 'closed_in'",
        "change and verdict follow from the counts and noise_band, given only if ok: fails in 2 rows": "UPDATE year_on_year SET "
        f"verdict = 'fewer' WHERE {CITY}",
    },
    "backlog_adds_up": {
        "7: B(t) = B(t − 1) + opened(t) − closed(t): fails in 2 rows": "UPDATE backlog_daily SET backlog = backlog + 1 "
        f"WHERE {CITY} AND day = '2024-02-01'",
        "7: B(as_of) is 0, but": f"DELETE FROM backlog_daily WHERE {CITY} AND day = as_of",
        "backlog_by_age: citywide (all) differs from metrics_citywide": "UPDATE backlog_by_age SET open_requests = "
        f"open_requests + 1 WHERE {CITY} AND band_order = 2",
        "7: flow: net = opened − closed_in": f"UPDATE flow SET net = net + 1 WHERE {CITY}",
    },
    "revisions_are_in_the_log": {
        "1 was published (line 1), the requests and the log give 0": "UPDATE figure_vintages SET value = 1 WHERE vintage_id = 1",
        "was published (line 0), the requests and the log give": f"INSERT INTO figure_vintages SELECT 0, {OF_A_LINE}, "
        "value + 1 FROM figure_vintages WHERE vintage_id = 1",
        "change 1 does not lead to what is stored of request nobody": "INSERT INTO request_changes (change_id, kind, "
        "request_id, thread_id, partition_month, department, issue_type, opened_at, sharing, seen_at, data_processed, run_id) "
        "VALUES (1, 'edited', 'nobody', 'nobody', '2024-01', 'd', 't', '2024-01-05T00:00:00Z', 1, '2026-01-13T00:00:00Z', "
        "'2026-01-13T00:00:00Z', 'a run')",
    },
    "outcomes_add_up": {
        "6: Σ outcomes = closed: fails in 1 rows": f"UPDATE outcomes SET closed_as = closed_as + 1 WHERE {CITY} AND "
        f"{RECENT} AND outcome_order = 1",
        "6: Σ closure reasons = outcomes": f"UPDATE closure_reasons SET closed = closed + 1 WHERE {a_row('closure_reasons', RECENT)}",
        "6: Σ incidence = share closed: fails in 1 rows": "UPDATE outcome_incidence SET closed_share = 0.9 WHERE "
        f"{CITY} AND {RECENT} AND day = 7 AND outcome_order = 1",
        "outcomes: outcome_share = closed_as / closed": f"UPDATE outcomes SET outcome_share = 0.5 WHERE {CITY} AND "
        f"{RECENT} AND outcome_order = 3",
    },
    "every_open_request_stands": {
        "an open request has no line: fails in 1 rows": "DELETE FROM open_request_standing WHERE rowid = (SELECT "
        "min(rowid) FROM open_request_standing)",
        "a line is of no open request: fails in 1 rows": "UPDATE open_request_standing SET request_id = 'nobody' WHERE rowid = 1",
    },
    "observed_equals_expected": {
        "8: area_comparison: closings: observed": "UPDATE area_comparison SET expected = expected + 0.001 WHERE measure "
        "= 'closings' AND local_area = 'Downtown'",
        "8: area_issue_mix, types: ": f"UPDATE area_issue_mix SET observed = observed + 1 WHERE {a_row('area_issue_mix')}",
        "area_issue_mix: ratio = observed / expected, given only if ok": "UPDATE area_issue_mix SET ratio = 1 WHERE "
        f"{a_row('area_issue_mix', 'ratio IS NULL')}",
    },
    "quality_ledger_adds_up": {
        "quality_ledger: volume adds up to": f"DELETE FROM quality_ledger WHERE {a_row('quality_ledger')}",
        "quality_ledger: n_batch_closed adds up to": "DELETE FROM batch_days",
        "batch_days: closings = requests closed on the day: fails in 1 rows": "UPDATE batch_days SET closings = closings "
        f"+ 1 WHERE {a_row('batch_days')}",
        "quality_ledger: n_missing_area adds up to": "UPDATE quality_ledger SET n_missing_area = n_missing_area + 1 "
        f"WHERE {a_row('quality_ledger')}",
    },
}

STATISTICS_WRONG["corrections_add_up"] = {
    "corrections: n_corrected + n_clerical adds up to 3, but the log has 0 entries": "INSERT INTO corrections VALUES "
    "('2026-01', 'ENG', 0, 0, 0, 1, 2, '2026-01-12')",
}

STATISTICS_ODD: Violations = {
    "closure_reasons_are_mapped": {
        "'Sent to the moon' closed": "UPDATE closure_reasons SET closure_reason = 'Sent to the moon', outcome = "
        f"'Unmapped' WHERE {a_row('closure_reasons', 'closed > 0')}",
    },
    "quality_is_as_usual": {
        "100.0% of requests are without a point": "UPDATE quality_ledger SET n_missing_point = volume WHERE open_month = '2025-12'",
    },
}

STATISTICS_CASES = [
    *cases(STATISTICS_WRONG),
    *cases(STATISTICS_ODD, WARN),
    Case(
        "published_2025_figures_are_near",
        all_months_of_2025,
        "requests (published 272,580): ours is",
        WARN,
        settings=CITYS_PORTAL,
    ),
]
