"""The fault harness in small: what `python -m benchmarks.faults` claims of hundreds of rounds, of a few on a small city.

Each scenario mistreats real `vanc311 sync` processes; its tally lists what was violated, which must be nothing.
"""

import signal
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import faults
from benchmarks.rig import Rig, converged, edited
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.published import digests, reading


@pytest.fixture
def rig(city, loaded, tmp_path) -> Rig:
    return Rig(city, tmp_path, np.random.default_rng(311), loaded, here=True)


TOGETHER = "syncs started together wait for each other and fetch nothing twice"
SCENARIOS = {
    TOGETHER: (partial(faults.at_once, races=[(2, True, False)]), {}),
    "killed at any moment, it leaves a whole file, and the next sync mends everything": (
        partial(faults.kills, count=4), {"rounds": 4, "convergences": 1},
    ),
    "killed in its first load, it begins again without help": (
        partial(faults.kills_by_phase, names=["a first month was ever stored"]), {"killed": 1},
    ),
    "a file that can grow no further is one clear message, and nothing is lost": (
        partial(faults.file_limit, sizes=2), {"room enough": 0},
    ),
    "a place that may not be written is one clear message, and nothing is lost": (
        partial(faults.no_permission, names=["the published directory"]), {"refused": 1},
    ),
    "syncs that each begin an empty directory together wait for each other": (
        partial(faults.at_once, races=[(2, False, True)]), {"months fetched twice": 0},
    ),
    "a directory with signs that mean something in addresses is used itself": (faults.odd_names, {"convergences": 2}),
    "whatever the portal does at random, no two releases are mixed": (
        partial(faults.random_faults, rounds=3), {"rounds": 3},
    ),
    "a release that comes at any question is followed": (partial(faults.moving_release, rounds=1), {"rounds": 1}),
}  # fmt: skip


@pytest.mark.parametrize(
    "claim", [TOGETHER, *(pytest.param(name, marks=pytest.mark.rehearsal) for name in SCENARIOS if name != TOGETHER)]
)
def test_it_holds_in_a_few_rounds_that(rig, claim):
    scenario, counts = SCENARIOS[claim]
    scenario(rig)
    assert rig.tally.problems == []
    counted = {**vars(rig.tally), **rig.tally.figures}
    assert {name: counted.get(name, 0) for name in counts} == counts


class Reader(threading.Thread):
    """Opens the published file over and over, looks for what is beside a new one, and notes what it sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._done = path, threading.Event()
        self.seen: set[tuple[int, int]] = set()
        self.broken: list[str] = []

    def run(self) -> None:
        while not self._done.wait(0.005):
            try:
                with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as file:
                    [rows] = file.execute("SELECT count(*) FROM service_requests").fetchone()
                    [stored] = file.execute("SELECT rows_stored FROM release").fetchone()
                if (rows, stored) not in self.seen:
                    self.seen.add((rows, stored))
                    with reading(self._path) as release:
                        assert digests(release)
            except (sqlite3.Error, SettingsError) as error:
                self.broken.append(str(error))

    def __enter__(self) -> "Reader":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


@pytest.mark.parametrize(
    "moment",
    [
        "a first month is stored",
        pytest.param("a month is being landed", marks=pytest.mark.rehearsal),
        pytest.param("the new file is being written", marks=pytest.mark.rehearsal),
    ],
)
def test_a_killed_sync_leaves_readers_a_whole_file_and_nothing_behind_once_the_next_is_done(rig, city, moment):
    with rig.scene(loaded=True) as scene:
        home = scene.home
        scene.begin_with_release(edited(city, seed=1))
        with Reader(home.published) as reader:
            ended = home.start().ended_by(signal.SIGKILL, partial(faults.SIGHTS[moment][1], home))
            assert ended.code == -signal.SIGKILL
            scene.left_whole("a kill")
            scene.converge("a kill")
        assert rig.tally.problems == []
        assert reader.broken == []
        assert reader.seen <= {(rows, rows) for rows in (len(city), len(scene.city.frame))}
        assert len(list((home.published.parent / "downloads").iterdir())) == 2  # the last one's stay for a while


def test_ctrl_c_ends_it_with_one_sentence_and_nothing_is_lost(rig):
    with rig.scene(loaded=False) as scene:
        ended = scene.home.start().ended_by(signal.SIGINT, when=lambda printed: " stored: " in printed)
        assert ended.code in (0, 130), ended.err  # 0: it was done before the signal reached it
        assert "Traceback" not in ended.err
        assert converged(scene.home, scene.city) == []
