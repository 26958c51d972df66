"""Claims about restraint's measure: what the city does day by day is never held, and what a broken portal does always is."""

import re
from collections import Counter
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vanc311_pipeline.requests.cleaning import clean
from vanc311_pipeline.requests.profile import Profile, excesses, instants_gone, limit, profile_of, without_worth
from vanc311_pipeline.settings import MAY_MOVE_SHARE
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.releases import SAMPLE_REQUESTS

OPENED, MODIFIED, CLOSED = "service_request_open_timestamp", "last_modified_timestamp", "service_request_close_date"
MONTHS = ["2024-06", "2026-01"]
RELEASED_ON = date(2026, 1, 13)


@pytest.fixture(scope="module")
def sample():
    """Two months of the real sample, of the second its first week."""
    frame = pd.read_parquet(SAMPLE_REQUESTS)
    frame[OPENED] = pd.to_datetime(frame[OPENED], utc=True)
    frame[MODIFIED] = pd.to_datetime(frame[MODIFIED], utc=True)
    return frame[frame[OPENED].dt.strftime("%Y-%m").isin(MONTHS)].reset_index(drop=True)


@pytest.fixture(scope="module")
def cleaned(areas):
    """Each month of a portal's frame, cleaned."""

    def by_month(frame):
        month = frame[OPENED].dt.strftime("%Y-%m")
        instants = {name: frame[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in (OPENED, MODIFIED)}
        text = frame.assign(**instants).astype("string")
        return {name: clean(text[month == name], name, areas, RELEASED_ON) for name in sorted(month.unique())}

    return by_month


@pytest.fixture(scope="module")
def held(cleaned):
    """What is held of each month of a portal's frame, and of all of them together: `held(before, after)`."""

    def of(part):
        return profile_of(part.requests, len(part.quarantined))

    def judged(before, after):
        earlier = {} if before is None else cleaned(before)
        was = {month: of(earlier[month]) if month in earlier else Profile() for month in cleaned(after)}
        now = {month: of(part) for month, part in cleaned(after).items()}
        for month in was.keys() & earlier.keys():
            opened = earlier[month].requests["opened_at"], cleaned(after)[month].requests["opened_at"]
            now[month] = replace(now[month], moved=instants_gone(*opened))
        was["all"], now["all"] = (sum(each.values(), Profile()) for each in (was, now))
        held_months = {
            month: excesses(was[month], now[month], limit(max(was[month].rows, now[month].rows), MAY_MOVE_SHARE))
            for month in now
        }
        held_months["all"] += without_worth(was["all"], now["all"])
        return {month: why for month, why in held_months.items() if why}

    return judged


DAILY = {
    "edit_with_modified": 12, "edit_silently": 12, "touch": 300, "delete": 4, "insert_old": 5, "close": 60, "reopen": 6,
    "add_twin": 12, "new_closure_reason": 12, "new_channel": 12, "new_area": 6, "outside_city": 12, "close_before_open": 12,
}  # fmt: skip


@settings(max_examples=settings().max_examples // 10)
@given(
    edits=st.lists(st.sampled_from(sorted(DAILY)), min_size=1, max_size=3, unique=True),
    relabelled=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_what_the_city_does_in_a_day_is_never_held(sample, held, edits, relabelled, seed):
    after = EDITS["relabel_type"].function(sample) if relabelled else sample
    for place, edit in enumerate(edits):
        after = EDITS[edit].function(after, rows=DAILY[edit], seed=seed + place)
    assert held(sample, after) == {}


def test_a_first_load_of_the_real_sample_is_never_held(sample, held):
    assert held(None, sample) == {}


def test_months_that_come_for_the_first_time_may_lack_what_the_city_did_not_record(sample, held):
    """An archive whose closings have no usable day comes beside a month that both datasets share."""
    old = sample[OPENED] < "2025-01-01"
    assert held(sample[~old], closed_on(sample, "1900-01-01", old)) == {}


def test_a_month_that_is_still_running_may_grow_and_close_as_it_likes(sample, held):
    assert held(reopened(sample[sample[OPENED] < "2026-01-06T18:00:00Z"]), sample) == {}


def test_what_is_mended_after_a_load_that_nobody_stopped_may_come_back(sample, held):
    assert held(sample.assign(department=sample["department"].where(sample.index % 40 != 0)), sample) == {}


def elsewhere(frame, latitude, longitude):
    located = frame["latitude"].notna()
    return frame.assign(
        latitude=frame["latitude"].mask(located, latitude), longitude=frame["longitude"].mask(located, longitude)
    )


def reopened(frame):
    return frame.assign(status="Open", closure_reason="N/A", **{CLOSED: None})


def closed_on(frame, day, which=True):
    """All that are closed, or those of them, were closed on a day."""
    return frame.assign(**{CLOSED: frame[CLOSED].mask(frame[CLOSED].notna() & which, day)})


FAULTS = {
    "latitude and longitude swapped": (
        lambda f: f.rename(columns={"latitude": "longitude", "longitude": "latitude"}),
        "latitude|rows that can be used",
    ),
    "department blank everywhere": (lambda f: f.assign(department=None), "rows that can be used .* → 0"),
    "local_area empty everywhere": (lambda f: f.assign(local_area=None), "local_area .* → 100 % null"),
    "local_area filled everywhere": (lambda f: f.assign(local_area="Marpole"), "local_area .* → 0 % null"),
    "a local area renamed": (lambda f: f.replace({"local_area": {"Downtown": "Centre"}}), "local_area"),
    "closed in 9999": (lambda f: closed_on(f, "9999-12-31"), "closed without days_to_close"),
    "closed before opened": (lambda f: closed_on(f, "1900-01-01"), "days_to_close"),
    "changed in 1970": (lambda f: f.assign(**{MODIFIED: pd.Timestamp(0, tz="UTC")}), "days_to_update"),
    "Close renamed": (lambda f: f.replace({"status": {"Close": "Closed"}}), "unknown status 'Closed' 0 % →"),
    "no status": (lambda f: f.assign(status=None), "unknown status 'null'"),
    "every row twice": (lambda f: pd.concat([f, f]), "stand there twice 0 → "),
    "closed without a date": (lambda f: f.assign(**{CLOSED: None}), "closed without closed_on 0 → "),
    "closed without a reason": (lambda f: f.assign(closure_reason="N/A"), "closed without closure_reason"),
    "no last change": (lambda f: f.assign(**{MODIFIED: pd.NaT}), "modified_at 0 % → 100 % null"),
    "no channel": (lambda f: f.assign(channel=None), "channel 0 % → 100 % null"),
    "everything reopened": (reopened, "Close .* → 0 %"),
    "half of the rows": (lambda f: f.iloc[::2], "rows .* → "),
    "everything opened at other instants": (
        lambda f: f.assign(**{OPENED: f[OPENED] + pd.Timedelta(seconds=1)}),
        r"opened at another instant 0 → 1,\d{3}",
    ),
    "points at 0, 0": (lambda f: elsewhere(f, 0, 0), "points outside the city 0 → "),
    "points a degree away": (lambda f: elsewhere(f, f["latitude"] + 1, f["longitude"]), "points outside the city 0 → "),
    "one issue type": (lambda f: f.assign(service_request_type="Case"), r"different values of issue_type \d+ → 1$"),
    "one department": (lambda f: f.assign(department="ENG"), r"different values of department \d+ → 1$"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_broken_portal_does_is_held_as_a_whole_and_named(sample, held, fault):
    spoil, words = FAULTS[fault]
    held_months = held(sample, spoil(sample))
    assert any(re.search(words, why) for why in held_months["all"]), held_months


@pytest.mark.parametrize(
    "fault", ["department blank everywhere", "local_area empty everywhere", "every row twice", "points at 0, 0"]
)
def test_a_first_load_of_what_is_of_no_use_is_held(sample, held, fault):
    assert "all" in held(None, FAULTS[fault][0](sample))


def test_a_fault_in_one_month_names_that_month(sample, held):
    june = sample[OPENED].dt.strftime("%Y-%m") == "2024-06"
    held_months = held(sample, sample.assign(department=sample["department"].mask(june)))
    assert set(held_months) == {"2024-06", "all"}
    assert held_months["2024-06"] == [
        f"rows that can be used {june.sum()} → 0",
        "in quarantine 0 % → 100 % of the rows",
    ]


def test_small_faults_of_all_months_add_up(sample, held):
    spoiled = sample.assign(department=sample["department"].mask(sample.index % 45 == 0))
    assert set(held(sample, spoiled)) == {"all"}


def test_a_month_comes_to_no_more_rows_than_are_plausible():
    def grown(rows, most=1_100):
        return excesses(Profile(stored=1_000), Profile(stored=rows), limit(1_000, MAY_MOVE_SHARE), most)

    assert grown(1_000) == grown(1_100) == []
    assert grown(1_101) == ["rows 1,000 → 1,101, more than the 1,100 that are plausible"]
    assert grown(10_000, None) == []


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (100, 75, []),  # 25 rows may go from any month
        (100, 74, ["rows 100 → 74"]),
        (25, 0, []),
        (26, 0, ["rows 26 → 0"]),
        (2_000, 1_960, []),  # 2 % of a large one
        (2_000, 1_959, ["rows 2,000 → 1,959"]),
        (100, 120, []),
    ],
)
def test_a_month_may_lose_25_rows_or_2_per_cent_and_no_more(before, now, why):
    assert excesses(Profile(stored=before), Profile(stored=now), limit(before, MAY_MOVE_SHARE)) == why


def counted(stored=100, **counts):
    """A month of 60 closed and 40 open requests in five areas, of which 20 each lack an address, a last change and a day of closing."""
    areas = Counter({("local_area", name): 20 for name in "ABCDE"})
    usual = {
        "statuses": Counter(Close=60, Open=40), "nulls": Counter(address=20, days_to_update=20), "names": areas,
        "lacking": Counter(closed_on=20), "quarantined": 20, "twice": 20, "outside": 20,
    }  # fmt: skip
    return Profile(stored, **usual | counts)


MOVES = {
    "rows went": (counted(stored=90), ["rows 120 → 110"]),
    "rows can't be used": (
        counted(stored=90, quarantined=30),
        ["rows that can be used 100 → 90", "in quarantine 17 % → 25 % of the rows"],
    ),
    "opened elsewhen": (counted(moved=10), ["rows that were opened at another instant 0 → 10"]),
    "in quarantine": (counted(quarantined=30), ["in quarantine 17 % → 23 % of the rows"]),
    "twice": (counted(twice=30), ["rows that stand there twice 20 → 30"]),
    "outside": (counted(outside=30), ["points outside the city 20 → 30"]),
    "reopened": (counted(statuses=Counter(Close=50, Open=50)), ["Close 60 % → 50 %"]),
    "all reopened": (counted(statuses=Counter(Open=100)), ["Close 60 % → 0 %"]),
    "a new status": (counted(statuses=Counter(Close=60, Open=30, Odd=10)), ["unknown status 'Odd' 0 % → 10 %"]),
    "emptied": (counted(nulls=Counter(address=30, days_to_update=20)), ["address 20 % → 30 % null"]),
    "filled": (counted(nulls=Counter(address=10, days_to_update=20)), ["address 20 % → 10 % null"]),
    "without duration": (counted(nulls=Counter(address=20, days_to_update=30)), ["days_to_update 20 % → 30 % null"]),
    "without a day": (counted(lacking=Counter(closed_on=30)), ["closed without closed_on 20 → 30"]),
    "three of five names went": (
        counted(names=Counter({("local_area", "A"): 94, ("local_area", "B"): 4})),
        ["different values of local_area 5 → 2"],
    ),
}
"""What moved, each by 10 rows or by 60, and what is said of it."""


@pytest.mark.parametrize("move", MOVES)
def test_each_measure_may_move_by_so_many_rows_and_no_more(move):
    after, lines = MOVES[move]
    by = {"all reopened": 60, "three of five names went": 60}.get(move, 10)
    assert excesses(counted(), after, may_move=by) == []
    assert excesses(counted(), after, may_move=by - 1) == lines


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (counted(), counted(stored=110, outside=30)),
        (counted(), counted(stored=110, nulls=Counter(address=30, days_to_update=30))),
        (counted(), counted(stored=110, lacking=Counter(closed_on=30))),
        (counted(), counted(nulls=Counter(address=20, days_to_update=10))),
        (counted(), counted(twice=10, outside=10, lacking=Counter(closed_on=10))),
        (counted(), counted(statuses=Counter(Close=70, Open=30))),
        (counted(statuses=Counter(Close=60, Open=30, Odd=10)), counted(statuses=Counter(Close=60, Open=35, Odd=5))),
        (counted(), counted(names=Counter({("local_area", name): 20 for name in "ABC"}))),
        (Profile(), counted(quarantined=0, twice=0, nulls=Counter(), outside=100)),
        (Profile(stored=4, names=Counter({("channel", n): 1 for n in "abcd"})),
         Profile(stored=4, names=Counter({("channel", n): 2 for n in "ab"}))),
    ],
    ids=["new points outside", "new ones without address", "new closings without a day", "first changes", "mended",
         "closed", "fewer of an unknown status", "two of five names went", "first rows", "half of the names went"],
)  # fmt: skip
def test_what_comes_with_new_rows_or_is_mended_may_be_any_number(before, after):
    assert excesses(before, after, may_move=0) == []


def test_what_moved_is_no_part_of_what_a_month_is():
    assert counted(moved=10) == counted()


def test_what_goes_with_rows_that_went_is_not_counted_again():
    after = counted(90, statuses=Counter(Close=50, Open=40), nulls=Counter(address=10, days_to_update=10), moved=10)
    assert excesses(counted(), after, may_move=0) == ["rows 120 → 110"]


USELESS = {
    "address is null in every row": lambda rows, lacking: Profile(rows, nulls=Counter(address=lacking)),
    "closed_on is null in every closed row": lambda rows, lacking: Profile(
        rows + 1, statuses=Counter(Close=rows), lacking=Counter(closed_on=lacking)
    ),
    "every point lies outside the city": lambda rows, lacking: Profile(
        rows + 5, nulls=Counter(latitude=5), outside=lacking
    ),
}


@pytest.mark.parametrize("words", USELESS)
def test_a_first_load_may_lack_a_field_everywhere_in_25_rows_and_no_more(words):
    of = USELESS[words]
    assert list(without_worth(Profile(), of(25, 25))) == []
    assert list(without_worth(Profile(), of(26, 26))) == list(without_worth(Profile(), of(1_000, 1_000))) == [words]
    assert list(without_worth(Profile(), of(27, 26))) == []
    assert list(without_worth(Profile(stored=1), of(26, 26))) == []


@pytest.mark.parametrize("rows", [1, 3, 30])
def test_of_a_release_of_any_size_something_must_be_of_use(rows):
    assert list(without_worth(Profile(), Profile(quarantined=rows))) == ["rows that can be used 0 → 0"]
    assert list(without_worth(Profile(stored=rows), Profile())) == [f"rows that can be used {rows} → 0"]
    assert list(without_worth(Profile(), Profile())) == []
