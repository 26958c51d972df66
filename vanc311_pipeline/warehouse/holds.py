"""Holds: what of the portal is not followed, and why, until it recovers or somebody agrees.

What belongs here: reading and writing `holds`, and how a hold is said. What does not: the judgement (`warehouse.restraint`, and
`vanc311_pipeline.plan` of a portal's size). Callers pass the connection; the transaction is theirs.
"""

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, replace

import sqlalchemy as sa

from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.schema import holds
from vanc311_pipeline.warehouse import rows
from vanc311_pipeline.warehouse.engine import utc_now

NAMED = 12
"""Months named in one sentence; all are counted."""
WHOLE = "all"
"""Stands where a month stands, for a dataset as a whole."""


@dataclass(frozen=True)
class Hold:
    """One line of `holds`, in the order of its columns: what of the portal is not followed, and why."""

    dataset: str
    month: str
    """Or `WHOLE`."""
    rows_before: int
    rows_now: int
    why: str
    data_processed: str
    held_since: str = ""
    """When it began; `hold` keeps what was written first."""

    @property
    def window(self) -> Window:
        return Window(self.dataset, self.month)

    def __str__(self) -> str:
        return f"{self.dataset if self.month == WHOLE else self.month}: {self.why}"


def accepts(consent: Collection[str], month: str) -> bool:
    """Whether somebody agreed to follow a month, or everything, wherever it leads."""
    return month in consent or WHOLE in consent


def advice(held: Sequence[Hold]) -> str:
    """What ends a hold."""
    months = dict.fromkeys(line.month for line in held)
    names = [WHOLE] if WHOLE in months or len(months) > NAMED else list(months) or [WHOLE]
    return (
        "Wait for the portal to recover, or accept it: vanc311 sync "
        f"{' '.join(f'--accept-shrink {name}' for name in names)}"
    )


def held(connection: sa.Connection) -> list[Hold]:
    """What is not followed now, by month."""
    query = sa.select(holds).order_by(holds.c.partition_month, holds.c.dataset)
    return [Hold(*row) for row in connection.execute(query)]


def hold(connection: sa.Connection, lines: Sequence[Hold], judged: Collection[str] = ()) -> None:
    """Note what is not followed. A hold that goes on keeps its beginning; the others of datasets judged as a whole are over."""
    since = {line.window: line.held_since for line in held(connection)}
    last = {line.window: replace(line, held_since=since.get(line.window, utc_now())) for line in lines}
    for window in [*since]:
        if window in last or window.dataset in judged:
            lift(connection, window)
    rows.insert(connection, holds, [astuple(line) for line in last.values()])


def lift(connection: sa.Connection, window: Window) -> None:
    """End one hold, if there is one."""
    where = holds.c.dataset == window.dataset, holds.c.partition_month == window.month
    connection.execute(sa.delete(holds).where(*where))
