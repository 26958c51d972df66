"""Spells: how requests were followed, one by one, and the curves of their groups.

What belongs here: which block of time a request belongs to, and counting by group, block and day. What does not: the estimator
(`survival`), and which requests are followed.

Requests that share a crew, or a week's speed, are no independent proof. They are alike if they were opened in the same days, and if
they waited in the same days; a block of time is left out either way to see how far the curve depends on it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vanc311_pipeline.metrics.facts import Codes, Floats, Ints, Mask
from vanc311_pipeline.metrics.groups import Period
from vanc311_pipeline.metrics.survival import Curves, design_effect, kaplan_meier, risk_set

CELLS_AT_ONCE = 600_000
"""Groups by blocks by days that are worked out together: more is no faster and takes memory."""


@dataclass(frozen=True)
class Spells:
    """How requests were followed, in one piece or in several."""

    code: Codes | Ints
    """The group of each spell."""
    days: Codes
    """Up to which day after the request's opening it reaches."""
    event: Mask
    """Whether the request was closed then."""
    entry: Codes | None = None
    """From which day after the opening on it reaches; without it, from the opening on."""
    blocks: int = 1
    block: tuple[Codes, ...] = ()
    """In which of so many blocks of time the request was opened, and in which the spell lies."""
    effect: Floats | None = None
    """The design effect of each group where it is known from elsewhere, as of groups too short to be divided into blocks."""


def in_blocks(
    period: Period, code: Codes | Ints, opened: Codes, days: Codes, event: Mask, since: Codes | None = None
) -> Spells:
    """Requests in pieces that lie in a block of the period each, followed for so many `days` from their opening, or from a day `since`
    which they are known. Before and after the period its blocks come around again.
    """
    begins = opened if since is None else since
    of_opening, last = period.block(opened), period.block(opened + days)
    first = of_opening if since is None else period.block(since)
    row = np.repeat(np.arange(len(code), dtype=np.int32), last - first + 1)
    is_first = np.diff(row, prepend=-1) > 0
    is_last = np.roll(is_first, -1)
    number = np.arange(len(row), dtype=np.int32)
    place = number + (first - number[is_first])[row]  # a request's pieces lie in one block after the other
    least = first.min(initial=0)
    starts = period.first_day(np.arange(least, last.max(initial=0) + 2, dtype=np.int32))
    entry = np.where(is_first, begins[row], starts[place - least]) - opened[row]
    until = np.where(is_last, days[row], starts[place - least + 1] - 1 - opened[row])
    blocks = (of_opening % period.blocks)[row], place % period.blocks
    return Spells(code[row], until, event[row] & is_last, entry, period.blocks, blocks)


def curves_by_parts(spells: Spells, groups: int) -> Iterator[tuple[int, Curves]]:
    """The curves of groups, as many at a time as memory allows: the first group, and the curves of it and the next ones."""
    length, blocks = int(spells.days.max(initial=0)) + 1, spells.blocks
    at_once = max(1, CELLS_AT_ONCE // (length * blocks))
    order = np.argsort(spells.code, kind="stable")
    for first in range(0, max(1, groups), at_once):
        size = min(at_once, groups - first)
        inside = order[slice(*np.searchsorted(spells.code, (first, first + size), sorter=order))]
        code, event = spells.code[inside].astype(np.int64) - first, spells.event[inside]
        day = code * length + spells.days[inside]
        entry = None if spells.entry is None else code * length + spells.entry[inside]
        closed, at_risk = _counted(day, event, entry, (size, length))
        effect = None
        if spells.effect is not None:
            effect = np.repeat(spells.effect[first : first + size, None], length, axis=1)
        elif entry is not None and spells.block:
            # A curve stands still but for the days on which its group has a closing, and so do those that leave out a block.
            moves = (closed > 0) | (np.arange(length) == 0)
            place = np.cumsum(moves, axis=1, dtype=np.int32) - 1
            until, since, width = place.ravel()[day], (place + ~moves).ravel()[entry], place.max(initial=0) + 2
            of_block = [(code * blocks + block[inside]) * width for block in spells.block]
            by_block = [_counted(cell + until, event, cell + since, (size, blocks, width)) for cell in of_block]
            effect = np.take_along_axis(design_effect(*by_block), place, axis=1)
        yield first, kaplan_meier(closed, at_risk, effect)


def _counted(day: Ints, event: Mask, entry: Ints | None, shape: tuple[int, ...]) -> tuple[Ints, Ints]:
    """The closings on each day (last axis), and those at risk, from the cell of the array in which each spell ends and begins."""

    def in_cells(cells: Ints) -> Ints:
        return np.bincount(cells, minlength=math.prod(shape)).reshape(shape)

    return in_cells(day[event]), risk_set(in_cells(day), None if entry is None else in_cells(entry))
