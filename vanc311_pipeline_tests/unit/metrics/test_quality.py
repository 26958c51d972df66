"""Claims about the quality of the record: what counts as a batch, an old label, a twin, and where it is counted."""

import pytest

from vanc311_pipeline.metrics.facts import Status
from vanc311_pipeline.metrics.quality import batch_closed, quality_ledger

COUNTS = ["volume", "n_missing_area", "n_missing_point", "n_negative", "n_closed_without_date", "n_twins",
          "n_batch_closed", "n_obsolete_label", "n_unmapped_reason", "n_repeats", "n_quarantined"]  # fmt: skip


@pytest.fixture(scope="module")
def ledger():
    """The lines of the ledger: month and department, and the counts that are not 0."""

    def run(city, repeats=None, quarantined=None):
        table = quality_ledger(city, repeats or {}, quarantined or {})
        assert list(table.columns) == ["open_month", "department", *COUNTS]
        return {
            (row["open_month"], row["department"]): {name: row[name] for name in COUNTS if row[name]}
            for row in table.to_dict("records")
        }

    return run


def closings(*days, **row):
    """Requests closed on days of June 2025: day and number."""
    return [{"opened": "2025-05-01", "closed": f"2025-06-{day:02d}", "times": times, **row} for day, times in days]


@pytest.mark.parametrize(
    ("days", "batch"),
    [
        ([(1, 1), (11, 30)], 30),  # 30 against 31 in 11 days
        ([(1, 1), (10, 30)], 0),  # 30 against 31 in 10 days: not 10 times as many as usual
        ([(1, 1), (30, 29)], 0),  # not 30
        ([(1, 30), (20, 30)], 60),  # exactly 10 times the 3 of a usual day
        ([(1, 30), (19, 30)], 0),
        ([(1, 500)], 0),  # one day is its own usual day
    ],
)
def test_a_batch_is_a_day_of_30_closings_and_10_times_as_many_as_usual(facts, batch, days):
    assert batch_closed(facts(*closings(*days))).sum() == batch


def test_a_batch_is_of_one_type_and_of_closed_requests(facts):
    two_types = [*closings((1, 1), (30, 20)), *closings((1, 1), (30, 20), issue="Noise")]
    assert batch_closed(facts(*two_types)).sum() == 0
    assert batch_closed(facts(*closings((1, 1), (30, 40), status=Status.OPEN))).sum() == 0
    assert batch_closed(facts()).tolist() == []
    assert batch_closed(facts({"issue": "Noise"}, *closings((1, 1), (30, 30)))).tolist() == [False] * 2 + [True] * 30


@pytest.mark.parametrize(
    ("label", "obsolete"),
    [
        ("ZZ OLD - Graffiti", True), ("ZZ", True), ("ZZ-OLD", True), ("Z - Curb Ramp Request Case", True),
        ("ZZTop", False), ("Zoning", False), ("ZZZ", False), ("ZZ_OLD", False), ("zz old", False), ("OLD ZZ", False),
    ],
)  # fmt: skip
def test_a_label_is_obsolete_if_it_begins_with_the_word_z_or_zz(facts, ledger, label, obsolete):
    expected = {"volume": 1, "n_obsolete_label": 1} if obsolete else {"volume": 1}
    assert ledger(facts({"issue": label})) == {("2025-06", "ENG"): expected}


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        ({}, {}),
        ({"area": None}, {"n_missing_area": 1}),
        ({"point": False}, {"n_missing_point": 1}),
        ({"took": 0}, {}),
        ({"took": -1}, {"n_negative": 1}),
        ({"took": -1, "status": Status.OPEN}, {}),
        ({"status": Status.CLOSE}, {"n_closed_without_date": 1}),
        ({"status": Status.OTHER}, {}),
        ({"twin": True}, {"n_twins": 1}),
        ({"took": 0, "reason": "New"}, {"n_unmapped_reason": 1}),
        ({"reason": "New"}, {}),
        ({"took": 0, "reason": "Unknown"}, {}),
        ({"opened": "2021-06-01", "closed": "2021-05-01"}, {"n_negative": 1}),
    ],
)
def test_a_request_adds_to_exactly_these_counts(facts, ledger, row, counts):
    (counted,) = ledger(facts(row)).values()
    assert counted == {"volume": 1} | counts


def test_each_count_is_by_month_of_opening_and_department_and_repeats_and_quarantine_stand_beside(facts, ledger):
    city = facts(
        {"opened": "2025-05-31", "took": 1, "area": None, "times": 2},
        {"opened": "2025-06-01"},
        {"opened": "2025-06-01", "department": "DBL", "twin": True},
        *closings((1, 1), (30, 30)),
    )
    repeats = {("2025-05", "ENG"): 4}
    quarantined = {("2025-06", "DBL"): 5, ("2025-04", "unknown"): 6}
    assert ledger(city, repeats, quarantined) == {
        ("2025-04", "unknown"): {"n_quarantined": 6},
        ("2025-05", "ENG"): {"volume": 33, "n_missing_area": 2, "n_batch_closed": 30, "n_repeats": 4},
        ("2025-06", "DBL"): {"volume": 1, "n_twins": 1, "n_quarantined": 5},
        ("2025-06", "ENG"): {"volume": 1},
    }


def test_no_request_gives_no_line(facts, ledger):
    assert ledger(facts()) == {}
    assert ledger(facts(), quarantined={("2025-06", "ENG"): 2}) == {("2025-06", "ENG"): {"n_quarantined": 2}}
