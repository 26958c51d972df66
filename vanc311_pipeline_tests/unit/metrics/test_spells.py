"""Claims about spells: cutting requests into blocks of time changes no curve, and each piece lies in the block that it is said to."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.groups import Period
from vanc311_pipeline.metrics.spells import Spells, curves_by_parts, in_blocks

PERIODS = st.builds(
    lambda first, length: Period("some days", first, first + length), st.integers(0, 50), st.integers(13, 400)
)
REQUESTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-100, 300), st.integers(0, 200), st.booleans(), st.integers(0, 200)),
    min_size=1,
    max_size=30,
)


@given(PERIODS, REQUESTS)
def test_pieces_are_the_days_of_the_requests_each_in_its_block(period, requests):
    code, opened, days, event, waited = (np.array(column) for column in zip(*requests, strict=True))
    entry = np.minimum(waited, days)
    pieces = in_blocks(period, code, opened, days, event, opened + entry)
    assert (pieces.entry <= pieces.days).all()
    assert (pieces.days - pieces.entry + 1).sum() == (days - entry + 1).sum()
    whole = Spells(code, days, event, entry)
    [(_, cut)], [(_, uncut)] = (curves_by_parts(spells, 3) for spells in (replace(pieces, blocks=1, block=()), whole))
    np.testing.assert_array_equal(cut.at_risk, uncut.at_risk)
    np.testing.assert_array_equal(cut.closed, uncut.closed)
    of_opening, of_waiting = pieces.block
    for block in (of_opening, of_waiting):
        assert ((block >= 0) & (block < period.blocks)).all()
    # Opened on one day, a request has one block of opening, and the pieces that it waits in follow each other.
    [(_, alone)] = curves_by_parts(in_blocks(period, code[:1], opened[:1], days[:1], event[:1]), 3)
    assert alone.at_risk[code[0]].tolist() == [1] * (days[0] + 1)


def test_a_request_that_waits_from_one_block_into_the_next_is_in_both():
    period = Period("four weeks", 0, 27)
    pieces = in_blocks(period, np.array([0]), np.array([5]), np.array([10]), np.array([True]))
    assert (pieces.entry.tolist(), pieces.days.tolist(), pieces.event.tolist()) == (
        [0, 2, 9],
        [1, 8, 10],
        [False, False, True],
    )
    assert [block.tolist() for block in pieces.block] == [[0, 0, 0], [0, 1, 2]]


def test_before_and_after_the_period_its_blocks_come_around_again():
    period = Period("four weeks", 0, 27)
    pieces = in_blocks(period, np.array([0, 0]), np.array([-1, 28]), np.array([0, 0]), np.array([True, True]))
    assert [block.tolist() for block in pieces.block] == [[3, 0], [3, 0]]
