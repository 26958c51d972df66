"""Claims about the replay: the log taken back leads from each state of a month to the one before, twins and renamings included."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.requests.changes import compare
from vanc311_pipeline.requests.identity import CONTENT, KEY, occurrences, request_id
from vanc311_pipeline.requests.replay import Entry, moves
from vanc311_pipeline.schema import service_requests

NAMES = (*KEY, *CONTENT)
REQUESTS = st.fixed_dictionaries(
    {
        "department": st.just("ENG"),
        "issue_type": st.sampled_from(["Pothole", "ZZ OLD - Pothole"]),
        "opened_at": st.sampled_from(["2025-08-25T15:03:00Z", "2025-08-26T08:00:00Z"]),
        "status": st.sampled_from(["Open", "Close", None]),
        "closed_on": st.sampled_from(["2025-08-27", None]),
        "modified_at": st.sampled_from(["2025-08-27T10:00:00Z", "2025-08-28T10:00:00Z", None]),
        "local_area": st.sampled_from(["Marpole", "Kitsilano", None]),
        "latitude": st.sampled_from([49.25, None]),
    }
).map(lambda fields: dict.fromkeys(NAMES) | fields)
STATES = st.lists(st.lists(REQUESTS, max_size=6), min_size=2, max_size=4)


def stored(requests):
    """A month's requests as it holds them, numbered by the rule of the load."""
    numbers = occurrences(pd.DataFrame(requests, columns=NAMES)).tolist()
    rows = []
    for fields, number in zip(requests, numbers, strict=True):
        id_ = request_id(*(fields[name] for name in KEY), number)
        whole = fields | {"occurrence": number, "request_id": id_}
        rows.append(tuple(whole.get(column.name) for column in service_requests.columns))
    return rows


def log(states):
    """The entries that lead from each state to the next, newest first."""
    entries = []
    for load, (before, after) in enumerate(pairwise(states)):
        for change in compare(stored(before), stored(after)):
            identity = change.department, change.issue_type, change.opened_at
            about = change.kind, change.request_id, identity, change.before, change.after
            entries.append(Entry(len(entries) + 1, (str(load),), *about))
    return entries[::-1]


def bag(requests):
    return Counter(tuple(fields[name] for name in NAMES) for fields in requests)


@given(states=STATES)
def test_each_load_taken_back_gives_the_state_before_it(states):
    entries = log(states)
    load_of = {entry.change_id: int(entry.load[0]) for entry in entries}
    done = [(load_of[move.change_id], move) for move in moves(states[-1], entries)]
    for load, (before, after) in enumerate(pairwise(states)):
        of_load = [move for number, move in done if number == load]
        went, came = (
            bag(fields for fields in side if fields)
            for side in (
                [move.before for move in of_load],
                [move.after for move in of_load],
            )
        )
        assert bag(after) - came + went == bag(before)
        assert came <= bag(after)


@pytest.mark.parametrize(
    "wrong", [{"request_id": "another"}, {"after": {"status": "Open"}}], ids=["nobody", "another state"]
)
def test_a_log_that_does_not_lead_to_what_is_stored_is_refused(wrong):
    opened = {"department": "ENG", "issue_type": "Pothole", "opened_at": "2025-08-25T15:03:00Z", "status": "Open"}
    states = [[dict.fromkeys(NAMES) | opened], [dict.fromkeys(NAMES) | opened | {"status": "Close"}]]
    [entry] = log(states)
    with pytest.raises(IntegrityFailed, match="change 1 does not lead to what is stored"):
        list(moves(states[1], [replace(entry, **wrong)]))


@pytest.mark.parametrize(
    ("label", "kinds", "kind"),
    [({}, ["closed"], "closed"), ({"issue_type": "ZZ OLD - Pothole"}, ["closed", "relabelled"], "relabelled")],
)
def test_a_load_moves_a_request_once_as_renamed_if_it_was_and_its_newest_change_is_named(label, kinds, kind):
    opened = {"department": "ENG", "issue_type": "Pothole", "opened_at": "2025-08-25T15:03:00Z", "status": "Open"}
    first = dict.fromkeys(NAMES) | opened
    second = first | {
        "opened_at": "2025-08-26T08:00:00Z"
    }  # of whose label it is known by the first that it was renamed
    closed = second | label | {"status": "Close"}
    entries = log([[first, second], [first | label, closed]])
    about = [entry for entry in entries if entry.identity[2] == second["opened_at"]]
    assert sorted(entry.kind for entry in about) == kinds
    newest = about[0].change_id
    [move] = (move for move in moves([first | label, closed], entries) if move.after == closed)
    assert (move.kind, move.change_id) == (kind, newest)
    with pytest.raises(IntegrityFailed, match=f"change {newest} does not lead"):
        list(moves([first | label, closed | {"status": "Odd"}], entries))
