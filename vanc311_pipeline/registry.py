"""The registry: every statistic's definition, once, in words that a reader without statistics understands.

What belongs here: names, meanings, formulas, units, limits and sources. What does not: the computation (`metrics`) and the
tables (`schema`). The data dictionary, docs/methods.md, the table `metric_definitions` and the captions of the charts take
their words from here, so a change of a definition is a change of this file, and of `DEFINITIONS_VERSION`.
"""

from dataclasses import dataclass
from enum import StrEnum

DEFINITIONS_VERSION = "2"


class State(StrEnum):
    """Why a statistic has a value or none. Every table that may withhold a number says which of these holds."""

    OK = "ok"
    NO_REQUESTS = "no_requests"
    NO_USABLE_TIMING = "no_usable_timing"
    TOO_FEW = "too_few"
    NOT_REACHED = "not_reached"
    IMMATURE = "immature"


STATES = {
    State.OK: "There is a value.",
    State.NO_REQUESTS: "No request at all, in a period that the record covers.",
    State.NO_USABLE_TIMING: "Requests exist, but none has usable dates; the columns n_static, n_after_as_of, n_negative and "
    "n_closed_without_date say why.",
    State.TOO_FEW: "Fewer than 30 requests: chance would speak louder than the service, so no statistic is given.",
    State.NOT_REACHED: "More than half (a quarter, a tenth) were still open on the last day that anybody was followed to.",
    State.IMMATURE: "The youngest of the month's requests are not yet as old as the question asks; come back later.",
}
STATES_MEANING = (
    "ok, or why there is no value: no_requests, no_usable_timing, too_few (n < 30), not_reached or immature"
)


@dataclass(frozen=True)
class Metric:
    """One statistic."""

    name: str
    """The column that holds it."""
    title: str
    meaning: str
    """What it says, in plain language; column comment, caption and the first line in the docs."""
    formula: str
    unit: str
    direction: str
    """What a larger value means."""
    scope: str
    """Which requests it is about."""
    minimum_n: int
    """Below this many requests no value is published."""
    source: str


@dataclass(frozen=True)
class Family:
    """Statistics that are explained together: a section of docs/methods.md."""

    title: str
    plain: str
    """The first paragraph: for a reader without statistics."""
    why: str
    limits: str
    details: tuple[str, ...]
    """Rules that decide the last digit, for whoever computes the numbers again."""
    tables: tuple[str, ...]
    metrics: tuple[Metric, ...]


MINIMUM_N = 30
EXPECTED_AT_LEAST = 5

LOCATED_OR_ALL = "city, issues, departments: all requests, and those with a local area; areas: those with a local area"
TIMED = "requests opened from 2022-08-17 to as_of, without those whose dates can't be used (counted beside)"
OURS = "definition of this project"

HEADLINE = Family(
    title="The four headline metrics",
    plain="How many requests came in, how many are open now, how many days it took on average until a closed one was closed, "
    "and how many days until a record was last touched. They are simple counts and means: quick to check and easy to misread.",
    why="Counts and sums are stored as whole numbers and divided last, so that areas and issue types add up to the city "
    "exactly. Volume and open requests are quoted for all requests; the two means for requests with a local area, because "
    "only those can be compared between areas.",
    limits="avg_ttr leaves out what is still open, so recent months always look fast: prefer the median time to close below. "
    "avg_ttu is the time to the last edit of the record, not to the first reply. Closed does not mean fixed.",
    details=(
        "days_to_close: closed_on − opened_on, whole days, only if status is Close, closed_on is there and "
        "the result is not negative; opened_on is the date of opened_at in America/Vancouver.",
        "days_to_update: (modified_at − opened_at) / 86,400 s; null if equal, missing or negative. Sums are "
        "of whole seconds.",
        "A close date or a last change after the day of the release (as_of + 1, in Vancouver) counts as missing, here "
        "and in every statistic: it is kept as the city says it, in n_closed_without_date and n_update_missing.",
        "as_of: the local date of the portal’s release minus one day, because the day of the release is incomplete.",
        "Any status other than Open and Close counts in volume only.",
        "Groups without a request have no row. metric_aggregates: the five wide tables in one, and the unlocated in total "
        "(issue_type null); n of volume and open_requests is volume.",
    ),
    tables=(
        "metrics_citywide",
        "metrics_by_neighbourhood",
        "metrics_by_issue",
        "metrics_hyper_local",
        "metrics_unlocated",
        "metric_aggregates",
    ),
    metrics=(
        Metric(
            "volume",
            "Volume",
            "requests opened",
            "number of requests",
            "requests",
            "more demand",
            "all requests; areas: those with a local area",
            0,
            OURS,
        ),
        Metric(
            "open_requests",
            "Open requests",
            "requests with status Open in the city's data of the as-of date",
            "number of requests with status Open",
            "requests",
            "more waiting",
            "all requests; areas: those with a local area",
            0,
            OURS,
        ),
        Metric(
            "avg_ttr",
            "Mean days to close, closed requests only",
            "mean days to close, over closed requests only (looks too fast for recent months); null if n_ttr = 0",
            "Σ days_to_close / n_ttr",
            "days",
            "slower",
            "closed requests with usable dates; quote it for requests with a local area",
            1,
            OURS,
        ),
        Metric(
            "avg_ttu",
            "Mean days to the last change",
            "mean days to the last recorded change, not the first reply; null if n_ttu = 0",
            "Σ (modified_at − opened_at) / 86,400 s / n_ttu",
            "days",
            "later last edit",
            "requests changed after opening; quote it for requests with a local area",
            1,
            OURS,
        ),
    ),
)

KAPLAN_MEIER = "Kaplan & Meier 1958, J. Am. Stat. Assoc. 53:457"
LOG_LOG = "Greenwood 1926; log-log interval: Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data"


def _quantile(name: str, share: str, words: str) -> Metric:
    return Metric(
        name,
        f"Days until {words} are closed",
        f"days until {words} of the requests were closed, counting those still open as not closed yet",
        f"smallest day t with S(t) ≤ {share}; 95 % limits: the same of the log-log limits of S",
        "days",
        "slower",
        TIMED,
        MINIMUM_N,
        f"{KAPLAN_MEIER}; {LOG_LOG}",
    )


def _restricted(days: int) -> Metric:
    return Metric(
        f"mean_within_{days}",
        f"Mean days open within the first {days}",
        f"of the first {days} days after opening, how many a request was open on average",
        f"Σ S(t) over t = 0 … {days - 1}; only where somebody was followed for {days} days",
        "days",
        "slower",
        TIMED,
        MINIMUM_N,
        "Royston & Parmar 2013, BMC Med. Res. Methodol. 13:152 (restricted mean survival time)",
    )


TIME_TO_CLOSE = Family(
    title="Time to close",
    plain="How long does it take until a request is closed? The usual answer, the mean over closed requests, forgets the slow "
    "ones: they are still open, so they are not in it. Here an open request counts as “not closed after so many days”, which "
    "is true and is all that is known of it. The result is a curve: the share still open after each day. Its median is the day "
    "by which half were closed; nine in ten were closed by the p90 day.",
    why="The Kaplan–Meier estimator. On each day t, n_t requests are still followed (a request that is open today and was "
    "opened t days ago is followed through day t) and d_t of them are closed; S(t) = Π (1 − d_s / n_s) over s ≤ t is the share "
    "still open after day t. The interval is the 95 % log-log interval with Greenwood's variance. A quantile has a "
    "tolerance of 1e-9, because products of fractions miss 0.5 by a rounding where the curve lands on it. "
    "mean_closed_only and median_closed_only stand beside it so that the difference can be seen: "
    "where they are smaller, slow requests are still open; the newer the period, the larger the difference.",
    limits="Days are calendar days in Vancouver: 0 means the day of opening, and hours are not known. Requests opened before "
    "2022-08-17 are left out, for the portal no longer refreshes them. Closing many requests on one day makes "
    "them depend on each "
    "other, so the true uncertainty is larger than the intervals. Periods go by the day of opening; pooling years assumes "
    "that the service did not change, so last_12_months is the one to quote. There is no such curve for one outcome alone: "
    "open requests have no outcome yet (see Outcomes). If fewer than 10 are followed to a day, the curve there is"
    " thin. Where the last request of a group is closed, the curve ends at 0 without an interval, and so may the "
    "upper limit of a quantile. A status that is neither Open nor Close counts as still open here.",
    details=(
        "Groups: citywide, issue and department in the scopes all and located; neighbourhood and hyper_local "
        "located; unlocated by itself. Areas are always all 22; other groups are those with a request in the "
        "scope, in any period.",
        "Periods go by opened_on: all; last_12_months = the 365 days up to as_of; each year in which a "
        "request was opened. They are clipped to the first and last opened_on of the record, and a period "
        "without a day left is left out.",
        "Not used, in this order: opened before 2022-08-17 (n_static), after as_of (n_after_as_of), status "
        "Close and closed before opened (n_negative), status Close without a date (n_closed_without_date). "
        "volume = n + these four.",
        "Closed: status Close and closed_on ≤ as_of, T = closed_on − opened_on. Everything else is still open"
        " at as_of: T = as_of − opened_on. A request followed to day T is at risk on day T.",
        "Greenwood: G(t) = Σ d_s / (n_s (n_s − d_s)); limits S^exp(± 1.959963984540054 √G / |ln S|), [1, 1] "
        "where S = 1 and [0, 0] where S = 0.",
        "A quantile is the smallest day with S ≤ 1 − p + 1e-9; its limits are those days of the lower and of "
        "the upper limit of S.",
        "States: no_requests if volume = 0, no_usable_timing if n = 0, too_few if n < 30, else not_reached or"
        " ok. With n < 30 every statistic is null; mean_within_τ also if nobody was followed for τ days (T ≥ "
        "τ). mean_closed_only and median_closed_only are null too if none is closed; n counts, not the closed ones.",
        "time_to_close_curves gives days 0 to 14, 21, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365, 450, "
        "540, 730, 1095 and 1460, up to followed_days, where n ≥ 30; of hyper_local groups for last_12_months"
        " only.",
    ),
    tables=("periods", "time_to_close", "time_to_close_curves"),
    metrics=(
        _quantile("median_days", "0.5", "half"),
        _quantile("p75_days", "0.25", "three quarters"),
        _quantile("p90_days", "0.1", "nine in ten"),
        Metric(
            "open_share",
            "Share still open after a day",
            "share of the requests that were still open at the end of this many days after opening",
            "S(t) = Π over s ≤ t of (1 − d_s / n_s)",
            "share",
            "slower",
            TIMED,
            MINIMUM_N,
            f"{KAPLAN_MEIER}; {LOG_LOG}",
        ),
        _restricted(30),
        _restricted(90),
        Metric(
            "mean_closed_only",
            "Mean of closed requests only",
            "mean days to close of the same requests, forgetting those still open: too fast, for comparison only",
            "Σ days_to_close / closed, over closed requests",
            "days",
            "slower",
            TIMED + ", closed ones only",
            MINIMUM_N,
            OURS,
        ),
        Metric(
            "median_closed_only",
            "Median of closed requests only",
            "median days to close of the same requests, forgetting those still open: too fast, for comparison only",
            "nearest rank: smallest day by which half of the closed ones were closed",
            "days",
            "slower",
            TIMED + ", closed ones only",
            MINIMUM_N,
            OURS,
        ),
    ),
)


def _further(name: str, words: str, share: str) -> Metric:
    return Metric(
        name,
        f"Further days until {words} are closed",
        f"of requests that waited this long, further days until {words} were closed",
        f"smallest t with S(t) ≤ {share} · S(waited), minus the days waited",
        "days",
        "slower",
        "requests of the same issue type (and area) opened in the period and still open after the days waited",
        MINIMUM_N,
        KAPLAN_MEIER,
    )


WAITING = Family(
    title="How long should mine take?",
    plain="Of requests like mine, half are closed within so many days and nine in ten within so many. And if mine has waited for "
    "30 days already: of those that waited as long, how many more days did it take? A request that is still open after a "
    "month is no ordinary one any more, so the second answer is longer than the first.",
    why="The same curve, looked at from the day reached: among requests still open after w days, the share still open "
    "after day t is S(t) / S(w). An answer needs 30 requests that were followed beyond the days waited. Each open request "
    "also gets its own line: the share of its type that was closed sooner. It is taken from the last 12 months if "
    "30 requests of its type were followed that long in them, else from all years.",
    limits="This is what usually happened, not a promise and not a target. The type is all that is known of a request: a hard "
    "case and an easy one share a curve. An area's own answer is given only where the area has 30 requests of the type.",
    details=(
        "waiting_times: issue (scope all) for all and last_12_months, hyper_local for last_12_months; groups "
        "with n ≥ 30; waited_days 0, 1, 3, 7, 14, 30, 60, 90, 180, 365 as long as followed ≥ 1.",
        "followed: requests with T > w. The answer is the smallest t > w with S(t) ≤ (1 − p) S(w) + 1e-9, minus w.",
        "open_request_standing: open requests opened from 2022-08-17 to as_of, against their issue type "
        "(scope all): last_12_months if followed ≥ 30 there, else all. closed_sooner_share is null if n < 30;"
        " state is too_few if followed < 30.",
    ),
    tables=("waiting_times", "open_request_standing"),
    metrics=(
        _further("further_median", "half", "0.5"),
        _further("further_p75", "three quarters", "0.25"),
        _further("further_p90", "nine in ten", "0.1"),
        Metric(
            "closed_sooner_share",
            "Share closed sooner",
            "share of requests of the same type that were closed within the days that this one has been open",
            "1 − S(days_open)",
            "share",
            "this one is more unusual",
            "requests of the same issue type opened in the period",
            MINIMUM_N,
            KAPLAN_MEIER,
        ),
    ),
)

WILSON = "Wilson 1927, J. Am. Stat. Assoc. 22:209"


def _within(days: int) -> Metric:
    return Metric(
        f"share_{days}",
        f"Closed within {days} days",
        f"share of the month's requests that were closed within {days} days of opening; only once all of them are that old",
        f"#(days_to_close ≤ {days} and closed_on ≤ as_of) / #(opened_on ≤ as_of − {days}); 95 % Wilson interval",
        "share",
        "faster",
        TIMED + ", opened in the month",
        MINIMUM_N,
        WILSON,
    )


MONTHLY = Family(
    title="Month by month",
    plain="For each month: how many requests were opened, how many were closed, how many were open at its end, and how "
    "fast those "
    "opened in it were closed. “Opened in May” and “closed in May” are different requests: the second lot may have been "
    "opened in March.",
    why="“Closed within 30 days” is asked only of months whose last day is at least 30 days past, so that all have had the same "
    "time; until then the month is marked immature. The median is the Kaplan–Meier median of the requests "
    "opened in the month. A month that reaches into the last seven days up to as_of is marked provisional: late "
    "entries may move it.",
    limits="The table is made anew from today's record: a request that the city reopens looks open all along, and one that it "
    "deletes was never there. What stood in the portal earlier is in request_changes. Requests from before 2022 "
    "are missing unless the archive "
    "was loaded, so what is open at the end of the early months is understated until 2023-08-17.",
    details=(
        "The same groups as time to close. Months: every month from the first opened_on to the later of the "
        "last opened_on and as_of, and any later month in which any request of the record was closed; of "
        "hyper_local groups those with "
        "something opened or closed, or open at the end.",
        "Requests whose status is neither Open nor Close, and closed ones without a date, count in opened but"
        " in neither closed_in nor open_at_end. open_at_end is taken at the month’s last day or at as_of, "
        "whichever is earlier, and is null in a month that begins after as_of.",
        "The seven days up to as_of: as_of − 6 to as_of.",
        "n, closed and the median are of the requests that time to close can use; n_N of those with opened_on"
        " ≤ as_of − N.",
        "States of share_N: no_requests if nothing was opened in the month, no_usable_timing if n = 0, "
        "immature if the month’s last day is after as_of − N, too_few if n_N < 30, else ok. Immature counts "
        "are given, the share is not.",
        "Wilson, z = 1.959963984540054: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).",
    ),
    tables=("monthly_series",),
    metrics=(
        Metric(
            "opened",
            "Opened",
            "requests opened in this time",
            "number by opened_on",
            "requests",
            "more demand",
            LOCATED_OR_ALL,
            0,
            OURS,
        ),
        Metric(
            "closed_in",
            "Closed",
            "requests closed in this time, whenever they were opened",
            "number with status Close by closed_on, or by opened_on if that is later",
            "requests",
            "more done",
            LOCATED_OR_ALL + "; closed requests with a close date",
            0,
            OURS,
        ),
        Metric(
            "open_at_end",
            "Open at the end",
            "requests that were open when this time ended, as today's record shows it",
            "#(opened_on ≤ t) − #(closed by t), requests closed without a date and those of unknown status left out",
            "requests",
            "more waiting",
            LOCATED_OR_ALL,
            0,
            OURS,
        ),
        _within(7),
        _within(30),
        _within(90),
    ),
)

BACKLOG = Family(
    title="Backlog and flow",
    plain="What is waiting now, how long has it been waiting, and is the pile growing or shrinking? The pile at the end"
    " of a day is "
    "the pile of the day before, plus what was opened, minus what was closed.",
    why="The label looks at the last 13 complete weeks (Monday to Sunday): w = opened − closed in each. Growing means"
    " that the net of "
    "the 13 weeks is at least 10 requests and at least 5 % of the pile at their start, and that the weekly "
    "figures are that far above zero "
    "beyond chance: t = mean(w) / (sd(w) / √13) ≥ 2.179, the 95 % limit for 12 degrees of freedom. Shrinking is "
    "the mirror image; "
    "everything else is stable; fewer than 30 requests opened or closed is too_few. The net of the "
    "same 13 weeks a year earlier stands beside it, because a season is easily taken for a trend.",
    limits="Made anew from today's record, as the monthly table is. For the pile, a request that is recorded as closed "
    "before it was opened counts as closed on the day of opening. Requests opened before 2022-08-17 are in the pile but not "
    "in the label: their status is no longer refreshed. One label in twenty would come by chance, and there are "
    "hundreds of groups.",
    details=(
        "backlog_by_age and flow: the groups of time to close but hyper_local; backlog_daily: citywide, "
        "unlocated and neighbourhood, every day from the first opened_on to as_of.",
        "Days open: as_of − opened_on. Every band has a row for every group.",
        "Left out of backlog_daily and flow: closed requests without a date, and those of unknown status. "
        "Closed on: the later of closed_on and opened_on.",
        "Weeks are ISO weeks that end by as_of. B(as_of) = open requests − those opened after as_of + closed "
        "ones that were opened by as_of and closed after it.",
    ),
    tables=("backlog_by_age", "backlog_daily", "flow"),
    metrics=(
        Metric(
            "share_of_open",
            "Share of the open requests",
            "share of the group's open requests that are in this age band",
            "open_requests in the band / open_requests of the group",
            "share",
            "more of them this old",
            LOCATED_OR_ALL + "; open requests",
            1,
            OURS,
        ),
        Metric(
            "backlog",
            "Backlog",
            "requests open at the end of the day, as today's record shows it",
            "B(t) = B(t − 1) + opened(t) − closed(t)",
            "requests",
            "more waiting",
            LOCATED_OR_ALL,
            0,
            OURS,
        ),
        Metric(
            "flow",
            "Flow",
            "growing, shrinking, stable or too_few: where the backlog went in the last 13 complete weeks",
            "growing: net ≥ max(10, 5 % of backlog_start) and t ≥ 2.179; shrinking: the mirror image; too_few: "
            "opened + closed < 30",
            "label",
            "",
            LOCATED_OR_ALL + "; opened from 2022-08-17",
            MINIMUM_N,
            "Student 1908, Biometrika 6:1; the thresholds are this project's",
        ),
        Metric(
            "t_statistic",
            "Weekly net against chance",
            "how far the mean weekly net is from zero, in standard errors; null if opened + closed < 30",
            "mean(w) / (sd(w) / √13), sd with n − 1; if sd = 0: 0 if the mean is 0, else ±1e9",
            "ratio",
            "growing more surely",
            LOCATED_OR_ALL + "; opened from 2022-08-17",
            MINIMUM_N,
            "Student 1908, Biometrika 6:1",
        ),
    ),
)

OUTCOMES = Family(
    title="Outcomes",
    plain="What did the city record when it closed a request: that the service was provided, that it was passed on, "
    "that there was "
    "nothing to do? Closed does not mean fixed. The 17 reasons are sorted into six groups; a reason that we have "
    "never seen is shown "
    "as unmapped until somebody looks at it.",
    why="The grouping is an interpretation, not the city's classification; all original reasons are kept "
    "(closure_reasons), and the "
    "mapping is a table of its own with a version (outcome_mapping), after the public analysis "
    "Abhijit2409/data-analysis-case-studies, commit "
    "fe16cdf. Shares are over closed requests with 95 % Wilson intervals. How soon requests end in each group is the "
    "cumulative incidence: the share of all requests that were closed in this way within t days; over the groups "
    "it adds up to the "
    "share closed at all.",
    limits="“Passed on or planned” is not “unfinished”, and “no service or no action” is not “failure”. Some reasons are set by "
    "machine, many at once. A request that is open but carries a reason counts as open: the status decides. Among"
    " the closed requests of a recent period, outcomes that are given quickly are overrepresented: "
    "outcome_incidence is free of that.",
    details=(
        "Groups of time to close but hyper_local, each with all six outcomes, and Unmapped if a reason is in "
        "no group (then for every group and period). open_requests: status Open. Periods as for time to close, "
        "but with requests opened before 2022-08-17.",
        "States of outcome_share: no_requests if nothing was opened, too_few if fewer than 30 closed, else ok.",
        "A request without a reason has the reason N/A, open ones too. closure_reasons has a row where closed + "
        "open_requests > 0.",
        "outcome_incidence: citywide all and located, neighbourhood located, issue and department all; periods all and "
        "last_12_months; n ≥ 30; days 0, 1, 3, 7, 14, 30, 60, 90, 180, 365 up to followed_days.",
    ),
    tables=("outcome_mapping", "outcomes", "closure_reasons", "outcome_incidence"),
    metrics=(
        Metric(
            "outcome_share",
            "Share of outcomes",
            "share of the closed requests that were closed in this way",
            "closed_as / closed; 95 % Wilson interval",
            "share",
            "more of them",
            LOCATED_OR_ALL + "; closed requests by period of opening",
            MINIMUM_N,
            WILSON,
        ),
        Metric(
            "closed_share",
            "Closed in this way within a day",
            "share of all requests that were closed in this way within so many days; the rest were closed otherwise, or are open",
            "Σ over s ≤ t of S(s − 1) · d_s(outcome) / n_s",
            "share",
            "more, or sooner",
            TIMED,
            MINIMUM_N,
            "Kalbfleisch & Prentice, cumulative incidence; Aalen & Johansen 1978",
        ),
    ),
)

GARWOOD = "Garwood 1936, Biometrika 28:437 (exact Poisson interval)"
FUNNEL = "Spiegelhalter 2005, Stat. Med. 24:1185 (funnel limits, over-dispersion)"

COMPARISON = Family(
    title="Fair comparison of areas",
    plain="Areas report different things, and some things take longer everywhere. So an area is compared not with other"
    " areas but "
    "with what would be expected if each of its requests had gone as that type of request goes in the whole city. A ratio of 1 "
    "means: as expected. The interval says how much of the difference may be chance.",
    why="Indirect standardisation. For each issue type, the city-wide rate of requests not closed within 30 days; "
    "expected = the sum of those rates over the area's own requests; ratio = observed / expected. Types with fewer than 30 "
    "requests are pooled. The companion measure uses all follow-up, open requests included: observed closings "
    "against the closings expected from each type's Nelson–Aalen hazard. An area is called different only if it is outside "
    "the 99.8 % funnel limits, widened for over-dispersion, or has a Benjamini–Hochberg q value of at most 5 % over all "
    "areas shown. The third table, area by issue type, compares what is reported: observed requests against the area's "
    "total at the city's mix.",
    limits="No ranks: they would turn noise into order. Ratios compare an area with the city, not one area with another. A "
    "fifth of requests have no area and are not in it; who reports, and how severe a case is, can't be seen in "
    "the data. An area that "
    "supplies most of a type pulls its own expectation towards itself: ratio_without_own leaves it out. The intervals are "
    "wider than they need be where the rate is high, and know nothing of over-dispersion and of the number of "
    "areas: the finding decides, not the interval. Suppressed below 30 requests or 5 expected.",
    details=(
        "Window: located requests opened from as_of − 394 to as_of − 30 that time to close can use; mix: "
        "located requests opened from as_of − 364 to as_of, all of them.",
        "Rates: by issue type if it has ≥ 30 requests in the window; requests of rarer types are pooled by "
        "department, and departments with fewer than 30 such requests together in one pool. So Σ O = Σ E.",
        "open_after_30_days: O = requests not closed within 30 days, V = Σ r (1 − r). closings: O = closings "
        "by as_of, E = Σ Λ(T) with Λ(t) = Σ d_s / n_s of the pool, V = E.",
        "E is null if n = 0. Suppressed (too_few) if n < 30 or E < 5; no_requests and no_usable_timing as for time to close. φ "
        "and q are over the areas that are not suppressed, of each measure. Of a suppressed area n, observed, "
        "expected, city_share and pooled_share are given. If V = 0, z = 0.",
        "φ = max(1, mean z²), where the ⌊areas / 10⌋ smallest and largest z are set to their next neighbour. "
        "Funnel limits 1 ± z √(φ V) / E with z = 1.959963984540054 and 3.090232306167813, not below 0. q is "
        "from the two-sided normal p of z / √φ.",
        "ratio_without_own: the same pools, rates and hazards without the area’s own requests; a pool that "
        "has no others takes the rate of all other areas’ requests together (closings: their hazard); a day "
        "without others at risk adds 0. Null if nothing is expected by the others.",
        "Mix: E = n_a n_i / N; p from the adjusted residual (O − E) / √(E (1 − n_a/N) (1 − n_i/N)), Haberman "
        "1973; q over the cells with n ≥ 30 and E ≥ 5. All areas by all types that occur in the window.",
    ),
    tables=("area_comparison", "area_issue_mix"),
    metrics=(
        Metric(
            "ratio",
            "Observed / expected",
            "observed by expected: 1 is as in the whole city for the same types of request",
            "O / E; 95 % interval: χ²(0.025; 2 O) / 2 E to χ²(0.975; 2 O + 2) / 2 E",
            "ratio",
            "open_after_30_days: slower; closings: faster; mix: more of this type than elsewhere",
            "located requests of the last 365 matured days (mix: of the last 365 days)",
            MINIMUM_N,
            f"{GARWOOD}; {FUNNEL}",
        ),
        Metric(
            "adjusted_share",
            "Adjusted share",
            "the city's share times the ratio: what the city would show if every type took as long as in the "
            "area; not to be compared between areas",
            "ratio · the city's share",
            "share",
            "slower",
            "located requests of the last 365 matured days",
            MINIMUM_N,
            "Breslow & Day 1987 (indirect standardisation)",
        ),
    ),
)

QUALITY = Family(
    title="Quality of the record",
    plain="What is missing or odd in the record itself, month by month and department by department. A number is only as good as "
    "the rows behind it.",
    why="Each column counts one thing, so that the page of any statistic can say what it could not use. Possible "
    "repeats equal an "
    "earlier request in everything but the last change; twins share department, type and opening instant with an earlier "
    "one. A batch closure is a request closed on a day on which at least 30 requests of its type were closed, and at least "
    "10 times as many as on a usual day (the type's closings / the days from its first to its last, both counted).",
    limits="Missing areas are not missing at random: departments differ widely. Quarantined rows are counted by the UTC "
    "month in which "
    "the portal serves them, because a row that can't be read may have no local date.",
    details=(
        "open_month is the local month of opening. A label is obsolete if it starts with ZZ as a word.",
        "Repeats equal another request in every column but request_id, modified_at, days_to_update and "
        "occurrence; twins and repeats are counted beyond the first.",
        "A day’s closings are counted by closed_on over all requests with status Close and a close date.",
    ),
    tables=("quality_ledger",),
    metrics=(
        Metric(
            "n_missing_area",
            "Without an area",
            "requests without a local area",
            "number of requests with local_area null",
            "requests",
            "less can be compared",
            "all requests",
            0,
            OURS,
        ),
        Metric(
            "n_missing_point",
            "Without a point",
            "requests without coordinates",
            "number of requests with latitude or longitude null",
            "requests",
            "less can be mapped",
            "all requests",
            0,
            OURS,
        ),
        Metric(
            "n_twins",
            "Twins",
            "requests that share department, issue type and opening instant with an earlier one; mostly distinct requests",
            "number of requests with occurrence > 0",
            "requests",
            "",
            "all requests",
            0,
            OURS,
        ),
        Metric(
            "n_repeats",
            "Possible repeats",
            "requests that equal an earlier one in everything but the last change: often one call about several bins",
            "number of requests beyond the first of each group of equals",
            "requests",
            "",
            "all requests",
            0,
            OURS,
        ),
        Metric(
            "n_batch_closed",
            "Batch closures",
            "requests closed on a day on which unusually many of their type were closed",
            "closed on a day with ≥ 30 closings of the type and ≥ 10 times its closings / (days from its first to its last)",
            "requests",
            "more closed by the pile",
            "closed requests with a close date",
            0,
            OURS,
        ),
        Metric(
            "n_obsolete_label",
            "Obsolete labels",
            "requests whose issue type the city marks as old (ZZ …)",
            "number of requests whose issue_type starts with the word ZZ",
            "requests",
            "",
            "all requests",
            0,
            OURS,
        ),
    ),
)

FAMILIES = (HEADLINE, TIME_TO_CLOSE, WAITING, MONTHLY, BACKLOG, OUTCOMES, COMPARISON, QUALITY)
METRICS = {metric.name: metric for family in FAMILIES for metric in family.metrics}

LAWS = (
    "city.all = Σ neighbourhoods + unlocated; city.located = Σ neighbourhoods.",
    "city.all = Σ issues.all; city.located = Σ issues.located.",
    "neighbourhood = Σ of its issues; issue.located = Σ of its areas; issue.all = issue.located + unlocated.",
    "volume = open + closed + status unknown; closed = n_ttr + negative + without date; volume = n_ttu + never updated + "
    "negative + missing. In time_to_close: volume = n + the four kinds not used; n = closed + still_open.",
    "Σ months opened = volume; Σ months closed_in = closed requests with a date; Σ age bands = open requests.",
    "Σ outcomes = Σ closure reasons = closed.",
    "B(t) = B(t − 1) + opened(t) − closed(t) on every day; B(as_of) = open requests − open ones opened after as_of + closed "
    "ones that were opened by as_of and closed after it.",
    "Σ areas observed = Σ areas expected, to 1e-9; in the mix, for every issue type and for every area.",
    "What the portal counts = rows landed = rows stored + rows quarantined.",
)
"""The equations between the tables, numbered from 1; exact, checked on every build, and a failure blocks publishing.

Laws 1 to 3 hold for every count and sum of every table with levels, not for averages and quantiles.
"""
