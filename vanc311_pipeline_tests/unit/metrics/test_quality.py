"""Claims about the quality of the record: what counts as an old label, and to which counts a request adds."""

import pandas as pd
import pytest

from vanc311_pipeline.metrics.batches import BATCH_KINDS, batch_closed, batch_days
from vanc311_pipeline.metrics.facts import Status
from vanc311_pipeline.metrics.groups import grouping_of
from vanc311_pipeline.metrics.quality import quality_ledger

COUNTS = ["volume", "n_missing_area", "n_missing_point", "n_negative", "n_closed_without_date", "n_twins",
          "n_batch_closed", "n_obsolete_label", "n_unmapped_reason", "n_repeats", "n_quarantined"]  # fmt: skip


@pytest.fixture(scope="module")
def ledger():
    """The lines of the ledger: month and department, and the counts that are not 0."""

    def run(city, repeats=None, quarantined=None):
        found = [batch_days(grouping_of(city, kind)) for kind in BATCH_KINDS]
        table = quality_ledger(city, batch_closed(city, pd.concat(found)), repeats or {}, quarantined or {})
        assert list(table.columns) == ["open_month", "department", *COUNTS]
        return {
            (row["open_month"], row["department"]): {name: row[name] for name in COUNTS if row[name]}
            for row in table.to_dict("records")
        }

    return run


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


def test_no_request_gives_no_line(facts, ledger):
    assert ledger(facts()) == {}
    assert ledger(facts(), quarantined={("2025-06", "ENG"): 2}) == {("2025-06", "ENG"): {"n_quarantined": 2}}
