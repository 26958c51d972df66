"""Claims about changes: replayed on the first state they give the second, and each is called by its right name."""

from collections import Counter
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.requests.changes import CONTENT, compare
from vanc311_pipeline.requests.identity import request_id
from vanc311_pipeline.schema import service_requests

COLUMNS = [column.name for column in service_requests.columns]
NAMES = ("department", "issue_type", "opened_at", *CONTENT)
SANITATION = ("ENG - Sanitation Services", "Missed Green Bin Pickup Case")
RENAMED = ("ENG - Sanitation Services", "ZZ OLD - Missed Green Bin Pickup Case")
LIGHTS = ("ENG - Streets", "Street Light Out Case")
PLAIN = {
    "status": "Open", "closure_reason": None, "closed_on": None, "modified_at": "2025-08-25T15:03:00Z", "address": None,
    "local_area": "Marpole", "channel": "WEB", "latitude": None, "longitude": None,
}  # fmt: skip
CLOSED = {"status": "Close", "closed_on": "2025-08-27", "closure_reason": "Service provided"}


def row(label=SANITATION, opened_at="2025-08-25T15:03:00Z", **fields):
    """A request by its label, its opening and what differs from a plain open one."""
    return {"department": label[0], "issue_type": label[1], "opened_at": opened_at, **PLAIN, **fields}


def state(*rows):
    """Rows as a month holds them: numbered within those that share an identity, in the order of their last change."""
    numbers, held = Counter(), []
    for fields in sorted(rows, key=lambda fields: (fields["modified_at"], repr(sorted(fields.items(), key=str)))):
        key = fields["department"], fields["issue_type"], fields["opened_at"]
        whole = {**dict.fromkeys(COLUMNS), **fields, "occurrence": numbers[key], "partition_month": "2025-08"}
        whole["request_id"] = request_id(*key, numbers[key])
        numbers[key] += 1
        held.append(tuple(whole[name] for name in COLUMNS))
    return held


def contents(rows):
    """The requests of a state as a multiset, without what identity adds."""
    places = [COLUMNS.index(name) for name in NAMES]
    return Counter(tuple(each[place] for place in places) for each in rows)


def replay(before, changes):
    """The log's promise, written down without its code: apply each change to a multiset of requests."""
    held = contents(before)
    for change in changes:
        key = {"department": change.department, "issue_type": change.issue_type, "opened_at": change.opened_at}
        known = dict.fromkeys(CONTENT) | key
        if change.kind not in ("opened", "vanished"):
            was = key | change.before
            alike = [dict(zip(NAMES, old, strict=True)) for old in held.elements()]
            [known, *_] = [old for old in alike if was.items() <= old.items()]
        for fields, number in ((change.before, -1), (change.after, 1)):
            if fields is not None:
                held[tuple((known | fields)[name] for name in NAMES)] += number
    return +held


ROWS = st.builds(
    row,
    label=st.sampled_from([SANITATION, RENAMED, LIGHTS]),
    opened_at=st.sampled_from(["2025-08-25T15:03:00Z", "2025-08-26T08:00:00Z"]),
    status=st.sampled_from(["Open", "Close", None]),
    modified_at=st.sampled_from(["2025-08-27T10:00:00Z", "2025-08-28T10:00:00Z", "2025-08-29T10:00:00Z"]),
    local_area=st.sampled_from(["Marpole", "Kitsilano", None]),
)
STATES = st.lists(ROWS, max_size=8).map(lambda rows: state(*rows))


@given(before=STATES, after=STATES)
def test_the_changes_conserve_the_number_of_requests(before, after):
    kinds = Counter(change.kind for change in compare(before, after))
    assert len(before) + kinds["opened"] - kinds["vanished"] == len(after)


@given(
    rows=st.lists(ROWS, max_size=6, unique_by=lambda fields: (fields["issue_type"], fields["opened_at"])),
    data=st.data(),
)
def test_replaying_the_changes_on_the_first_state_gives_the_second(rows, data):
    """For requests that have an identity of their own, where each change says by itself which request it is about."""
    after = []
    taken = {(fields["issue_type"], fields["opened_at"]) for fields in rows}
    for fields in rows:
        fate = data.draw(st.sampled_from(["keep", "drop", "edit", "rename"]))
        if fate == "edit":
            fields = {**fields, "status": "Close", "modified_at": "2025-09-01T00:00:00Z"}
        free = fields["issue_type"] == SANITATION[1] and (RENAMED[1], fields["opened_at"]) not in taken
        if fate == "rename" and free:
            fields = {**fields, "issue_type": RENAMED[1]}
        if fate != "drop":
            after.append(fields)
    before, now = state(*rows), state(*after)
    assert replay(before, compare(before, now)) == contents(now)


@given(before=STATES, data=st.data())
def test_an_equal_state_in_any_order_has_no_changes(before, data):
    assert compare(before, data.draw(st.permutations(before))) == []


@given(before=STATES, after=STATES)
def test_changes_do_not_depend_on_the_order_of_the_rows(before, after):
    assert compare(before, after) == compare(before[::-1], after[::-1])


def one(before, after):
    [change] = compare(state(*before), state(*after))
    return change


@pytest.mark.parametrize(
    ("was", "is_", "kind"),
    [
        ({}, CLOSED, "closed"), (CLOSED, {}, "reopened"), ({}, {"address": "4375 ROSS ST"}, "edited"),
        (CLOSED, {**CLOSED, "closure_reason": "Unknown"}, "edited"), ({"status": None}, CLOSED, "closed"),
    ],
)  # fmt: skip
def test_a_change_is_called_by_what_became_of_the_status(was, is_, kind):
    change = one([row(**was)], [row(**is_)])
    assert change.kind == kind
    differing = {name for name in CONTENT if row(**was)[name] != row(**is_)[name]}
    assert change.before.keys() == change.after.keys() == differing
    assert change.previous_request_id is None


def test_all_fields_of_a_request_that_is_new_or_has_vanished_are_in_the_log():
    fields = {name: value for name, value in row(**CLOSED).items() if name in CONTENT and value is not None}
    opened, vanished = one([], [row(**CLOSED)]), one([row(**CLOSED)], [])
    assert (opened.kind, opened.before, opened.after) == ("opened", None, fields)
    assert (vanished.kind, vanished.before, vanished.after) == ("vanished", fields, None)


def test_twins_that_swap_places_leave_no_trace():
    """A later change of one twin renumbers the other, which has not changed."""
    first, second = row(modified_at="2025-08-25T16:00:00Z"), row(modified_at="2025-08-25T17:00:00Z")
    touched = {**first, "modified_at": "2025-08-26T09:00:00Z"}
    change = one([first, second], [second, touched])
    assert change.kind == "edited"
    assert change.before == {"modified_at": "2025-08-25T16:00:00Z"}
    assert change.after == {"modified_at": "2025-08-26T09:00:00Z"}
    assert change.previous_request_id == request_id(*SANITATION, "2025-08-25T15:03:00Z", 0)
    assert change.request_id == request_id(*SANITATION, "2025-08-25T15:03:00Z", 1)
    assert change.sharing == 2


def test_a_twin_that_vanishes_is_the_one_whose_content_is_gone():
    first, second = row(local_area="Marpole"), row(local_area="Kitsilano")
    assert one([first, second], [second]).before["local_area"] == "Marpole"
    assert one([first, second], [first]).before["local_area"] == "Kitsilano"


def test_an_added_twin_is_a_request_of_its_own():
    change = one([row()], [row(), row(modified_at="2025-08-25T18:00:00Z")])
    assert (change.kind, change.sharing) == ("opened", 2)


def test_a_changed_twin_is_matched_with_the_one_that_it_resembles_most():
    near = row(address="4375 ROSS ST", channel="Phone", modified_at="2025-08-25T16:00:00Z")
    far = row(local_area="Kitsilano", channel="Chat", modified_at="2025-08-25T17:00:00Z")
    closed, edited = (
        near | CLOSED | {"modified_at": "2025-08-27T10:00:00Z"},
        far | {"modified_at": "2025-08-28T10:00:00Z"},
    )
    kinds = {change.kind: change.before["modified_at"] for change in compare(state(near, far), state(closed, edited))}
    assert kinds == {"closed": near["modified_at"], "edited": far["modified_at"]}


def test_a_relabelling_is_recognised_and_nothing_vanishes():
    rows = [row(opened_at=f"2025-08-{day:02d}T08:00:00Z") for day in range(1, 6)]
    renamed = [{**fields, "issue_type": RENAMED[1]} for fields in rows]
    changes = compare(state(*rows), state(*renamed))
    assert [change.kind for change in changes] == ["relabelled"] * 5
    for change in changes:
        assert (change.before, change.after) == ({"issue_type": SANITATION[1]}, {"issue_type": RENAMED[1]})
    assert changes[0].previous_request_id == request_id(*SANITATION, rows[0]["opened_at"], 0)
    assert changes[0].request_id == request_id(*RENAMED, rows[0]["opened_at"], 0)


@pytest.mark.parametrize(("was", "is_", "kind"), [({}, CLOSED, "closed"), (CLOSED, {}, "reopened")])
def test_a_request_that_is_renamed_and_changed_in_one_release_is_both(was, is_, kind):
    """That its id moved with the label is said once."""
    rows = [row(opened_at=f"2025-08-{day:02d}T08:00:00Z", **was) for day in range(1, 4)]
    renamed = [{**fields, "issue_type": RENAMED[1]} for fields in rows]
    renamed[1] |= {**row(**is_), "issue_type": RENAMED[1], "opened_at": rows[1]["opened_at"]}
    renamed[1] |= {"modified_at": "2025-08-27T10:00:00Z"}
    changes = compare(state(*rows), state(*renamed))
    assert Counter(change.kind for change in changes) == {"relabelled": 3, kind: 1}
    assert {change.kind for change in changes if change.previous_request_id} == {"relabelled"}


def test_without_a_row_that_proves_a_renaming_a_changed_row_under_another_label_is_another_request():
    before, after = row(), row(label=LIGHTS, modified_at="2025-08-27T10:00:00Z")
    assert {change.kind for change in compare(state(before), state(after))} == {"vanished", "opened"}


@pytest.mark.parametrize("other", [LIGHTS, ("A department", "A type"), ("ZZ department", "ZZ type")])
def test_a_renaming_says_nothing_of_rows_under_a_third_label(other):
    """One row proves the renaming; neither what came under a third label, nor what went from one, is part of it."""
    proof, changed = row(opened_at="2025-08-01T08:00:00Z"), row(opened_at="2025-08-02T08:00:00Z", **CLOSED)
    renamed = {**proof, "issue_type": RENAMED[1]}
    for gone, come in ((SANITATION, other), (other, RENAMED)):
        was = row(label=gone, opened_at="2025-08-02T08:00:00Z")
        is_ = {**changed, "department": come[0], "issue_type": come[1]}
        kinds = Counter(change.kind for change in compare(state(proof, was), state(renamed, is_)))
        assert kinds == {"relabelled": 1, "vanished": 1, "opened": 1}


def test_one_request_that_the_city_sorts_anew_is_relabelled_with_its_department():
    change = one([row()], [row(label=LIGHTS)])
    assert change.kind == "relabelled"
    assert change.before == {"department": SANITATION[0], "issue_type": SANITATION[1]}
    assert change.after == {"department": LIGHTS[0], "issue_type": LIGHTS[1]}


def test_relabelled_twins_keep_their_number():
    twins = [row(modified_at="2025-08-25T16:00:00Z"), row(modified_at="2025-08-25T17:00:00Z")]
    changes = compare(state(*twins), state(*({**fields, "issue_type": RENAMED[1]} for fields in twins)))
    assert [asdict(change)["sharing"] for change in changes] == [2, 2]
    assert {change.kind for change in changes} == {"relabelled"}
