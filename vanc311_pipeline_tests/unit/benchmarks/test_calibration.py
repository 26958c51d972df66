"""Claims about the calibration: its arithmetic at a tiny size, and that the stored result is of these definitions and these rules."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import worlds
from benchmarks.calibration import line, missed, table, toml
from benchmarks.verdicts import Areas, City, Claim, Files, TwoYears, holds, jobs, standardised
from vanc311_pipeline import calibration
from vanc311_pipeline.calibration import Calibration, Line
from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION, FAMILIES

CLAIM = Claim("flow", "a world", "false labels", most=0.075)


def test_a_share_is_of_the_looks_that_were_answered_and_its_error_that_of_units():
    # Two units of two looks, one of one look, one without an answer.
    hits = np.array([[1, 1], [0, 0], [0, np.nan], [np.nan, np.nan]])
    shown = line(CLAIM, hits)
    assert (shown.share, shown.looks) == (0.4, 5)
    # Sums less 0.4 for each look: 1.2, −0.8, −0.4; of three units.
    assert shown.error == pytest.approx(np.sqrt((1.2**2 + 0.8**2 + 0.4**2) * 3 / 2) / 5, abs=1e-5)


def test_where_no_look_is_a_hit_the_error_is_not_0():
    assert line(CLAIM, np.zeros((100, 1))).error == pytest.approx(0.007, abs=0.0001)


@pytest.mark.parametrize(
    ("least", "most", "share", "target", "judgement"),
    [
        (0, 0.075, 0.075, "at most 7.5", "met"),
        (0, 0.075, 0.0949, "at most 7.5", "within error"),
        (0, 0.075, 0.096, "at most 7.5", "missed"),
        (0.92, 0.98, 0.92, "92 to 98", "met"),
        (0.92, 0.98, 0.985, "92 to 98", "within error"),
        (0.88, 1, 0.85, "at least 88", "missed"),
        (0, 1, 0.2, "–", "–"),
    ],
)
def test_a_target_is_missed_by_more_than_two_errors(least, most, share, target, judgement):
    shown = Line("flow", "a world", "what", share, 0.01, 1_000, least, most)
    assert shown.cells == ("a world", "what", f"{100 * share:.1f}", "1.0", "1,000", target, judgement)
    assert shown.missed == (judgement == "missed")


@pytest.mark.parametrize(
    ("share", "stored", "fails"),
    [(0.60, 0.75, False), (0.60, 0.95, True), (0.60, None, True), (0.89, 0.98, False), (1.0, 0.98, False)],
)
def test_a_rehearsal_fails_where_a_target_is_missed_and_was_not_so_far_away(share, stored, fails):
    def coverage(share, looks):
        return Line("flow", "a world", "coverage", share, 0.055 if share < 0.9 else 0.005, looks, 0.88, 0.98)

    known = [] if stored is None else [coverage(stored, 1_000)]
    assert bool(missed([coverage(share, 80)], known)) == fails


def test_an_interval_holds_what_lies_on_its_limits_and_one_that_is_not_reached_holds_all_beyond():
    rows = pd.DataFrame({"x_low": [3, 4, 1, 2, np.nan], "x_high": [5, 9, 2, np.nan, np.nan]})
    assert holds(rows, "x", 3)[:, 0].tolist() == pytest.approx([1, 0, 0, 1, np.nan], nan_ok=True)


def test_a_tiny_world_of_each_kind_answers_every_claim_once():
    tiny = (
        City("a city", 40, 2, 1),
        City("a slow one", 40, 2, 1, speed=0.8),
        City("a busy one", 40, 2, 1, inflow=1.2),
        Files("a crew about every 7 days", 400, 3, 1),
        Areas(3_000, 0.3, 0.0, 1.0, 1),
        Areas(3_000, 0.3, 0.15, 1.2, 1),
        TwoYears("a crew about every 7 days", 60, 3, 1),
    )
    answers = [answer for world in tiny for answer in world.answers()]
    lines = [line(claim, hits) for claim, hits in answers if not np.isnan(hits).all()]
    assert len({claim for claim, _ in answers}) == len(answers)
    assert all(0 <= each.share <= 1 and each.error > 0 for each in lines)
    # Weeks of the backtest, four looks of two groups, three files of twelve months, 22 areas.
    assert {hits.shape for _, hits in answers} == {(2, 98), (2, 4), (2, 1), (3, 1), (3, 13), (1, 22), (1, 1)}


def test_the_truth_of_the_areas_is_what_their_requests_come_to():
    effects = np.where(np.arange(worlds.AREAS) == 3, np.log(2), 0)
    same, other = (worlds.areas(5_000, 0, each, 1) for each in (0 * effects, effects))
    ratio = other.ratio
    assert same.ratio == pytest.approx(1)
    assert ratio.argmax() == 3
    assert (np.delete(ratio, 3) < 1).all()
    assert 1.8 < ratio[3] < 2
    times = standardised(other) / standardised(same)
    assert np.delete(times, 3) == pytest.approx(1)
    assert times[3] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("service", worlds.SERVICES)
def test_a_file_is_closed_as_the_service_goes_and_open_requests_are_not_forgotten(service):
    facts, took = worlds.files(service, 50, 4, 1)
    assert np.bincount(facts.area).tolist() == [50] * 4
    assert (took >= 0).all()
    ended = facts.opened + took
    assert (facts.closed == np.where(ended > facts.as_of, -1, ended)).all()
    assert (facts.is_open == (ended > facts.as_of)).all()


def test_a_service_whose_clock_drifts_takes_as_long_as_it_takes_when_the_drift_is_none():
    steady, drifting = (worlds.city(60, 3, drift=drift) for drift in ((0.0, 0.0), (1e-9, 0.5)))
    assert drifting.opened[drifting.event].size == pytest.approx(steady.opened[steady.event].size, rel=0.02)
    assert np.median(drifting.days[drifting.event]) == np.median(steady.days[steady.event])


def test_the_stored_result_is_as_it_was_printed(monkeypatch, tmp_path):
    result = Calibration(
        "2026-11-28", 300_000, "3", (line(CLAIM, np.zeros((4, 1))), Line("flow", "ρ", "power", 0.5, 0.1, 7))
    )
    monkeypatch.setattr(calibration, "FILE", tmp_path / "calibration.toml")
    calibration.FILE.write_text(toml(result), encoding="utf-8")
    assert calibration.read() == result
    assert "| flow | ρ | power | 50.0 | 10.0 | 7 | – | – |" in table(result)


def test_the_stored_result_is_of_these_definitions_and_has_a_line_for_each_rule():
    stored = calibration.read()
    assert stored.definitions_version == DEFINITIONS_VERSION, "run `make calibration docs`"
    assert stored.size == 300_000
    asked = {job.name for job in jobs(stored.size)}
    assert {each.world for each in stored.lines} == asked, "run `make calibration docs`"
    by_family = [each for family in FAMILIES for each in stored.about(family)]
    assert sorted(map(str, by_family)) == sorted(map(str, stored.lines))
    assert {each.table for each in stored.lines} == {
        "area_comparison", "current_speed", "flow", "monthly_series", "outcome_incidence", "time_to_close", "time_to_close_curves",
        "waiting_times", "year_on_year", "speed_on_year",
    }  # fmt: skip
    assert {each.measure.split(":")[0] for each in stored.lines} == {"coverage", "false labels", "power"}
