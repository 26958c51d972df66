"""Claims about every statistic: recomputed from the published requests by a script that shares no code with the pipeline, it is the same.

The script is `recompute.py`. The cities are the bundled sample, and the odd one, in which every rule of docs/methods.md meets some rows.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from vanc311_pipeline.metric_definitions import FAMILIES
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline_tests.end_to_end.city import Pipeline, settings_in
from vanc311_pipeline_tests.end_to_end.odd_city import AS_OF, EMPTY_AREA, SMALL_AREA, UNUSABLE_AREA, odd_city
from vanc311_pipeline_tests.end_to_end.recompute import differences, recompute
from vanc311_pipeline_tests.integration.planting import execute


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """The published file of the odd city."""
    with StandIn() as sample, StandIn(requests=odd_city(sample.frame)) as portal:
        pipeline = Pipeline(settings_in(tmp_path_factory.mktemp("odd"), portal.url))
        pipeline.sync_with_all_numbers()
    return pipeline.settings.published_path


@pytest.fixture(scope="module")
def again(odd):
    """The odd city's statistics, computed again."""
    return recompute(odd)


def test_every_table_of_statistics_is_recomputed(again):
    assert set(again) == {name for family in FAMILIES for name in family.tables}


@pytest.mark.rehearsal
def test_every_statistic_of_the_sample_is_the_same_when_computed_again(synced):
    assert differences(synced.published_path) == {}


def test_every_statistic_of_the_odd_city_is_the_same_when_computed_again(odd, again):
    assert differences(odd, again) == {}


def test_the_odd_city_meets_the_rules_that_it_is_made_for(odd):
    with closing(sqlite3.connect(odd)) as connection:

        def values(query: str) -> set[str]:
            return {row[0] for row in connection.execute(query)}

        assert values("SELECT as_of FROM release") == {AS_OF.isoformat()}
        city = "level = 'citywide' AND scope = 'all' AND period = 'all'"
        for column in ("n_static", "n_after_as_of", "n_negative", "n_closed_without_date"):
            assert values(f"SELECT {column} > 0 FROM time_to_close WHERE {city}") == {1}, column
        assert values("SELECT median_state FROM time_to_close") == {
            "ok", "no_requests", "no_usable_timing", "too_few", "not_reached",
        }  # fmt: skip
        assert "immature" in values("SELECT share_30_state FROM monthly_series")
        assert values("SELECT state FROM year_on_year") == {"ok", "no_requests", "too_few"}
        assert values("SELECT flow FROM flow") >= {"growing", "shrinking", "stable", "too_few"}
        states = dict(connection.execute("SELECT local_area, state FROM area_comparison WHERE measure = 'closings'"))
        assert (states[EMPTY_AREA], states[UNUSABLE_AREA], states[SMALL_AREA]) == (
            "no_requests", "no_usable_timing", "too_few",
        )  # fmt: skip
        assert "Unmapped" in values("SELECT outcome FROM outcomes WHERE closed_as > 0")
        for column in ("n_quarantined", "n_twins", "n_repeats", "n_batch_closed", "n_obsolete_label", "n_negative"):
            assert values(f"SELECT sum({column}) > 0 FROM quality_ledger") == {1}, column


PLANTED = {
    "time_to_close": "UPDATE time_to_close SET p75_days = p75_days + 1 WHERE rowid = (SELECT min(rowid) FROM time_to_close)",
    "flow": "DELETE FROM flow WHERE rowid = 1",
    "area_comparison": "UPDATE area_comparison SET se_log_ratio = se_log_ratio + 1e-8 WHERE se_log_ratio > 0",
}


def test_the_comparison_finds_what_is_planted(odd, again, tmp_path):
    copy = Path(shutil.copy(odd, tmp_path / "copy.sqlite"))
    execute(copy, *PLANTED.values())
    assert set(differences(copy, again)) == set(PLANTED)
