"""Claims about the plan: what it costs to ask, which months are stale, and when nothing is followed."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from types import SimpleNamespace

import pandas as pd
import pytest

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import SchemaMismatch
from vanc311_pipeline.months import months_between
from vanc311_pipeline.plan import longest_ago, make_plan
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import EMPTY
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.settings import ARCHIVE, LIVE, UNDATED
from vanc311_pipeline.standin import Fault
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.timezone import local_day
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.ledger import NAMED, Hold, Plan
from vanc311_pipeline.warehouse.restraint import shrank, shrinkage

OPENED = "service_request_open_timestamp"
GONE = EMPTY.digest[:12]  # stands in a plan for a month that the portal no longer has


@pytest.fixture
def plan(portal, ask, copied):
    """Plans against a warehouse that is in step with the portal."""
    return lambda **options: pipeline.plan(ask(portal), Warehouse(copied), **options)


@pytest.fixture
def records(synced):
    """The ledger."""
    with Warehouse(synced).read() as connection:
        return {window: SimpleNamespace(**line._mapping) for window, line in ledger.months(connection).items()}


@pytest.fixture
def last(synced):
    """The release that we dealt with last."""
    with Warehouse(synced).read() as connection:
        return SimpleNamespace(**ledger.last_release(connection, LIVE)._mapping)


@pytest.fixture
def plan_of(portal, ask, records, last):
    """A plan for what is stored, but for what is said otherwise."""

    def make(months=records, last=last, code_version=CODE_VERSION, **options):
        return make_plan(ask(portal), months, {LIVE: last, ARCHIVE: None}, code_version, **options)

    return make


def changed(line, **columns):
    return SimpleNamespace(**vars(line) | columns)


def asked(portal):
    return [record.path.rpartition("datasets/")[2] for record in portal.requests_log]


def edited_months(before, after):
    """The UTC months whose rows differ, as multisets of whole rows."""

    def rows(frame):
        plain = frame.astype(object).where(frame.notna(), None)
        return Counter(zip(frame[OPENED].dt.strftime("%Y-%m"), plain.itertuples(index=False, name=None), strict=True))

    left, right = rows(before), rows(after)
    return sorted({month for month, _ in (left - right) | (right - left)})


# -- what asking costs -----------------------------------------------------------------------------------------------


def test_a_quiet_portal_costs_one_request(portal, plan):
    planned = plan()
    assert (planned.action, planned.stale, planned.held) == ("skip", {}, False)
    release = f"the release of {portal.released_at:%Y-%m-%dT%H:%M:%SZ} with {len(portal.frame):,} rows"
    assert planned.why == f"Nothing changed: the portal still has {release}, and we have all of it."
    assert asked(portal) == [LIVE]


def test_a_new_release_without_a_change_costs_two_requests_and_has_no_stale_month(portal, plan):
    portal.publish_edit(None)
    planned = plan()
    assert asked(portal) == [LIVE, f"{LIVE}/exports/json"]
    assert (planned.action, planned.stale, planned.rows, planned.months) == ("load", {}, 0, [])
    assert planned.why.endswith("with no month changed.")


# -- which months are stale ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        "edit_with_modified", "touch", "delete", "insert_old", "close", "reopen", "add_twin", "remove_twin",
        "relabel_type",
    ],
)  # fmt: skip
def test_exactly_the_edited_months_are_stale_and_found_by_two_requests(portal, plan, edit):
    before = portal.frame
    portal.publish_edit(edit)
    after = portal.frame
    planned = plan()
    assert asked(portal) == [LIVE, f"{LIVE}/exports/json"]
    months = edited_months(before, after)
    assert months
    assert planned.months == months
    assert {window.dataset for window in planned.stale} == {LIVE}
    assert planned.rows == int(after[OPENED].dt.strftime("%Y-%m").isin(months).sum())


def test_a_month_that_vanished_is_stale_and_empty(portal, plan):
    portal.publish(EDITS["empty_month"].function(portal.frame, month="2025-07"))
    assert plan().stale == {Window(LIVE, "2025-07"): GONE}


def test_a_month_is_read_again_when_a_date_that_lay_ahead_has_come(portal, plan_of, records):
    portal.publish_edit(None)
    today = local_day(f"{portal.released_at:%Y-%m-%dT%H:%M:%SZ}")
    came, ahead, *_ = sorted(records)
    months = records | {
        came: changed(records[came], dates_ahead=str(today)),
        ahead: changed(records[ahead], dates_ahead=str(today + timedelta(days=1))),
    }
    assert set(plan_of(months).stale) == {came}


def test_an_edit_that_moves_neither_a_count_nor_a_timestamp_is_not_seen(portal, plan):
    """The price of asking cheaply; a backfill, which always fetches, finds such edits."""
    portal.publish_edit("edit_silently")
    assert plan().stale == {}


def test_rows_that_no_month_can_hold_are_a_window_of_their_own(portal, plan):
    portal.publish(EDITS["impossible_opened"].function(portal.frame, rows=2))
    assert Window(LIVE, UNDATED) in plan().stale


def test_months_cleaned_by_older_rules_are_stale_although_the_portal_is_quiet(plan_of, records):
    assert set(plan_of(code_version="the next version").stale) == set(records)
    assert plan_of().action == "skip"


def test_an_empty_warehouse_needs_every_month(portal, plan_of, records):
    planned = plan_of({}, None)
    assert set(planned.stale) == set(records)
    assert planned.rows == len(portal.frame)


def test_a_release_that_was_begun_and_not_finished_is_looked_at_again(plan_of, records, last):
    first = min(records)
    others = {window: record for window, record in records.items() if window != first}
    assert list(plan_of(others, changed(last, state="loading")).stale) == [first]


def test_what_the_archive_holds_is_nothing_that_the_live_dataset_lost(portal, plan_of, records):
    portal.publish_edit(None)
    first = min(records)
    both = records | {replace(first, dataset=name, month="2009-06"): records[first] for name in (ARCHIVE, "z", "a")}
    planned = plan_of(both)
    assert (planned.stale, set(planned.answers)) == ({}, set(records))


def test_the_archive_is_asked_only_if_it_is_wanted(portal, plan_of):
    plan_of(datasets=(LIVE, ARCHIVE))
    assert asked(portal) == [LIVE, ARCHIVE, f"{LIVE}/exports/json", f"{ARCHIVE}/exports/json"]


# -- the rolling refresh ---------------------------------------------------------------------------------------------------

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def read_days_ago(months, days):
    """The ledger, with each window last read so many days before NOW."""
    return {
        window: changed(record, loaded_at=f"{NOW - timedelta(days=ago):%Y-%m-%dT%H:%M:%SZ}")
        for (window, record), ago in zip(sorted(months.items()), days, strict=True)
    }


@pytest.fixture
def reread(portal, plan_of, records):
    """The plan for a new release without a change, given the ages of all readings."""

    def planned(days):
        portal.publish_edit(None)
        return plan_of(read_days_ago(records, days), now=NOW)

    return planned


def test_a_release_has_the_months_read_longest_ago_read_again_a_few_at_a_time(reread, records):
    windows = sorted(records)
    planned = reread([8 + place / len(windows) for place in range(len(windows))])
    assert sorted(planned.reread) == windows[-ceil(len(windows) / 21) :]
    assert set(planned.stale) == planned.reread
    assert f"with no month changed; {len(planned.reread)} unchanged" in planned.why


@pytest.mark.parametrize(
    ("number", "stale", "reread"),
    [
        (1, ": 1 stale month of ", "; 1 unchanged month read longest ago is read again."),
        (2, ": 2 stale months of ", "; 2 unchanged months read longest ago are read again."),
    ],
)
def test_what_is_stale_and_what_is_read_again_is_counted(portal, plan_of, records, number, stale, reread):
    portal.publish_edit(None)
    months = read_days_ago(records, [40] * 2 * number + [1] * (len(records) - 2 * number))
    why = plan_of({window: months[window] for window in sorted(months)[number:]}, now=NOW).why
    assert stale in why
    assert why.endswith(reread)


def test_a_dataset_that_takes_no_part_makes_no_share_larger(records):
    months = {window: changed(record, loaded_at="2026-01-01T00:00:00Z") for window, record in records.items()}
    archive = {Window(ARCHIVE, f"{year}-06"): record for year in range(2009, 2022) for record in [*months.values()][:1]}
    now = datetime(2026, 1, 10, tzinfo=UTC)
    assert longest_ago(months | archive, months.keys(), now) == longest_ago(months, months.keys(), now)


@pytest.mark.parametrize(("days", "again"), [(6.9, False), (28.1, True)], ids=["within a week", "overdue"])
def test_a_month_that_was_read_within_a_week_is_left_alone_and_what_is_overdue_read_at_once(
    reread, records, days, again
):
    planned = reread([days] * len(records))
    assert planned.reread == planned.stale.keys() == (set(records) if again else set())


def test_with_a_release_each_day_every_month_is_read_again_within_30_days(records):
    months = records
    read = dict.fromkeys(months, NOW)
    ages = []
    for day in range(1, 91):
        now = NOW + timedelta(days=day)
        aged = {w: changed(record, loaded_at=f"{read[w]:%Y-%m-%dT%H:%M:%SZ}") for w, record in months.items()}
        share = longest_ago(aged, months.keys(), now)
        assert len(share) <= ceil(len(months) / 21)
        read |= dict.fromkeys(share, now)
        ages.append(now - min(read.values()))
    assert timedelta(days=20) < max(ages) <= timedelta(days=30)


def test_a_changed_month_is_no_part_of_the_rolling_refresh(portal, plan_of, records):
    before = portal.frame
    portal.publish_edit("touch")
    planned = plan_of(read_days_ago(records, [40] * len(records)), now=NOW)
    changed = {Window(LIVE, month) for month in edited_months(before, portal.frame)}
    assert planned.reread == set(records) - changed
    assert set(planned.stale) == set(records)


def test_a_quiet_portal_has_nothing_read_again(portal, plan_of, records):
    planned = plan_of(read_days_ago(records, [400] * len(records)), now=NOW)
    assert (planned.action, planned.stale) == ("skip", {})
    assert asked(portal) == [LIVE]


def test_what_the_portal_answered_is_written_down(portal, plan, copied):
    portal.publish_edit("delete")
    planned = plan()
    with Warehouse(copied).read() as connection:
        assert ledger.portal_answers(connection, planned.releases) == planned.answers
    assert sum(answer.rows for answer in planned.answers.values()) == len(portal.frame)


# -- the portal's clock ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("months_ahead", [3, 0], ids=["our clock is slow", "our clock is right"])
def test_the_portals_clock_decides_what_month_is_running(portal, plan, months_ahead):
    now = datetime.now(UTC) + timedelta(days=31 * months_ahead)
    portal.set_clock(now)
    newest = portal.frame.tail(2).assign(**{OPENED: pd.Timestamp(now)})
    later = portal.frame.tail(1).assign(**{OPENED: pd.Timestamp(now + timedelta(days=62))})
    portal.publish(pd.concat([portal.frame, newest, later], ignore_index=True))
    planned = plan()
    assert planned.answers[Window(LIVE, f"{now:%Y-%m}")].rows == 2
    assert planned.answers[Window(LIVE, UNDATED)].rows == 1


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (4, None),
        (40 * 24 * 60, "computer's clock is 40 days, 0:00:00 behind the portal's"),
        (-30, "ahead of the portal's"),
    ],
)
def test_clocks_that_differ_are_said_with_every_decision(portal, plan, minutes, words):
    portal.set_clock(datetime.now(UTC) + timedelta(minutes=minutes))
    planned = plan()
    assert planned.action == "skip"
    assert (words in planned.why) if words else ("clock" not in planned.why)


# -- what is not followed --------------------------------------------------------------------------------------------


def test_a_portal_that_lost_too_much_is_held_and_asked_once_where(portal, plan):
    before = portal.frame
    portal.publish(EDITS["empty_month"].function(before, month="2026-01"))
    planned = plan()
    assert (planned.action, planned.stale) == ("load", {})
    assert planned.why == (f"Held, not followed: 2026-01: rows {len(before) - len(portal.frame):,} → 0.")
    assert asked(portal) == [LIVE, f"{LIVE}/exports/json"]


def a_hold(month):
    return Hold(LIVE, month, 100, 3, "rows 100 → 3", "2026-01-07T14:06:58Z")


@pytest.mark.parametrize(
    ("months", "advice"),
    [
        (["2024-06"], "vanc311 sync --accept-shrink 2024-06"),
        (["2024-06", "2024-07"], "vanc311 sync --accept-shrink 2024-06 --accept-shrink 2024-07"),
        (["2024-06", "all"], "vanc311 sync --accept-shrink all"),
    ],
)
def test_a_held_release_is_skipped_in_words_that_say_what_is_held_and_how_to_go_on(
    portal, plan_of, last, months, advice
):
    last = changed(last, state="held", seen_at=utc_now())
    planned = plan_of(last=last, held=[a_hold(month) for month in months])
    assert (planned.action, planned.held) == ("skip", True)
    assert "2024-06: rows 100 → 3" in planned.why
    assert planned.why.endswith(advice)
    assert asked(portal) == [LIVE]


@pytest.mark.parametrize(("holds", "more"), [(NAMED - 1, False), (NAMED, False), (NAMED + 1, True)])
def test_of_many_holds_the_first_are_named(plan_of, last, holds, more):
    last = changed(last, state="held", seen_at=utc_now())
    why = plan_of(last=last, held=[a_hold(month) for month in months_between("2020-01", "2025-12")[:holds]]).why
    assert why.count("rows 100 → 3") == min(holds, NAMED)
    assert (" …." in why) == more


def test_a_day_later_a_held_release_is_looked_at_again_and_its_months_are_fetched_anew(plan_of, records, last):
    seen = datetime.fromisoformat("2026-01-08T15:00:00Z")
    last = changed(last, state="held", seen_at="2026-01-08T15:00:00Z")
    window = min(records)

    def after(hours):
        return plan_of(last=last, held=[a_hold(window.month)], now=seen + timedelta(hours=hours))

    assert (after(23).action, after(23).held) == ("skip", True)
    assert (after(24).action, after(24).stale) == ("load", {window: ""})


@pytest.mark.parametrize(
    ("consent", "where"),
    [
        ([], [("2024-06", 40), ("2024-07", 70)]),
        (["2024-06"], [("2024-07", 70)]),
        (["2024-06", "2024-07"], []),
        (["all"], []),
    ],
)
def test_consent_for_a_month_covers_what_that_month_lost_and_no_more(records, consent, where):
    record = next(iter(records.values()))
    months = {Window(LIVE, f"2024-0{n}"): changed(record, rows_landed=100) for n in (5, 6, 7)}
    answers = {window: replace(EMPTY, rows=rows) for window, rows in zip(months, (100, 40, 70), strict=True)}
    lines = shrinkage(Release(LIVE, "2026-01-07T14:06:58Z", 210, ()), months, answers, consent)
    assert [(line.month, line.rows_now) for line in lines] == where


@pytest.mark.parametrize(
    ("months", "loss", "words"),
    [
        (13, 60, "rows 1,300 → 520, most in 2024-01 (100 → 40)"),  # too many to name in one sentence
        (3, 20, "rows 300 → 240, most in 2024-01 (100 → 80), 2024-02 (100 → 80)"),  # each within its limits
    ],
)
def test_what_few_months_dont_explain_is_held_as_a_whole(records, months, loss, words):
    record = next(iter(records.values()))
    windows = [Window(LIVE, month) for month in months_between("2024-01", "2025-12")[:months]]
    records = {window: changed(record, rows_landed=100) for window in windows}
    answers = dict.fromkeys(windows, replace(EMPTY, rows=100 - loss))
    release = Release(LIVE, "2026-01-07T14:06:58Z", months * (100 - loss), ())
    [line] = shrinkage(release, records, answers, [])
    assert (line.month, line.why.startswith(words)) == ("all", True)


def test_with_consent_a_held_or_shrunken_release_is_followed(portal, ask, plan_of, last):
    before = portal.frame
    portal.publish_edit("truncate")
    release = ask(portal).release(LIVE)
    held = changed(last, data_processed=release.data_processed, records_count=release.records_count, state="held")
    assert plan_of(last=held, consent=["all"]).months == edited_months(before, portal.frame)


def test_a_new_release_after_a_held_one_is_looked_at(plan_of, last):
    held = changed(last, data_processed="2025-01-01T00:00:00Z", state="held")
    assert plan_of(last=held).action == "load"


def test_a_held_month_is_read_even_if_the_portal_has_just_what_we_hold(plan_of, records):
    window = min(window for window in records if window.month != UNDATED)
    assert set(plan_of(last=None, held=[a_hold(window.month)]).stale) == {window}


@pytest.mark.parametrize(
    ("before", "now", "held"),
    [
        (10_000, 9_800, False), (10_000, 9_799, True), (10_000, 12_000, False), (100, 75, False), (100, 74, True),
        (10, 1, False), (10, 0, True), (0, 0, False),
    ],
)  # fmt: skip
def test_two_per_cent_or_25_rows_may_go_and_no_more(before, now, held):
    assert shrank(now, before) is held


@pytest.mark.parametrize(
    "fault", [Fault("field_dropped", field="local_area"), Fault("field_retyped", field="latitude")]
)
def test_a_portal_with_other_fields_is_refused_before_anything_is_planned(portal, plan, fault):
    portal.play(fault)
    with pytest.raises(SchemaMismatch, match=fault.details["field"]):
        plan()
    assert asked(portal) == [LIVE]


def test_a_plans_months_are_named_once_and_oldest_first():
    windows = [(LIVE, "undated"), (LIVE, "2022-01"), (ARCHIVE, "2022-01"), (ARCHIVE, "2009-06")]
    assert Plan("load", "", (), {Window(*window): "" for window in windows}).months == ["2009-06", "2022-01", "undated"]
