"""Claims about the headline metrics: what each request adds, a small city worked out by hand, and null where there is no average."""

import pytest

from vanc311_pipeline.metrics.groups import SCOPES
from vanc311_pipeline.metrics.headline import METRICS, WIDE
from vanc311_pipeline.schema import COUNTS

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"
KEYS = ["local_area", "issue_type"]
HEADLINE = ["volume", "open_requests", "avg_ttr", "n_ttr", "avg_ttu", "n_ttu"]


def request(kind, area, status="Close", days=None, hours=None):
    """A request opened at 15:00 UTC on 4 August 2025, closed after whole days, changed after hours."""
    return {
        OPENED: "2025-08-04T15:00:00+00:00",
        "service_request_type": kind,
        "local_area": area,
        "status": status,
        CLOSED: None if days is None else f"2025-08-{4 + days:02d}",
        MODIFIED: None
        if hours is None
        else f"2025-08-{4 + (15 + hours) // 24:02d}T{(15 + hours) % 24:02d}:00:00+00:00",
    }


CITY = [
    request("Graffiti", "Marpole", days=0, hours=6),
    request("Graffiti", "Marpole", days=3, hours=36),
    request("Graffiti", "Marpole", "Open", hours=0),
    request("Noise", "Marpole", "Open"),
    request("Graffiti", "Sunset", days=6, hours=150),
    request("Noise", "Sunset", days=-1, hours=12),  # closed the day before: in no avg_ttr
    request("Noise", None, days=12, hours=300),
    request("Graffiti", None, "Open", hours=24),
    request("Election", "Atlantis", days=None, hours=48),  # no such area; closed without a date
]


@pytest.fixture(scope="module")
def city(headline):
    return headline(*CITY)


def rows(frame, *keys):
    """The six headline numbers by key."""
    plain = frame[[*keys, *HEADLINE]].astype(object).where(frame[[*keys, *HEADLINE]].notna(), None)
    return {row[: len(keys)]: row[len(keys) :] for row in plain.itertuples(index=False, name=None)}


def hours(*numbers):
    return pytest.approx(sum(numbers) / 24 / len(numbers), rel=1e-12)


BY_HAND = {
    "citywide": {
        ("all",): (9, 3, 21 / 4, 4, hours(6, 36, 150, 12, 300, 24, 48), 7),
        ("located",): (6, 2, 9 / 3, 3, hours(6, 36, 150, 12), 4),
    },
    "neighbourhood": {
        ("Marpole",): (4, 2, 1.5, 2, hours(6, 36), 2),
        ("Sunset",): (2, 0, 6.0, 1, hours(150, 12), 2),
    },
    "issue": {
        ("Election", "all"): (1, 0, None, 0, hours(48), 1),
        ("Graffiti", "all"): (5, 2, 3.0, 3, hours(6, 36, 150, 24), 4),
        ("Graffiti", "located"): (4, 1, 3.0, 3, hours(6, 36, 150), 3),
        ("Noise", "all"): (3, 1, 12.0, 1, hours(12, 300), 2),
        ("Noise", "located"): (2, 1, None, 0, hours(12), 1),
    },
    "hyper_local": {
        ("Marpole", "Graffiti"): (3, 1, 1.5, 2, hours(6, 36), 2),
        ("Marpole", "Noise"): (1, 1, None, 0, None, 0),
        ("Sunset", "Graffiti"): (1, 0, 6.0, 1, hours(150), 1),
        ("Sunset", "Noise"): (1, 0, None, 0, hours(12), 1),
    },
    "unlocated": {
        ("Election",): (1, 0, None, 0, hours(48), 1),
        ("Graffiti",): (1, 1, None, 0, hours(24), 1),
        ("Noise",): (1, 0, 12.0, 1, hours(300), 1),
    },
}
"""The groups of each level, and the six headline numbers of each."""


@pytest.mark.parametrize("level", WIDE)
def test_every_group_of_a_level_that_has_a_request_is_counted_and_areas_count_located_ones_only(city, level):
    assert rows(city[level], *WIDE[level][1], *(["scope"] if "scope" in city[level] else [])) == BY_HAND[level]


def test_the_long_table_says_each_number_once_with_the_requests_behind_it(city):
    total = {
        "avg_ttr": 12.0, "n_ttr": 1, "avg_ttu": (300 + 24 + 48) / 24 / 3, "n_ttu": 3, "volume": 3, "open_requests": 1,
    }  # fmt: skip
    expected = [("unlocated", "unlocated", None, None, name, total[name], total[n]) for name, n in METRICS.items()]
    for level, (_, keys) in WIDE.items():
        for row in city[level].to_dict("records"):
            group = (level, row.get("scope", SCOPES[level][0]), *(row[key] if key in keys else None for key in KEYS))
            expected += [
                (*group, name, None if row[name] != row[name] else row[name], row[n]) for name, n in METRICS.items()
            ]
    long = city["long"].astype(object)
    stated = list(long.where(long.notna(), None).itertuples(index=False, name=None))
    assert len(stated) == len(expected)
    assert set(stated) == set(expected)


def test_an_average_of_nothing_is_null_and_never_zero(headline):
    tables = headline(
        request("Noise", "Marpole", "Open"),
        request("Noise", "Marpole", days=-1),
        request("Noise", "Marpole", days=None, hours=0),
        request("Noise", "Marpole", "Unheard of", days=3),
    )
    for level in ("citywide", "neighbourhood", "issue", "hyper_local"):
        assert tables[level][["avg_ttr", "avg_ttu"]].isna().all(axis=None), level
        assert (tables[level][["n_ttr", "n_ttu"]] == 0).all(axis=None), level
    averages = tables["long"][tables["long"]["metric"].isin(["avg_ttr", "avg_ttu"])]
    assert averages["value"].isna().all()
    assert (averages["n"] == 0).all()


def test_the_total_of_no_unlocated_request_is_zero_and_its_averages_are_null(headline):
    long = headline(request("Noise", "Marpole"))["long"].query("level == 'unlocated'")
    assert long.set_index("metric")["value"].dropna().to_dict() == {"volume": 0, "open_requests": 0}
    assert long["n"].tolist() == [0] * 4


def test_a_city_without_a_request_has_volume_zero_in_both_scopes(headline):
    tables = headline()
    assert rows(tables["citywide"], "scope") == dict.fromkeys([("all",), ("located",)], (0, 0, None, 0, None, 0))
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
