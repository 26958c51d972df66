"""Claims about the headline metrics: what each request adds, and null where there is no average.

The numbers of every group of a city are computed again in `end_to_end/recompute.py`.
"""

import pytest

from vanc311_pipeline.schema import COUNTS

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"


NOISE = {
    "service_request_type": "Noise", "local_area": "Marpole", "status": "Close", OPENED: "2025-08-04T15:00:00+00:00",
    CLOSED: None, MODIFIED: None,
}  # fmt: skip


def test_an_average_of_nothing_is_null_and_never_zero(headline):
    tables = headline(
        NOISE | {"status": "Open"},
        NOISE | {CLOSED: "2025-08-03"},
        NOISE | {MODIFIED: NOISE[OPENED]},
        NOISE | {"status": "Unheard of", CLOSED: "2025-08-07"},
    )
    for level in ("citywide", "neighbourhood", "issue", "hyper_local"):
        assert tables[level][["avg_ttr", "avg_ttu"]].isna().all(axis=None), level
        assert (tables[level][["n_ttr", "n_ttu"]] == 0).all(axis=None), level
    averages = tables["long"][tables["long"]["metric"].isin(["avg_ttr", "avg_ttu"])]
    assert averages["value"].isna().all()
    assert (averages["n"] == 0).all()


def test_the_total_of_no_unlocated_request_is_zero_and_its_averages_are_null(headline):
    long = headline(NOISE)["long"].query("level == 'unlocated'")
    assert long.set_index("metric")["value"].dropna().to_dict() == {"volume": 0, "open_requests": 0}
    assert long["n"].tolist() == [0] * 4


def test_a_city_without_a_request_has_volume_zero_in_both_scopes(headline):
    tables = headline()
    assert tables["citywide"]["scope"].tolist() == ["all", "located"]
    assert (tables["citywide"][COUNTS] == 0).all(axis=None)
    assert tables["citywide"][["avg_ttr", "avg_ttu"]].isna().all(axis=None)
    assert all(len(tables[level]) == 0 for level in ("neighbourhood", "issue", "hyper_local", "unlocated"))


UPDATED = {"n_ttu": 1, "sum_seconds_to_update": 186_788}  # 2 days, 3 h, 53 min, 8 s
TIMED = {"closed": 1, "n_ttr": 1, "sum_days_to_close": 2}
WAITING = {"status": "Open", CLOSED: None, MODIFIED: None}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, TIMED | UPDATED),
        ({CLOSED: "2025-08-25"}, {"closed": 1, "n_ttr": 1} | UPDATED),
        ({CLOSED: "2025-08-24"}, {"closed": 1, "n_negative": 1} | UPDATED),
        ({CLOSED: "2026-01-07"}, TIMED | {"sum_days_to_close": 135} | UPDATED),
        ({CLOSED: "2026-01-08"}, {"closed": 1, "n_closed_without_date": 1} | UPDATED),
        ({CLOSED: "9999-12-31"}, {"closed": 1, "n_closed_without_date": 1} | UPDATED),
        ({CLOSED: None}, {"closed": 1, "n_closed_without_date": 1} | UPDATED),
        ({"status": "Open", CLOSED: None}, {"open_requests": 1} | UPDATED),
        ({"status": "Open"}, {"open_requests": 1} | UPDATED),
        ({"status": "Closed"}, {"status_unknown": 1} | UPDATED),
        ({"status": None}, {"status_unknown": 1} | UPDATED),
        ({MODIFIED: "2025-08-25T15:03:00+00:00"}, TIMED | {"n_never_updated": 1}),
        ({MODIFIED: "2025-08-25T15:02:59+00:00"}, TIMED | {"n_update_negative": 1}),
        ({MODIFIED: None}, TIMED | {"n_update_missing": 1}),
        ({MODIFIED: "2099-01-01T00:00:00+00:00"}, TIMED | {"n_update_missing": 1}),
        # Static: open, and opened before 2022-08-17 by the local date; 06:59 UTC on the 17th is still the 16th.
        (
            WAITING | {OPENED: "2022-08-17T06:59:00+00:00"},
            {"open_requests": 1, "n_static_open": 1, "n_update_missing": 1},
        ),
        (WAITING | {OPENED: "2022-08-17T07:00:00+00:00"}, {"open_requests": 1, "n_update_missing": 1}),
        (
            {CLOSED: "2022-08-16", OPENED: "2022-08-16T20:00:00+00:00", MODIFIED: None},
            {"closed": 1, "n_ttr": 1, "n_update_missing": 1},
        ),
    ],
)
def test_a_request_adds_to_exactly_these_counts(headline, row, expected):
    city = headline(row, month=row.get(OPENED, "2025-08")[:7])["citywide"].set_index("scope")
    assert {name: value for name, value in city.loc["all", COUNTS].items() if value} == {"volume": 1} | expected
