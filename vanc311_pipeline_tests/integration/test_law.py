"""The law: any sequence of loads ends in the same rows and metrics as one fresh load of the portal's last state.

A machine drives the stand-in through edits, deletions, back-dated inserts, reopenings, relabellings and twins, with faults
on the wire and releases that go by unseen, and syncs in between, over real HTTP into a real SQLite file or PostgreSQL.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vanc311_pipeline import pipeline, schema
from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.pipeline import Progress, Run
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.standin import Fault, StandIn
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.statistics import replace_statistics
from vanc311_pipeline_tests.conftest import few_statistics, hasty
from vanc311_pipeline_tests.end_to_end.city import COLUMNS, OPENED, expected

# What the fingerprint shows, if it is the only edit of a release; and what it can't show.
SEEN = ["edit_with_modified", "touch", "delete", "insert_old", "close", "reopen", "add_twin", "remove_twin", "relabel_type",
        "null_key", "impossible_opened"]  # fmt: skip
SILENT = ["edit_silently", "new_closure_reason", "new_channel", "close_before_open"]
FAULTS = ["cut_mid_row", "short", "interrupted", "server_500", "maintenance_page", "corrupt_gzip", "total_count_off",
          "release_moves_during_export", "quota_429", "page_order_changes", "records_count_off"]  # fmt: skip

# What says how and when the rows came, not what they are.
BOOKKEEPING = {
    "data_origin", "schema_versions", "shipments", "portal_releases", "portal_months", "publications", "request_changes",
    "accepted_losses", "deep_readings", "month_ledger", "corrections", "figure_vintages",
}  # fmt: skip


class Mirror:
    """A pipeline of its own, without its audits and its lock: another test's claims, and many sequences are to be tried."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.warehouse = Warehouse(Settings(data_dir=folder, database_url=url))
        self.warehouse.create()

    def sync(self, portal: StandIn, everything: bool = False) -> None:
        """Follow the portal, whatever it lost; with `everything`, read each month again."""
        with Portal(hasty(portal.url), attempts=2) as client:
            plan = pipeline.plan(client, self.warehouse, consent=["all"])
            if everything:
                with self.warehouse.read() as connection:
                    plan = replace(plan, stale=dict.fromkeys([*plan.stale, *ledger.months(connection)], ""))
            elif plan.action == "skip":
                return
            run, progress = Run("a run", plan, consent=["all"]), Progress()
            pipeline.land(client, self.warehouse, run, progress)
            pipeline.load_areas(client, self.warehouse, anew=False)
            list(pipeline.load(self.warehouse, run, progress))
            pipeline.publish(self.warehouse, run, [], progress)

    def contents(self) -> dict[str, list]:
        """Every table apart from bookkeeping, with all numbers of the present rows, in an order of its own."""
        replace_statistics(self.warehouse)
        with self.warehouse.read() as connection:
            return {
                table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
                for table in schema.metadata.sorted_tables
                if table.name not in BOOKKEEPING
            }

    def rows(self, query: str) -> list[tuple]:
        with self.warehouse.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]


def city_of(*months: str, rows: int, twins: int) -> pd.DataFrame:
    """So many rows of some months of the sample, with twins."""
    with StandIn() as portal:
        frame = portal.frame
    opened_in = frame[OPENED].dt.strftime("%Y-%m")
    parts = [frame[opened_in == month].head(rows) for month in months]
    return EDITS["add_twin"].function(pd.concat(parts, ignore_index=True), rows=twins)


@pytest.fixture(scope="module")
def small_city():
    return city_of("2024-05", "2024-06", "2024-07", rows=40, twins=6)


class Law(RuleBasedStateMachine):
    city = None
    place: Callable[[], str | None] = staticmethod(lambda: None)
    """Where the warehouse that follows is; the fresh one is always a file, so that the law holds from one to the other."""

    @initialize()
    def begin(self) -> None:
        self.scratch = tempfile.TemporaryDirectory()
        self.portal = StandIn(requests=self.city)
        self.portal.start()
        self.mirror = Mirror(Path(self.scratch.name) / "mirror", self.place())
        self.mirror.sync(self.portal)
        self.baseline = self.stored()
        self.unseen = 0
        self.exact = True

    def stored(self) -> int:
        return self.mirror.rows("SELECT count(*) FROM service_requests")[0][0]

    @rule(name=st.sampled_from(SEEN + SILENT), rows=st.integers(1, 3), seed=st.integers(0, 9))
    def the_city_publishes(self, name, rows, seed) -> None:
        more = {} if name == "relabel_type" else {"rows": rows, "seed": seed}
        try:
            frame = EDITS[name].function(self.portal.frame, **more)
        except ValueError:  # too few rows that can be changed in this way
            return
        self.portal.publish(frame)
        self.unseen += 1
        self.exact = self.exact and name in SEEN and self.unseen == 1

    @rule(kind=st.sampled_from(FAULTS), times=st.sampled_from([1, 2, None]))
    def a_fault_is_met(self, kind, times) -> None:
        details = {"by": 3} if kind.endswith("_off") else {}
        self.portal.play(Fault(kind, times=times, **details))
        try:
            self.mirror.sync(self.portal)
        except PipelineError:
            self.portal.clear_faults()
        else:
            self.portal.clear_faults()
            # A release that moved with the fault was not planned for, and is met by the next sync.
            self.mirror.sync(self.portal)
            self.unseen = 0

    @rule()
    def a_sync(self) -> None:
        self.mirror.sync(self.portal)
        self.unseen = 0

    @precondition(lambda self: not self.exact)
    @rule()
    def every_month_is_read_again(self) -> None:
        self.mirror.sync(self.portal, everything=True)
        self.unseen, self.exact = 0, True

    @invariant()
    def what_was_followed_is_exact(self) -> None:
        if self.exact and not self.unseen:
            keyed = self.mirror.rows("SELECT count(*) FROM quarantined_requests")[0][0]
            if keyed:
                assert self.stored() + keyed == len(self.portal.frame)
            else:
                assert sorted(self.mirror.rows(f"SELECT {COLUMNS} FROM service_requests"), key=repr) == expected(
                    self.portal.frame
                )

    @invariant()
    def the_log_accounts_for_every_request(self) -> None:
        kinds = dict(self.mirror.rows("SELECT kind, count(*) FROM request_changes GROUP BY kind"))
        assert self.baseline + kinds.get("opened", 0) - kinds.get("vanished", 0) == self.stored()

    def teardown(self) -> None:
        if not hasattr(self, "mirror"):
            return
        self.portal.clear_faults()
        self.mirror.sync(self.portal, everything=not self.exact or self.unseen > 1)
        fresh = Mirror(Path(self.scratch.name) / "fresh")
        fresh.sync(self.portal)
        with few_statistics():
            followed, anew = self.mirror.contents(), fresh.contents()
        self.portal.stop()
        self.scratch.cleanup()
        assert followed.keys() == anew.keys()
        for table in anew:
            assert followed[table] == anew[table], table


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.rehearsal)])
def test_any_sequence_of_loads_ends_as_a_fresh_load_of_the_last_state(small_city, request, store):
    Law.city = small_city
    if store == "postgresql":
        server = request.getfixturevalue("postgres")
        request.addfinalizer(lambda: setattr(Law, "place", staticmethod(lambda: None)))
        Law.place = staticmethod(lambda: server.warehouse_url(server.make(f"law_{uuid4().hex}")))
    machine = Law.TestCase
    machine.settings = settings(
        max_examples=settings().max_examples // 10,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.reuse, Phase.generate),  # a sequence takes a second: shrinking one takes longer than reading it
    )
    machine("runTest").runTest()


def test_a_month_that_came_in_while_the_portals_clock_was_ahead_is_moved_to_where_it_belongs(small_city, tmp_path, ask):
    mirror, fresh = Mirror(tmp_path / "mirror"), Mirror(tmp_path / "fresh")
    with StandIn(requests=small_city) as portal:
        ahead = portal.now() + timedelta(days=62)
        portal.set_clock(portal.now())
        mirror.sync(portal)
        portal.set_clock(ahead)
        portal.publish(pd.concat([small_city, small_city.tail(1).assign(**{OPENED: pd.Timestamp(ahead)})]))
        mirror.sync(portal)
        portal.set_clock(None)
        portal.publish_edit(None)
        mirror.sync(portal)
        fresh.sync(portal)
        assert mirror.contents() == fresh.contents()
        assert pipeline.plan(ask(portal), mirror.warehouse).action == "skip"
    log = mirror.rows("SELECT kind, partition_month FROM request_changes ORDER BY change_id")
    assert log == [("opened", f"{ahead:%Y-%m}"), ("vanished", f"{ahead:%Y-%m}")]
