"""One pipeline at a time works on a warehouse: whose turn it is, the wait for it, and who died at work.

Whoever has the lock writes a line into `turns` and takes it away at the end. So a line of somebody who hasn't the lock is that of a
process that died. Within a process the lock is had once: the run of `vanc311 sync` works under the lock of the command. Not here:
the lock itself, which is the database's (`Store.take_lock`) and ends with the process that holds it, however that ends; and Dagster
(`orchestration.operations.run_lock`).
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import sqlalchemy as sa

from vanc311_pipeline.schema import turns
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now

POLL_SECONDS = 1.0
TELL_SECONDS = 60.0

_own: dict[str, int] = {}
"""The number of this process's turn at each warehouse, by its address."""


@dataclass(frozen=True)
class Turn:
    number: int
    job: str
    run_id: str | None
    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        run = f" (run {self.run_id[:8]})" if self.run_id else ""
        return f"{self.job}{run} on {self.host} since {self.since}"


@contextmanager
def turn(warehouse: Warehouse, job: str, run_id: str | None, waiting: Callable[[Turn], None]) -> Iterator[None]:
    """Work on a warehouse alone, its tables made if need be; `waiting` is told who is at work, at once and every minute after that."""
    if (number := _own.get(warehouse.settings.warehouse_url)) is not None:
        with warehouse.write() as connection:
            connection.execute(sa.update(turns).where(turns.c.number == number).values(job=job, run_id=run_id))
        yield
        return
    with _alone(warehouse, waiting):
        warehouse.create()
        with warehouse.write() as connection:
            number = (connection.scalar(sa.select(sa.func.max(turns.c.number))) or 0) + 1
            line = Turn(number, job, run_id, socket.gethostname(), os.getpid(), utc_now())
            connection.execute(sa.insert(turns).values(vars(line)))
        _own[warehouse.settings.warehouse_url] = number
        try:
            yield
        finally:
            del _own[warehouse.settings.warehouse_url]
            forget(warehouse, number)


def look(warehouse: Warehouse) -> tuple[Turn | None, list[Turn]]:
    """Who is at work on a warehouse now, and who died at it, without waiting; if nobody is, its tables are made if need be."""
    lock = None if warehouse.settings.warehouse_url in _own else warehouse.store.take_lock()
    with lock or nullcontext():
        if lock:
            warehouse.create()
        lines = _lines(warehouse)
    return (None, lines) if lock or not lines else (lines[-1], lines[:-1])


def forget(warehouse: Warehouse, number: int) -> None:
    with warehouse.write() as connection:
        connection.execute(sa.delete(turns).where(turns.c.number == number))


def _lines(warehouse: Warehouse) -> list[Turn]:
    if not warehouse.exists():
        return []
    with warehouse.read() as connection:
        if not sa.inspect(connection).has_table(turns.name):  # it is being made, or upgraded, at this moment
            return []
        return [Turn(*row) for row in connection.execute(sa.select(turns).order_by(turns.c.number))]


@contextmanager
def _alone(warehouse: Warehouse, waiting: Callable[[Turn], None]) -> Iterator[None]:
    tell_at = time.monotonic()
    while (lock := warehouse.store.take_lock()) is None:
        if time.monotonic() >= tell_at and (at_work := look(warehouse)[0]):
            waiting(at_work)
            tell_at = time.monotonic() + TELL_SECONDS
        time.sleep(POLL_SECONDS)
    with lock:
        yield
