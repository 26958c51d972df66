"""Claims about tags: a run reads from them what its plan said."""

from dagster._core.storage.tags import TagType, get_tag_type
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.orchestration.tags import (
    RANGE_END_TAG,
    RANGE_START_TAG,
    RELEASE_TAG,
    RELEASES_TAG,
    REREAD_TAG,
    WHY_TAG,
    plan_tags,
    planned_months,
    read_releases,
)
from vanc311_pipeline.plan import Plan
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.settings import ARCHIVE, LIVE

MONTHS = st.sampled_from(["2009-06", "2021-12", "2022-01", "2026-01", "undated"])
STALE = st.dictionaries(
    st.builds(Window, st.sampled_from([LIVE, ARCHIVE]), MONTHS), st.text("0123456789abcdef", min_size=12, max_size=12)
)
LIVE_RELEASE = Release(LIVE, "2026-08-16T14:06:58Z", 1_265_542, fields=(("department", "text"),))
ARCHIVE_RELEASE = Release(ARCHIVE, "2024-04-24T22:32:28Z", 2_083_091, fields=())


@given(stale=STALE, releases=st.sampled_from([(LIVE_RELEASE,), (LIVE_RELEASE, ARCHIVE_RELEASE)]))
def test_a_run_reads_its_months_and_releases_as_the_plan_wrote_them(stale, releases):
    tags = plan_tags(Plan("load", "because", releases, stale, last_month="2026-02"))
    assert planned_months(tags) == stale
    assert [(each.dataset, each.identity) for each in read_releases(tags[RELEASES_TAG])] == [
        (each.dataset, each.identity) for each in releases
    ]
    dated = sorted({window.month for window in stale} - {"undated"}) or ["2026-02"]
    assert (tags[RANGE_START_TAG], tags[RANGE_END_TAG]) == (dated[0], dated[-1])


def test_a_run_that_was_told_what_to_do_has_no_plan():
    assert planned_months({RANGE_START_TAG: "2025-01", RANGE_END_TAG: "2025-02"}) is None


def test_the_ui_shows_of_a_plan_what_a_person_reads():
    tags = plan_tags(Plan("load", "because", (LIVE_RELEASE,), {}, last_month="2026-02"))
    shown = {name for name in tags if get_tag_type(name) != TagType.HIDDEN}
    assert shown == {RANGE_START_TAG, RANGE_END_TAG, RELEASE_TAG, REREAD_TAG, WHY_TAG}


def test_the_months_of_the_deep_pass_are_named():
    again = Window(LIVE, "2024-03")
    tags = plan_tags(Plan("load", "because", (LIVE_RELEASE,), {again: "0" * 12}, frozenset({again})))
    assert tags[REREAD_TAG] == "2024-03"
    assert plan_tags(Plan("load", "because", (LIVE_RELEASE,), {}))[REREAD_TAG] == "none"
