"""Claims about who works on a warehouse: one pipeline at a time, whoever starts it; one that died is known, and nobody else is ended.

Each on SQLite and on PostgreSQL, between real processes.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from dagster._core.events import DagsterEvent, EngineEventData

from vanc311_pipeline import schema
from vanc311_pipeline.errors import StorageRefused
from vanc311_pipeline.orchestration.operations.run_lock import LAST_WORDS, SILENT_SECONDS, at_work, end_dead_runs
from vanc311_pipeline.warehouse import lock
from vanc311_pipeline.warehouse.rows import batches
from vanc311_pipeline_tests.conftest import add_run

RUN = "0123456789abcdef"
WORKING = """
import sys
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.lock import turn
with turn(Warehouse(Settings(database_url=sys.argv[1])), "sync", sys.argv[2], lambda turn: print("waits for", turn, flush=True)):
    print("at work", flush=True)
    sys.stdin.read()
"""
pytestmark = pytest.mark.parametrize("store_kind", ["sqlite", "postgresql"])


@pytest.fixture
def start(warehouse_url):
    """Starts other processes that want to work on the warehouse, until they are killed or their input ends."""
    started = []

    def process(run_id):
        command = [sys.executable, "-c", WORKING, warehouse_url, run_id]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield process
    for each in started:
        each.kill()
        each.communicate()


@pytest.fixture
def working(start, warehouse):
    """Another process that is at work on the warehouse."""
    process = start(RUN)
    assert process.stdout.readline() == "at work\n"
    return process


def kill(process, warehouse):
    """Until its lock is free: PostgreSQL notices a client's end a moment later."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while (turn := lock.look(warehouse)[0]) and turn.pid == process.pid and time.monotonic() < deadline:
        pass


def never(turn):
    raise AssertionError(f"nobody else is at work, but {turn}")


def status(instance, run_id=RUN):
    return instance.get_run_by_id(run_id).status.value


# -- one at a time -----------------------------------------------------------------------------------------------------


def test_a_second_one_waits_says_for_whom_and_goes_on_when_the_first_has_ended(working, start):
    second = start("fedcba9876543210")
    assert second.stdout.readline().startswith(f"waits for sync (run 01234567) on {os.uname().nodename} since 20")
    working.communicate()
    assert second.stdout.readline() == "at work\n"


def test_a_second_one_goes_on_when_the_first_was_killed(working, start, warehouse):
    kill(working, warehouse)
    assert start("fedcba9876543210").stdout.readline() == "at work\n"


def test_whoever_ends_leaves_no_trace_however_that_ended(warehouse):
    with pytest.raises(ZeroDivisionError), lock.turn(warehouse, "sync", RUN, never):
        _ = 1 / 0
    assert lock.look(warehouse) == (None, [])


def test_a_lock_is_given_back_before_the_server_notices_the_end_of_its_connection(warehouse, store_kind, monkeypatch):
    if store_kind == "sqlite":
        pytest.skip("a file's lock is the kernel's")
    unnoticed = []
    monkeypatch.setattr(psycopg.Connection, "close", lambda connection: unnoticed.append(connection))
    warehouse.store.take_lock().close()
    monkeypatch.undo()
    assert [connection.closed for connection in unnoticed] == [False]
    warehouse.store.take_lock().close()
    unnoticed[0].close()


def test_the_run_of_a_command_works_under_the_commands_lock(warehouse, instance):
    with at_work(warehouse, instance, "`vanc311 sync`", None, never):
        assert lock.look(warehouse)[0].run_id is None
        with at_work(warehouse, instance, "sync", RUN, never):
            assert lock.look(warehouse)[0].run_id == RUN
        assert lock.look(warehouse)[0].run_id == RUN
    assert lock.look(warehouse)[0] is None


# -- those who died ----------------------------------------------------------------------------------------------------


def test_a_living_run_is_known_and_left_alone(working, warehouse, instance):
    add_run(instance, "STARTED", run_id=RUN)
    turn, dead = end_dead_runs(instance, warehouse)
    assert (turn.run_id, turn.pid, dead) == (RUN, working.pid, [])
    assert status(instance) == "STARTED"


def test_a_killed_run_is_a_failed_one_for_dagster(working, warehouse, instance):
    add_run(instance, "STARTED", run_id=RUN)
    kill(working, warehouse)
    assert end_dead_runs(instance, warehouse) == (None, [RUN])
    assert status(instance) == "FAILURE"
    assert LAST_WORDS in [entry.message for entry in instance.all_logs(RUN)][-1]
    assert end_dead_runs(instance, warehouse) == (None, [])


def test_a_killed_run_of_another_dagster_is_ended_by_that_one_even_if_somebody_else_is_at_work(
    working, start, warehouse, instance
):
    kill(working, warehouse)
    assert end_dead_runs(instance, warehouse) == (None, [])  # on this host nothing is known of it
    assert start("fedcba9876543210").stdout.readline() == "at work\n"
    add_run(instance, "STARTED", run_id=RUN)
    turn, dead = end_dead_runs(instance, warehouse)
    assert (turn.run_id, dead) == ("fedcba9876543210", [RUN])


def started(instance, seconds_ago, *events):
    """A run that was started some time ago, and what it told since."""
    instance.add_run(dg.DagsterRun(job_name="sync", run_id=RUN))
    for event in (dg.DagsterEventType.RUN_START, *events):
        data = None if event == dg.DagsterEventType.RUN_START else EngineEventData()
        happened = DagsterEvent(event_type_value=event.value, job_name="sync", event_specific_data=data)
        at = time.time() - seconds_ago
        instance.handle_new_event(
            dg.EventLogEntry(None, "debug", "", RUN, timestamp=at, job_name="sync", dagster_event=happened)
        )


@pytest.mark.parametrize(
    ("seconds_ago", "event", "waits", "then"),
    [
        (SILENT_SECONDS + 1, None, False, "FAILURE"),  # killed in the moment before its turn
        (SILENT_SECONDS + 1, None, True, "STARTED"),  # it says that it waits
        (SILENT_SECONDS - 30, None, False, "STARTED"),
        (SILENT_SECONDS + 1, dg.DagsterEventType.RESOURCE_INIT_SUCCESS, False, "STARTED"),  # on another warehouse
    ],
)
def test_a_run_that_started_and_has_said_nothing_for_two_minutes_is_dead(
    warehouse, instance, seconds_ago, event, waits, then
):
    started(instance, seconds_ago, *([event] if event else []))
    if waits:
        instance.report_engine_event("Waiting.", instance.get_run_by_id(RUN))
    end_dead_runs(instance, warehouse)
    assert status(instance) == then


# -- a lock that is lost -----------------------------------------------------------------------------------------------


def test_nothing_is_written_once_the_connection_that_holds_the_lock_is_lost(warehouse, store_kind):
    if store_kind == "sqlite":
        pytest.skip("a file's lock is not lost while its process lives")
    cut = sa.text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 312")
    with ExitStack() as work:
        work.enter_context(lock.turn(warehouse, "sync", RUN, never))
        with warehouse.read() as connection:
            connection.execute(cut)
        for _ in range(2):  # SQLAlchemy would connect anew for the second
            with pytest.raises(StorageRefused), warehouse.write() as connection:
                connection.execute(sa.delete(schema.turns))
        with pytest.raises(StorageRefused, match="the connection that holds the lock was lost"):
            work.close()
    assert lock.look(warehouse)[1][0].run_id == RUN


# -- rows that nobody reads to their end ---------------------------------------------------------------------------------


def test_rows_that_an_interrupt_left_unread_may_outlive_their_connection(warehouse):
    with warehouse.read() as connection:
        rows = batches(connection, "SELECT 1 UNION SELECT 2")
        assert next(rows) == [(1,), (2,)]
    rows.close()  # as the garbage collector does
