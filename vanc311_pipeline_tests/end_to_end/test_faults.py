"""The fault harness in small: what `python -m benchmarks.faults` claims of hundreds of rounds, of a few on a small city.

Each scenario mistreats real `vanc311 sync` processes; its tally lists what was violated, which must be nothing.
"""

import signal

import numpy as np
import pytest

from benchmarks.faults import (
    at_once,
    file_limit,
    kills,
    kills_by_phase,
    moving_release,
    no_permission,
    odd_names,
    random_faults,
)
from benchmarks.rig import Rig, converged


@pytest.fixture
def rig(city, loaded, tmp_path) -> Rig:
    return Rig(city, tmp_path, np.random.default_rng(311), loaded, here=True)


@pytest.mark.rehearsal
def test_killed_at_any_moment_it_leaves_a_whole_file_and_the_next_sync_mends_everything(rig):
    kills(rig, count=4)
    assert rig.tally.problems == []
    assert (rig.tally.rounds, rig.tally.convergences) == (4, 1)


@pytest.mark.rehearsal
def test_killed_in_its_first_load_it_begins_again_without_help(rig):
    kills_by_phase(rig, ["a first month was ever stored"])
    assert rig.tally.problems == []
    assert rig.tally.figures["killed"] == 1


@pytest.mark.rehearsal
def test_a_file_that_can_grow_no_further_is_one_clear_message_and_nothing_is_lost(rig):
    file_limit(rig, 2)
    assert rig.tally.problems == []
    assert rig.tally.figures["room enough"] == 0


@pytest.mark.rehearsal
def test_a_place_that_may_not_be_written_is_one_clear_message_and_nothing_is_lost(rig):
    no_permission(rig, ["the published directory"])
    assert rig.tally.problems == []
    assert rig.tally.figures["refused"] == 1


@pytest.mark.rehearsal
def test_syncs_started_together_wait_for_each_other_and_fetch_nothing_twice(rig):
    at_once(rig, [(2, False, True)])
    assert rig.tally.problems == []


@pytest.mark.rehearsal
def test_a_directory_with_signs_that_mean_something_in_addresses_is_used_itself(rig):
    odd_names(rig)
    assert rig.tally.problems == []
    assert rig.tally.convergences == 2


@pytest.mark.rehearsal
def test_whatever_the_portal_does_at_random_no_two_releases_are_mixed(rig):
    random_faults(rig, 3)
    assert rig.tally.problems == []
    assert rig.tally.rounds == 3


@pytest.mark.rehearsal
def test_a_release_that_comes_at_any_question_is_followed(rig):
    moving_release(rig, 1)
    assert rig.tally.problems == []


def test_ctrl_c_ends_it_with_one_sentence_and_nothing_is_lost(rig):
    with rig.scene(loaded=False) as scene:
        ended = scene.home.start().ended_by(signal.SIGINT, when=lambda printed: " stored: " in printed)
        assert ended.code in (0, 130), ended.err  # 0: it was done before the signal reached it
        assert "Traceback" not in ended.err
        assert converged(scene.home, scene.city) == []
