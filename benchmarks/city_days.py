"""What the city does on the days of a simulated week: its releases, and the troubles of its portal.

Who looks on is in `clockwork`, and what must hold then in `week`.
"""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import NamedTuple

import pandas as pd

from vanc311_pipeline.standin import EDITS, Fault, StandIn
from vanc311_pipeline.standin.releases import OPENED

RELEASE_TIME = time(14, 6, 58)
RECENT = timedelta(days=45)
NEW_SHARE, CLOSED_SHARE = 1 / 1_800, 1 / 5_000  # of all rows, in one day: 722 and 260 of 1.3 million


class Trouble(NamedTuple):
    """The portal answers badly for some hours of a day."""

    kind: str
    begins: time
    ends: time
    on: str = "any"

    def at(self, moment: datetime) -> bool:
        return self.begins <= moment.time() < self.ends


Truth = Callable[[pd.DataFrame, datetime, int], pd.DataFrame]


class Day(NamedTuple):
    """A day: what changes in the city's records, what the portal makes of them, and whether we are in step at its end."""

    name: str
    changes: Truth | None = None  # how the city's own records change; None if they don't
    releases: bool = True
    cuts: bool = False  # the release lacks a good part of the records
    troubles: tuple[Trouble, ...] = ()
    ends_in_step: bool = True

    def settled_by(self, day: datetime) -> datetime | None:
        """From when on the day's release can be had; None if not on this day."""
        if not self.releases or not self.ends_in_step:
            return None
        return datetime.combine(day, max([RELEASE_TIME, *(trouble.ends for trouble in self.troubles)]), day.tzinfo)


def ordinary(frame: pd.DataFrame, now: datetime, seed: int) -> pd.DataFrame:
    """New requests of the day before, closings of recent ones, edits and deletions of any, one inserted long ago."""
    yesterday, (new, closings) = (
        now - timedelta(days=1),
        (max(3, round(len(frame) * part)) for part in (NEW_SHARE, CLOSED_SHARE)),
    )
    ago = f"{frame[OPENED].min() + timedelta(days=400 if len(frame) > 100_000 else 20):%Y-%m-%dT19:30:00+00:00}"
    frame = _edit("insert_old", frame, new, seed, opened=f"{yesterday:%Y-%m-%dT16:00:00+00:00}")
    recent = frame[OPENED] >= frame[OPENED].max() - RECENT
    open_ones = int((frame.loc[recent, "status"] == "Open").sum())
    closed = _edit("close", frame[recent], min(open_ones, closings), seed)
    frame = pd.concat([frame[~recent], closed], ignore_index=True)
    frame = _edit("edit_with_modified", frame, 3, seed)
    frame = _edit("reopen", frame, 1, seed)
    frame = _edit("delete", frame, 2, seed)
    return _edit("insert_old", frame, 1, seed, opened=ago)


def relabelled(frame: pd.DataFrame, now: datetime, seed: int) -> pd.DataFrame:
    """An ordinary day, and a request type gets another name over all history."""
    return EDITS["relabel_type"].function(ordinary(frame, now, seed))


def cut(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The release as it came in March 2026: the oldest rows are gone, and half of the latest."""
    opened = frame[OPENED]
    before, halved_from = (f"{opened.quantile(part):%Y-%m-%d}" for part in (0.13, 0.78))
    return EDITS["truncate"].function(frame, before=before, halved_from=halved_from, seed=seed)


def _edit(name: str, frame: pd.DataFrame, rows: int, seed: int, **details: str) -> pd.DataFrame:
    return EDITS[name].function(frame, rows=rows, seed=seed, **details)


ORDINARY = Day("new, closed, edited, deleted, inserted", ordinary)
DOWN = Trouble("refused", time(13, 30), time(15, 30)), Trouble("server_502", time(15, 30), time(17, 30))
OUTAGE = Day("relabelled over all history; portal out of order till 17:30", relabelled, troubles=DOWN)
UNCHANGED = Day("published again, nothing changed")
CUT = Day("truncated release", ordinary, cuts=True, ends_in_step=False)
FAILING, USED_UP = Trouble("server_500", time(14), time(15), on="export"), Trouble("quota_429", time(10), time.max)
RECOVERY = Day("recovered; exports fail till 15:00", ordinary, troubles=(FAILING,))
QUOTA = Day("ordinary; calls used up from 10:00 on", ordinary, troubles=(USED_UP,), ends_in_step=False)
QUIET = Day("no release (the day before's is taken after midnight)", releases=False)

WEEK = (ORDINARY, OUTAGE, UNCHANGED, CUT, RECOVERY, QUOTA, QUIET)


class City:
    """The city's own records, day by day, and the portal that publishes them."""

    def __init__(self, portal: StandIn, seed: int) -> None:
        self.portal, self._seed = portal, seed
        self._truth = portal.frame

    def publish(self, day: Day, at: datetime) -> None:
        """The day's release."""
        if day.changes:
            self._seed += 1
            self._truth = day.changes(self._truth, at, self._seed)
        self.portal.publish(cut(self._truth, self._seed) if day.cuts else self._truth, at)

    def trouble(self, day: Day, at: datetime) -> None:
        """The portal's clock, and its troubles at that instant."""
        self.portal.set_clock(at)
        self.portal.clear_faults()
        for trouble in day.troubles:
            if trouble.at(at):
                self.portal.play(Fault(trouble.kind, on=trouble.on, times=None))
