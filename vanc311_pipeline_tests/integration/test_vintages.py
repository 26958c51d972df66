"""Claims about vintages: what was published is recorded and nothing else is, and whatever moved it since is in the log."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.metrics.vintages import KEY
from vanc311_pipeline.schema import figure_vintages
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.warehouse import drafts, ledger
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.backup import restore_backup, write_backup
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import publish
from vanc311_pipeline.warehouse.rows import fetch
from vanc311_pipeline.warehouse.statistics import replace_statistics
from vanc311_pipeline_tests.conftest import few_statistics
from vanc311_pipeline_tests.integration.planting import stored
from vanc311_pipeline_tests.integration.test_law import Mirror, city_of

RELEASED_AT = datetime(2024, 3, 5, 14, 6, 58, tzinfo=UTC)
"""So that the sample's busiest months are among those that are followed."""
NAMES = ["close", "reopen", "edit_with_modified", "edit_silently", "delete", "insert_old", "add_twin", "remove_twin", "relabel_type",
         "close_before_open", "null_key"]  # fmt: skip
MORE = {"insert_old": {"opened": "2024-02-06T19:30:00+00:00"}, "relabel_type": {}}
LAW = next(each for each in AUDITS if each.name == "revisions_are_in_the_log")
RELEASES = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=4),
    min_size=2,
    max_size=3,
)


@pytest.fixture(autouse=True)
def _few_statistics(synced):
    """Of the numbers only those that are followed; not of `synced`, which is made before."""
    with few_statistics():
        yield


@pytest.fixture(scope="module")
def city():
    return city_of("2023-12", "2024-01", "2024-02", rows=50, twins=9)


def publish_by_hand(mirror, portal):
    """Follow the portal, silent edits included; the lines that are of no earlier publication."""
    mirror.sync(portal, everything=True)
    before = len(lines(mirror.warehouse))
    replace_statistics(mirror.warehouse)
    with mirror.warehouse.write() as connection:
        drafts.note_published(connection)
    return lines(mirror.warehouse)[before:]


def lines(warehouse):
    with warehouse.read() as connection:
        return list(fetch(connection, sa.select(figure_vintages).order_by("vintage_id")))


def problems(warehouse):
    with warehouse.read() as connection:
        return LAW.question(connection).problems


@settings(
    max_examples=max(3, settings().max_examples // 25),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),
)
@given(releases=RELEASES)
def test_whatever_the_city_edits_todays_figures_less_the_log_are_those_that_were_published(
    city, tmp_path_factory, releases
):
    mirror = Mirror(tmp_path_factory.mktemp("mirror"))
    with StandIn(requests=city, released_at=RELEASED_AT) as portal:
        assert publish_by_hand(mirror, portal)
        for edits in releases:
            frame = portal.frame
            for name, rows, seed in edits:
                more = MORE.get(name, {}) | ({} if name == "relabel_type" else {"rows": rows, "seed": seed})
                try:
                    frame = EDITS[name].function(frame, **more)
                except ValueError:  # too few rows that can be changed in this way
                    continue
            portal.publish(frame)
            publish_by_hand(mirror, portal)
            assert problems(mirror.warehouse) == []


def test_only_what_differs_from_what_was_published_is_recorded(city, tmp_path):
    mirror = Mirror(tmp_path)
    with StandIn(requests=city, released_at=RELEASED_AT) as portal:
        first = publish_by_hand(mirror, portal)
        assert publish_by_hand(mirror, portal) == []
        portal.publish(EDITS["insert_old"].function(portal.frame, rows=1, **MORE["insert_old"]))
        more = publish_by_hand(mirror, portal)
    place = {name: number for number, name in enumerate(figure_vintages.columns.keys())}
    opened = [line for line in more if line[place["figure"]] == "opened" and line[place["level"]] == "citywide"]
    assert [(line[place["reference"]], line[place["change_id"]]) for line in opened] == [("2024-02-05", 1)]
    before = {tuple(line[place[name]] for name in KEY): line[place["value"]] for line in first}
    assert opened[0][place["value"]] == before[tuple(opened[0][place[name]] for name in KEY)] + 1
    assert 0 < len(more) < len(first) / 10
    assert problems(mirror.warehouse) == []


def test_requests_without_an_area_move_the_figures_of_the_city_alone(city, tmp_path):
    mirror = Mirror(tmp_path)
    with StandIn(requests=city.assign(local_area=None), released_at=RELEASED_AT) as portal:
        publish_by_hand(mirror, portal)
        portal.publish(EDITS["delete"].function(portal.frame, rows=5, seed=1))
        assert publish_by_hand(mirror, portal)
    assert problems(mirror.warehouse) == []


def test_what_a_run_that_published_nothing_saw_moves_the_figures_of_the_next_one(city, tmp_path, monkeypatch):
    mirror = Mirror(tmp_path)
    with StandIn(requests=city, released_at=RELEASED_AT) as portal:
        first = publish_by_hand(mirror, portal)
        monkeypatch.setattr(pipeline, "publish", lambda *_: None)
        for seed in (1, 2):
            portal.publish(EDITS["delete"].function(portal.frame, rows=5, seed=seed))
            mirror.sync(portal)
            replace_statistics(mirror.warehouse)
            assert lines(mirror.warehouse)[len(first) :]
            assert problems(mirror.warehouse) == []
    names = figure_vintages.columns.keys()
    last = [dict(zip(names, line, strict=True)) for line in lines(mirror.warehouse)[len(first) :]]
    assert sum(line["by_vanished"] for line in last if (line["figure"], line["level"]) == ("opened", "citywide")) == -10


# -- with what is published --------------------------------------------------------------------------------------------

RECENT = "opened_on = (SELECT max(opened_on) FROM service_requests WHERE opened_on < '2026-01-05' AND status = 'Open')"


def close_one(settings: Settings) -> None:
    """A request that is in this week's figures is closed, past the log."""
    one = f"rowid = (SELECT min(rowid) FROM service_requests WHERE {RECENT} AND status = 'Open')"
    stored(
        settings, f"UPDATE service_requests SET status = 'Close', closed_on = opened_on, days_to_close = 0 WHERE {one}"
    )


def published_lines(settings: Settings):
    with closing(sqlite3.connect(settings.published_path)) as connection:
        return connection.execute("SELECT * FROM figure_vintages ORDER BY vintage_id").fetchall()


def test_a_run_that_publishes_nothing_leaves_nothing_behind_once_the_next_has_computed(copied: Settings) -> None:
    warehouse, before = Warehouse(copied), published_lines(copied)
    close_one(copied)
    replace_statistics(warehouse)
    drafts = lines(warehouse)[len(before) :]
    assert drafts
    with warehouse.write() as connection:
        ledger.hold(connection, [ledger.Hold(LIVE, "2024-01", 100, 50, "50 rows fewer", "2026-01-13T14:06:58Z")])
    with pytest.raises(IntegrityFailed):
        publish(warehouse, copied.published_path, "a run", [LIVE])
    assert published_lines(copied) == before
    stored(copied, "DELETE FROM holds")
    close_one(copied)
    replace_statistics(warehouse)
    publish(warehouse, copied.published_path, "a run", [LIVE])
    assert lines(warehouse) == published_lines(copied)
    assert lines(warehouse)[: len(before)] == before
    assert not set(drafts) <= set(lines(warehouse))


def test_what_a_run_published_that_died_right_after_is_recorded(copied: Settings) -> None:
    warehouse, before = Warehouse(copied), published_lines(copied)
    close_one(copied)
    replace_statistics(warehouse)
    publish(warehouse, copied.published_path, "a run", [LIVE])
    stored(copied, f"INSERT INTO figure_drafts VALUES ({len(before) + 1})")  # as it is until the ledger is written
    once = published_lines(copied)
    close_one(copied)
    replace_statistics(warehouse)
    assert lines(warehouse)[: len(once)] == once
    assert len(lines(warehouse)) > len(once) > len(before)


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"not a database"), lambda path: path.unlink()], ids=["torn", "gone"]
)
def test_a_file_that_cant_be_read_keeps_no_draft(copied: Settings, damage) -> None:
    warehouse, before = Warehouse(copied), published_lines(copied)
    close_one(copied)
    replace_statistics(warehouse)
    damage(copied.published_path)
    close_one(copied)
    replace_statistics(warehouse)
    assert lines(warehouse)[: len(before)] == before
    numbers = [line[0] for line in lines(warehouse)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_backup_holds_what_was_published_and_a_new_warehouse_goes_on_from_it(
    copied: Settings, city, tmp_path
) -> None:
    before, backup = published_lines(copied), tmp_path / "log.gz"
    close_one(copied)
    replace_statistics(Warehouse(copied))
    write_backup(Warehouse(copied), backup)
    mirror = Mirror(tmp_path / "new")
    assert restore_backup(mirror.warehouse, backup)["figure_vintages"] == len(before)
    with StandIn(requests=city, released_at=RELEASED_AT) as portal:
        assert publish_by_hand(mirror, portal)
    assert lines(mirror.warehouse)[: len(before)] == before
    assert problems(mirror.warehouse) == []


def test_a_log_that_is_brought_back_goes_before_what_was_published_here_and_is_not_replayed(city, tmp_path) -> None:
    """The successor of a lost machine began with a baseline of its own, in which the lost one's changes are."""
    lost, successor, backup = Mirror(tmp_path / "lost"), Mirror(tmp_path / "successor"), tmp_path / "log.gz"
    with StandIn(requests=city, released_at=RELEASED_AT) as portal:
        publish_by_hand(lost, portal)
        portal.publish(EDITS["reopen"].function(portal.frame, rows=9, seed=1))
        for mirror in (lost, successor):
            publish_by_hand(mirror, portal)
        ours, theirs = lines(successor.warehouse), lines(lost.warehouse)
        write_backup(lost.warehouse, backup)
        assert restore_backup(successor.warehouse, backup)["figure_vintages"] == len(theirs)
        assert restore_backup(lost.warehouse, backup)["figure_vintages"] == 0
        both = lines(successor.warehouse)
        assert both[: len(theirs)] == theirs
        assert [line[1:] for line in both[len(theirs) :]] == [line[1:] for line in ours]
        assert len({line[0] for line in both}) == len(both)
        portal.publish(EDITS["delete"].function(portal.frame, rows=3, seed=1))
        publish_by_hand(successor, portal)
    assert problems(successor.warehouse) == []


def test_what_the_log_does_not_tell_of_begins_anew(city, tmp_path) -> None:
    """A month that comes in for the first time is no news: what was published before it is not replayed over it."""
    mirror = Mirror(tmp_path)
    with StandIn(requests=city, released_at=RELEASED_AT) as portal:
        first = publish_by_hand(mirror, portal)
    stored(
        mirror.warehouse.settings,
        "UPDATE service_requests SET local_area = 'Sunset' WHERE rowid = (SELECT min(rowid) FROM service_requests "
        "WHERE local_area <> 'Sunset')",
    )
    assert problems(mirror.warehouse)
    stored(mirror.warehouse.settings, "UPDATE month_ledger SET code_version = '1'")
    replace_statistics(mirror.warehouse)
    assert len(lines(mirror.warehouse)) >= 2 * len(first)
    assert problems(mirror.warehouse) == []
