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
from vanc311_pipeline.metrics.groups import Period, tally
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
    block, pieces = period.block(begins), period.block(opened + days) - period.block(begins) + 1
    row = np.repeat(np.arange(len(code), dtype=np.int32), pieces)
    number = np.arange(len(row), dtype=np.int32) - np.repeat(np.cumsum(pieces, dtype=np.int32) - pieces, pieces)
    place, last = block[row] + number, number == pieces[row] - 1
    entry = np.where(number == 0, begins[row], period.first_day(place)) - opened[row]
    until = np.where(last, days[row], period.first_day(place + 1) - 1 - opened[row])
    blocks = period.block(opened)[row] % period.blocks, place % period.blocks
    return Spells(code[row], until, event[row] & last, entry, period.blocks, blocks)


def curves_by_parts(spells: Spells, groups: int) -> Iterator[tuple[int, Curves]]:
    """The curves of groups, as many at a time as memory allows: the first group, and the curves of it and the next ones."""
    length, blocks = int(spells.days.max(initial=0)) + 1, spells.blocks
    at_once = max(1, CELLS_AT_ONCE // (length * blocks))
    for first in range(0, max(1, groups), at_once):
        size = min(at_once, groups - first)
        inside = of_groups(spells.code, first, size)
        code, days, event = spells.code[inside] - first, spells.days[inside], spells.event[inside]
        entry = None if spells.entry is None else spells.entry[inside]
        closed, at_risk = _counted(code, days, event, entry, (size, length))
        effect = None
        if spells.effect is not None:
            effect = np.repeat(spells.effect[first : first + size, None], length, axis=1)
        elif entry is not None and spells.block:
            # A curve stands still but for the days on which its group has a closing, and so do those that leave out a block.
            moves = (closed > 0) | (np.arange(length) == 0)
            place = np.cumsum(moves, axis=1, dtype=np.int32) - 1
            until, since, width = place[code, days], place[code, entry] + ~moves[code, entry], place.max(initial=0) + 2
            by_block = [
                _counted(code * blocks + block[inside], until, event, since, (size, blocks, width))
                for block in spells.block
            ]
            effect = np.take_along_axis(design_effect(*by_block), place, axis=1)
        yield first, kaplan_meier(closed, at_risk, effect)


def of_groups(code: Codes | Ints, first: int, size: int) -> Mask | slice:
    """Where the codes of so many groups from the first on are; if there are no others, nothing need be copied."""
    inside = (code >= first) & (code < first + size)
    return slice(None) if inside.all() else inside


def _counted(
    cell: Codes | Ints, days: Codes | Ints, event: Mask, entry: Codes | Ints | None, shape: tuple[int, ...]
) -> tuple[Ints, Ints]:
    """The closings on each day (last axis) by cell (the other axes), and those at risk."""

    def by_day(cell: Codes | Ints, day: Codes | Ints) -> Ints:
        return tally(cell, day, math.prod(shape[:-1]), shape[-1]).reshape(shape)

    entered = None if entry is None else by_day(cell, entry)
    return by_day(cell[event], days[event]), risk_set(by_day(cell, days), entered)
