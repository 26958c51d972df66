"""The statistics: time to close, waiting, months, backlog, outcomes, comparison of areas, quality of the record.

Every table with a `level` says which groups a row is about: citywide, neighbourhood (local_area), issue (issue_type), hyper_local
(both), department, or unlocated (requests without an area); the columns that the level does not use are null.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from vanc311_pipeline.metric_definitions import METRICS, STATES_MEANING
from vanc311_pipeline.schema.columns import Column, as_of, count, integer, key, metric, real, table, text, yes_no
from vanc311_pipeline.schema.ledger import MOVED_BY

SHARE, DAYS = "share", "days"
SIDES = (("low", "lower"), ("high", "upper"))
_OR_FOLLOWED = "; too_few also if followed < 30"

LEVELS: dict[str, tuple[str, ...]] = {
    "citywide": (),
    "neighbourhood": ("local_area",),
    "issue": ("issue_type",),
    "hyper_local": ("local_area", "issue_type"),
    "department": ("department",),
    "unlocated": (),
}
"""The columns that name a group of each level."""


PUBLISHED_INDEXES: list[sa.Index] = []
"""Made in the published file only: the pipeline replaces these tables whole and looks nothing up in them."""


def _group() -> list[Column]:
    """Whom a row is about."""
    return [
        text("level", "citywide, neighbourhood, issue, hyper_local, department or unlocated"),
        text("scope", "all = every request; located = those with a local area; unlocated = those without"),
        text("local_area", "the area, where the level has one", nullable=True),
        text("issue_type", "the issue type, where the level has one", nullable=True),
        text("department", "the city department, where the level has one", nullable=True),
    ]


def _by_group(name: str, meaning: str, *columns: Column, looked_up_by: tuple[str, ...] = ()) -> sa.Table:
    """A table that says of each row whom it is about, and by which other columns, in this order, its rows are looked up."""
    made = table(name, meaning, *_group(), *columns, as_of())
    keys = ("level", "local_area", "issue_type", *looked_up_by)
    PUBLISHED_INDEXES.append(sa.Index(f"{name}_by_group", *(made.c[key] for key in keys)))
    return made


def _period() -> Column:
    return text(
        "period", "when they were opened: all, last_30_days, last_90_days, last_12_months, or a year; see table periods"
    )


def _with_limits(name: str, nullable: bool = True) -> list[Column]:
    """A statistic and the limits of its 95 % interval."""
    limits = [real(f"{name}_{side}", f"{word} 95 % limit of {name}", METRICS[name].unit) for side, word in SIDES]
    return [metric(name, nullable=nullable), *limits]


def _state(of: str, name: str = "state", more: str = "", nullable: bool = False) -> Column:
    return text(name, f"of {of}: {STATES_MEANING}{more}", nullable=nullable)


def _quantiles(*names: str, more: str = "") -> Iterator[Column]:
    """Quantiles in whole days, each with its limits, and why it may be missing."""
    for of in names:
        name = of.removesuffix("_days")
        yield metric(of, sa.INTEGER)
        for side, word in SIDES:
            yield integer(f"{name}_{side}", f"{word} 95 % limit of {of}; null if not reached", DAYS, nullable=True)
        yield _state(of, f"{name}_state", more)


def _counts(*names: str) -> Iterator[Column]:
    """Statistics that are counts, and are always given."""
    return (metric(name, sa.INTEGER, nullable=False) for name in names)


periods = table(
    "periods",
    "The periods of opening that statistics are given for.",
    key("period", "all, last_30_days, last_90_days, last_12_months, or a year"),
    text("opened_from", "first day of opening in it that the record covers", "Vancouver date"),
    text("opened_to", "last day of opening in it that the record covers", "Vancouver date"),
    as_of(),
)

time_to_close = _by_group(
    "time_to_close",
    "How long it takes until a request is closed, counting those still open (Kaplan–Meier). Quote last_12_months.",
    _period(),
    count("volume", "requests opened in the period"),
    count("n", "requests behind the curve: at risk on day 0; closed + still_open"),
    count("closed", "of these, closed by as_of"),
    count("still_open", "of these, not closed by as_of: followed until as_of"),
    count("n_static", "not used: opened before 2022-08-17, no longer refreshed by the portal"),
    count("n_after_as_of", "not used: opened after as_of, on a day that is not complete"),
    count("n_negative", "not used: closed before they were opened"),
    count("n_closed_without_date", "not used: closed without a close date, or with one after the release's day"),
    integer("followed_days", "the longest that anybody was followed; null if n = 0", DAYS, nullable=True),
    metric("design_effect"),
    *_quantiles("median_days", "p75_days", "p90_days"),
    *_with_limits("mean_within_30"),
    *_with_limits("mean_within_90"),
    metric("mean_closed_only"),
    metric("median_closed_only", sa.INTEGER),
    looked_up_by=("period",),
)

time_to_close_without = _by_group(
    "time_to_close_without",
    "Time to close of the last 12 months, if what is no ordinary work is left out. Compare with time_to_close.",
    _period(),
    text(
        "left_out",
        "internal types (their name says internal, audit, tracking or transfer case), batch days (what was closed on one, see "
        "batch_days) or both",
    ),
    count("volume", "requests opened in the period, without what is left out"),
    count("n", "requests behind the curve; closed + still_open"),
    count("closed", "of these, closed by as_of"),
    count("still_open", "of these, not closed by as_of: followed until as_of"),
    *_quantiles("median_days", "p90_days"),
    looked_up_by=("period",),
)

time_to_close_curves = _by_group(
    "time_to_close_curves",
    "The curves behind time_to_close on chosen days, where n ≥ 30. Of hyper_local groups for last_12_months only.",
    _period(),
    integer("day", "days after opening; 0 is the day of opening", DAYS),
    count("at_risk", "requests followed for at least so many days"),
    count("closed_by", "requests closed by then"),
    *_with_limits("open_share", nullable=False),
    looked_up_by=("period",),
)

time_to_close_by_weekday = _by_group(
    "time_to_close_by_weekday",
    "How long it takes by the weekday of opening: of the city and of each issue type, opened in the last 12 months.",
    _period(),
    integer("weekday", "of opening: 1 = Monday … 7 = Sunday", "ordinal"),
    count("n", "requests with usable dates opened on this weekday"),
    *_quantiles("median_days"),
    yes_no("weekdays_differ", "yes if the median's interval on some weekday lies above that on another"),
)

current_speed = _by_group(
    "current_speed",
    "How long it takes at the rates of the last 13 settled weeks, whenever a request was opened: what a change of the service "
    "does to new and old requests shows here first.",
    text("weeks_from", "first day of the 13 weeks", "Vancouver date"),
    text("weeks_to", "last day of the 13 weeks, seven days before as_of", "Vancouver date"),
    count("followed", "requests with usable dates that were open on a day of the 13 weeks"),
    count("n", "of these, opened in the 13 weeks"),
    count("closed", "of those followed, closed in the 13 weeks"),
    *_quantiles("median_days", "p75_days", "p90_days"),
)

waiting_times = _by_group(
    "waiting_times",
    "If a request has waited so long already, how much longer? By issue type, and by area and issue type for last_12_months.",
    _period(),
    integer("waited_days", "open at the end of this day after opening; -1 = just opened: of all requests", DAYS),
    count("followed", "requests that were followed beyond this day, still open at its end"),
    metric("open_share", nullable=False),
    *_quantiles("further_median", "further_p75", "further_p90", more=_OR_FOLLOWED),
    looked_up_by=("period", "waited_days"),
)

open_request_standing = table(
    "open_request_standing",
    "Where each open request stands among those of its issue type. Open requests opened from 2022-08-17 to as_of.",
    key("request_id", "the open request", "hex"),
    integer("days_open", "as_of - opened_on", DAYS),
    text("period", "whom it is compared with: last_12_months, or all if fewer than 30 were followed so long in them"),
    count("n", "requests of its issue type opened in the period"),
    count("followed", "of these, followed beyond days_open and still open at its end"),
    metric("closed_sooner_share"),
    metric("further_median", sa.INTEGER),
    _state("further_median", more=_OR_FOLLOWED),
    as_of(),
)


def _within(days: int) -> list[Column]:
    return [
        count(f"n_{days}", f"requests of the month that are at least {days} days old"),
        count(f"within_{days}", f"of these, closed within {days} days"),
        *_with_limits(f"share_{days}"),
        _state(f"share_{days}", f"share_{days}_state"),
    ]


monthly_series = _by_group(
    "monthly_series",
    "Month by month: opened, closed, open at its end, and how fast those opened in it were closed. Every month of the record "
    "for each group, those without a request, too.",
    text("month", "the month", "Vancouver month"),
    *_counts("opened", "closed_in"),
    count("open_at_end", "open at its end, or at as_of if earlier, by today's record; null after as_of", nullable=True),
    count("n", "requests opened in the month that have usable dates: behind the median"),
    count("closed", "of these, closed by as_of"),
    *_quantiles("median_days"),
    *_within(7),
    *_within(30),
    *_within(90),
    yes_no("provisional", "yes if it ends in the seven days up to as_of, or later: late entries may move it"),
    looked_up_by=("month",),
)

year_on_year = _by_group(
    "year_on_year",
    "More or fewer than a year before? The last four settled weeks against the same weekdays 364 days earlier.",
    text("measure", "opened or closed_in: what is counted, as in monthly_series"),
    text("days_from", "first day of the four weeks", "Vancouver date"),
    text("days_to", "last day of the four weeks: as_of - 7", "Vancouver date"),
    text("year_before_from", "days_from - 364", "Vancouver date"),
    text("year_before_to", "days_to - 364", "Vancouver date"),
    count("requests", "requests opened, or closed, from days_from to days_to"),
    count(
        "requests_year_before",
        "the same from year_before_from to year_before_to; null if the record begins later",
        nullable=True,
    ),
    metric("change_on_year"),
    metric("noise_band"),
    integer("blocks", "four weeks of the record that have others a year before them: behind noise_band", "four weeks"),
    _state("noise_band", more="; too_few: fewer than 30 in both years together; too_short: blocks < 13"),
    text(
        "verdict",
        "more, fewer or about as many: whether the change is larger than two years commonly differ; null if not ok",
        nullable=True,
    ),
    real(
        "q_value",
        "Benjamini–Hochberg q of the change over all groups of the level and scope that are ok: a list of those that changed "
        "takes q ≤ 0.05",
        "probability",
    ),
    looked_up_by=("measure",),
)

speed_on_year = _by_group(
    "speed_on_year",
    "Faster or slower than a year before? What was opened in the last 52 settled weeks, against the 52 weeks before.",
    text("opened_from", "first day of opening", "Vancouver date"),
    text("opened_to", "last day of opening: the last settled one, as_of - 7", "Vancouver date"),
    text("year_before_from", "opened_from - 364", "Vancouver date"),
    text("year_before_to", "opened_to - 364", "Vancouver date"),
    integer(
        "horizon_days",
        "7, 30 or 90: within which nearest to half of its type, department or city were closed in the year before",
        DAYS,
    ),
    count("n", "requests of the 52 weeks that have usable dates"),
    count("n_year_before", "the same of the 52 weeks before"),
    *_with_limits("share_within"),
    *_with_limits("share_within_year_before"),
    *_with_limits("share_change"),
    _state("share_change", more="; too_few: fewer than 30 of the year before, or than 30 that are horizon_days old"),
    *_quantiles("median_days", "median_year_before_days"),
    real(
        "q_value",
        "Benjamini–Hochberg q of share_change over the groups of the level and scope that are ok",
        "probability",
    ),
    text("verdict", "faster, slower, about the same or unclear, by share_change; null if not ok", nullable=True),
)

reporting_times = _by_group(
    "reporting_times",
    "At which hours of the week requests are reported. Last 12 months; hours without a request have no row.",
    _period(),
    integer("weekday", "1 = Monday, 7 = Sunday", "ordinal"),
    integer("hour", "the hour in Vancouver in which it was opened: 0 to 23", "hour"),
    count("requests", "requests opened in this hour of the week"),
)

channels = _by_group(
    "channels",
    "In which ways requests are reported. Last 12 months; channels that were not used have no row.",
    _period(),
    text("channel", "how it was reported, as published; unknown if it isn't stated"),
    count("requests", "requests reported in this way"),
    count("volume", "requests opened in the period"),
)

area_rates = _by_group(
    "area_rates",
    "How many requests of the last 12 months come on a thousand residents, and dwellings, of 2016. No ranks: see docs/methods.md.",
    _period(),
    count("requests", "requests opened in the period"),
    integer("census_year", "the year of residents and dwellings: newer ones are not published by area", "year"),
    integer("residents", "residents of the area; of Dunbar-Southlands with Musqueam 2", "residents"),
    integer("dwellings", "occupied private dwellings of the area", "dwellings"),
    metric("dispersion"),
    *_with_limits("per_1000_residents"),
    *_with_limits("per_1000_dwellings"),
    text("state", "ok, no_requests, or too_few: fewer than 30 requests"),
)

backlog_by_age = _by_group(
    "backlog_by_age",
    "The open requests by how long they have been open. The bands of a group add up to its open requests.",
    text("age_band", "days open: 0-7, 8-30, 31-90, 91-365, over 365; or opened after as_of"),
    integer("band_order", "1 = youngest; 6 = opened after as_of", "ordinal"),
    count("open_requests", "open requests in the band"),
    count("located", "of these, with a local area"),
    count("n_static", "of these, opened before 2022-08-17: whether they are still open is not known"),
    metric("share_of_open"),
)

backlog_daily = _by_group(
    "backlog_daily",
    "What was open at the end of each day, for the city and each area, as today's record shows it.",
    text("day", "the day", "Vancouver date"),
    count("opened", "requests opened on the day, without those of unknown status or closed without a date"),
    *_counts("closed_in", "backlog"),
    yes_no("understated", "yes before 2023-08-17: requests from before the record are missing"),
    yes_no("provisional", "yes in the seven days up to as_of: late entries may move it"),
    looked_up_by=("day",),
)

flow = _by_group(
    "flow",
    "Is the backlog growing, more than the season makes it grow? Of requests opened from 2022-08-17: the last 13 settled weeks, "
    "against the same weeks of up to three earlier years.",
    text("weeks_from", "Monday of the first week", "Vancouver date"),
    text("weeks_to", "Sunday of the last week that ended at least seven days before as_of", "Vancouver date"),
    count("opened", "requests opened in the 13 weeks"),
    count("closed_in", "requests closed in them"),
    count("net", "opened - closed_in"),
    count("backlog_start", "open at the end of the day before the first week"),
    count("backlog_end", "open at the end of the last week"),
    count("backlog_year_before", "open 52 weeks before that; null if the record is too short", nullable=True),
    integer("years", "earlier years that it is compared with; 0 = the record is too short", "years"),
    count("net_low", "smallest net of the same weeks of these years; null if there are none", nullable=True),
    count("net_high", "largest net of the same weeks of these years", nullable=True),
    metric("usual_change"),
    metric("change_beyond_usual"),
    metric("distance_from_usual"),
    metric("flow", sa.TEXT, nullable=False),
    metric("labels_in_backtest"),
    integer("weeks_in_backtest", "weeks behind labels_in_backtest", "weeks"),
)

outcome_mapping = table(
    "outcome_mapping",
    "Which outcome group each closure reason belongs to: an interpretation, not the city's classification.",
    key("closure_reason", "the city's reason, as published; N/A stands for none"),
    text("outcome", "the group"),
    integer("outcome_order", "1 to 6; 7 = unmapped", "ordinal"),
    text("mapping_version", "version of the mapping"),
    yes_no("seen", "yes if a closed request has the reason"),
)

outcomes = _by_group(
    "outcomes",
    "How closed requests were closed, in groups, by period of opening. The groups add up to the closed requests.",
    _period(),
    text("outcome", "the outcome group; see outcome_mapping"),
    integer("outcome_order", "1 to 6; 7 = unmapped", "ordinal"),
    count("closed_as", "requests closed in this way"),
    count("closed", "requests closed in any way"),
    count("open_requests", "requests still open, which have no outcome"),
    *_with_limits("outcome_share"),
    _state("outcome_share"),
    looked_up_by=("period",),
)

closure_reasons = table(
    "closure_reasons",
    "How often each department gave each closure reason, by period of opening.",
    _period(),
    text("department", "the city department"),
    text("closure_reason", "the city's reason, as published; N/A stands for none"),
    text("outcome", "the outcome group; see outcome_mapping"),
    count("closed", "closed requests with this reason"),
    count("open_requests", "open requests with this reason: nearly all have N/A, for the status decides"),
    as_of(),
)

outcome_incidence = _by_group(
    "outcome_incidence",
    "Share of all requests that were closed in each way within so many days. Over the outcomes it adds up to the share closed.",
    _period(),
    text("outcome", "the outcome group; see outcome_mapping"),
    integer("outcome_order", "1 to 6; 7 = unmapped", "ordinal"),
    integer("day", "days after opening", DAYS),
    count("n", "requests behind it"),
    *_with_limits("closed_share", nullable=False),
    looked_up_by=("period",),
)

area_comparison = table(
    "area_comparison",
    "Each local area against what the city's rates give for the area's own types of request. No ranks: see docs/methods.md.",
    text("measure", "open_after_30_days (ratio above 1: slower) or closings in all follow-up (above 1: faster)"),
    text("local_area", "one of the city's 22 local areas"),
    text("opened_from", "first day of opening of what is compared", "Vancouver date"),
    text("opened_to", "last day of opening of what is compared: as_of - 30", "Vancouver date"),
    count("n", "located requests opened in the window that have usable dates"),
    count("observed", "O: requests open after 30 days, or closings"),
    real("expected", "E: what the city's rates for the same types give", "requests"),
    *_with_limits("ratio"),
    _state("ratio", more="; too_few also if expected < 5"),
    real("city_share", "share of all these requests that were open after 30 days; null for closings", SHARE),
    *_with_limits("adjusted_share"),
    real("supported_weight", "share of the city's mix whose rates the area supports: ≥ 10 requests", SHARE),
    *_with_limits("standardised_share"),
    _state(
        "standardised_share", "standardised_share_state", "; too_few if supported_weight < 0.8; null for closings", True
    ),
    real("se_log_ratio", "standard error of ln(ratio): delete-one-month jackknife, at least 0.8 / √E", "ratio"),
    real("q_value", "Benjamini–Hochberg q of the difference from 1, over the areas shown", "probability"),
    text("verdict", "clearly or somewhat more or fewer, about the same or unclear; null if suppressed", nullable=True),
    metric("tau"),
    metric("shrunken_ratio"),
    text(
        "among_areas",
        "outside if |ln(ratio)| > 2 √(tau² + se_log_ratio²), else within; null if suppressed",
        nullable=True,
    ),
    real("z", "(O - E) / √V, as if requests were independent; the verdict goes by se_log_ratio", "ratio"),
    real("pooled_share", "share of the area's requests of rare types: rate from the department or the city", SHARE),
    real("ratio_without_own", "ratio with rates from the other areas only", "ratio"),
    as_of(),
)

area_issue_mix = table(
    "area_issue_mix",
    "What is reported more or less often in an area than the city's mix would give for as many requests. Last 365 days.",
    text("local_area", "one of the city's 22 local areas"),
    text("issue_type", "what was asked for"),
    count("observed", "O: requests of this type in the area"),
    count("n", "all requests of the area"),
    real("expected", "E: n · (the type's requests in all areas / all located requests)", "requests", nullable=False),
    *_with_limits("ratio"),
    real("q_value", "Benjamini–Hochberg q of the difference from 1, over all cells shown", "probability"),
    text("finding", "more (ratio ≥ 1.5) or fewer (≤ 0.67) at q ≤ 0.05, else no clear difference", nullable=True),
    text("state", "ok, or too_few: n < 30 or expected < 5"),
    as_of(),
)

batch_days = _by_group(
    "batch_days",
    "Days on which many requests were closed at once, of the city, a department or an issue type.",
    text("day", "the day", "Vancouver date"),
    count("closings", "requests closed on the day"),
    metric("usual_closings", nullable=False),
    metric("tail_probability", nullable=False),
    metric("share_of_closings", nullable=False),
)

quality_ledger = table(
    "quality_ledger",
    "What is missing or odd in the record, by month of opening and department.",
    text("open_month", "month of opening; of quarantined rows their UTC month, or undated", "Vancouver month"),
    text("department", "the city department; of a quarantined row as served, or unknown"),
    count("volume", "requests"),
    *_counts("n_missing_area", "n_missing_point"),
    integer("n_quarantined", "rows that can't be keyed; not in volume", "rows"),
    count("n_negative", "requests closed before they were opened"),
    count("n_closed_without_date", "requests closed without a close date, or with one after the release's day"),
    *_counts("n_twins", "n_repeats", "n_batch_closed", "n_obsolete_label"),
    count("n_unmapped_reason", "closed requests whose reason is in no outcome group"),
    as_of(),
)

corrections = table(
    "corrections",
    "What the city changed in its record, by the month in which it published the change and department.",
    text("release_month", "month of the portal's release that brought the changes", "UTC month"),
    text("department", "the city department; of a relabelled request, the new one"),
    *_counts("n_vanished", "n_relabelled", "n_reopened", "n_corrected", "n_clerical"),
    as_of(),
)

revisions = table(
    "revisions",
    "How far figures still move after they are first published: R = (v − v') / v, of the value after 90 days and of that so many "
    "days after the end of the period. Measured from 13 references on.",
    text("figure", "as in figure_vintages"),
    *_group(),
    integer("lag_days", "days after the week's end, or from the day on which a month's figure was first given", DAYS),
    integer("n", "weeks or months that were followed for 90 days, on one basis", "rows"),
    *_with_limits("mean_revision"),
    metric("mean_absolute"),
    metric("p95_absolute"),
    real("share_up", "share of the references with R > 0", SHARE),
    *(real(name, f"part of mean_revision that {words} made", SHARE) for name, words in MOVED_BY.items()),
    text("state", "ok; too_few if n < 13"),
    as_of(),
)

settling = table(
    "settling",
    "After how many days a week's figure hardly moves any more. The largest number decides which days are provisional.",
    key("figure", "opened, closed_in or pile"),
    integer("settles_after_days", "from so many days after its end on it is settled", DAYS),
    text(
        "rule",
        "by rule, until it is known; measured, if 19 in 20 revisions are ≤ 0.5 % of the city and ≤ 2 % of the median area",
    ),
    integer("n", "weeks behind it", "rows"),
    as_of(),
)

PUBLISHED_INDEXES.append(sa.Index("area_issue_mix_by_area", area_issue_mix.c.local_area))
