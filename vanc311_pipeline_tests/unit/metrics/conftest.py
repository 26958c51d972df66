"""What the tests of the metrics share: requests as facts, the bundled sample, and the headline metrics of a month."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest

from vanc311_pipeline import pipeline
from vanc311_pipeline.metrics.facts import NONE, Facts, Status, day_number
from vanc311_pipeline.metrics.groups import grouping_of, periods
from vanc311_pipeline.metrics.headline import WIDE, headline_metrics
from vanc311_pipeline.metrics.reporting import Reports
from vanc311_pipeline.pipeline import Progress, Run
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.documents import Area
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.areas import replace_areas
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.loading import load_month
from vanc311_pipeline.warehouse.statistics import read_facts, read_reports
from vanc311_pipeline_tests.conftest import hasty

AS_OF = "2025-06-30"  # a Monday


@pytest.fixture(scope="session")
def headline(landed, stored_areas, areas, tmp_path_factory):
    """The wide tables by level, and the long one as `long`, of rows as served in one UTC month."""
    root = tmp_path_factory.mktemp("warehouses")

    @cache
    def warehouse_of(month: str) -> Warehouse:
        warehouse = Warehouse(Settings(database_url=f"sqlite:///{root / f'{month}.sqlite'}"))
        warehouse.create()
        stored_areas(warehouse)
        return warehouse

    def run(*rows, month="2025-08") -> dict[str, pd.DataFrame]:
        warehouse = warehouse_of(month)
        load_month(warehouse, month, [landed(month, *rows)], areas, "a run")  # in place of the rows before
        with warehouse.read() as connection:
            tables = headline_metrics(read_facts(connection, ledger.as_of(connection)))
        return {"long": tables["metric_aggregates"], **{level: tables[table] for level, (table, _) in WIDE.items()}}

    return run


@pytest.fixture(scope="session")
def stored_areas(areas):
    """Puts the 22 areas into a warehouse, each with the same outline."""

    def store(warehouse: Warehouse) -> None:
        outline = '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}'
        replace_areas(warehouse, [Area(name, 49, -123, outline) for name in areas])

    return store


@pytest.fixture(scope="session")
def facts():
    """Requests as facts: `facts({"ago": 40, "took": 3, "times": 30}, {"ago": 2})`.

    A request was opened so many days `ago` (or `opened` on a date) and, if it is closed, `took` so many days (or was `closed` on
    a date). Its status follows from that unless it is given; `times` says how many such requests there are.
    """

    def make(*rows, as_of=AS_OF, areas=("Marpole", "Sunset")) -> Facts:
        each = [_request(row, day_number(as_of)) for row in rows for _ in range(row.get("times", 1))]
        column = {name: [request[name] for request in each] for name in _request({}, 0)}
        issues, departments, reasons = (
            tuple(sorted(set(column[name]) - {None})) for name in ("issue", "department", "reason")
        )
        return Facts(
            as_of=day_number(as_of),
            areas=areas,
            issues=issues,
            departments=departments,
            reasons=reasons,
            area=_places(column["area"], areas),
            issue=_places(column["issue"], issues),
            department=_places(column["department"], departments),
            reason=_places(column["reason"], reasons),
            status=np.array(column["status"], dtype=np.int32),
            opened=np.array(column["opened"], dtype=np.int32),
            closed=np.array(column["closed"], dtype=np.int32),
            stated=np.array(column["closed"], dtype=np.int32),
            changed=np.array(column["changed"], dtype=np.int64),
            twin=np.array(column["twin"], dtype=bool),
            point=np.array(column["point"], dtype=bool),
        )

    return make


def _request(row, as_of):
    opened = day_number(row["opened"]) if "opened" in row else as_of - row.get("ago", 0)
    closed = day_number(row["closed"]) if "closed" in row else NONE
    if row.get("took") is not None:
        closed = opened + row["took"]
    usual = {
        "area": "Marpole", "issue": "Graffiti", "department": "ENG", "reason": None, "twin": False, "point": True,
        "changed": 0,
    }  # fmt: skip
    status = row.get("status", Status.OPEN if closed == NONE else Status.CLOSE)
    return {
        **usual,
        **{name: row[name] for name in usual if name in row},
        "status": status,
        "opened": opened,
        "closed": closed,
    }


def _places(values, names):
    return np.array([NONE if value is None else names.index(value) for value in values], dtype=np.int32)


@pytest.fixture(scope="session")
def grouped():
    """One grouping of some facts: `grouped(facts, "issue", "all")`."""

    def of_kind(city, level="citywide", scope="all"):
        return grouping_of(city, (level, scope))

    return of_kind


@pytest.fixture(scope="session")
def cohort_of(grouped):
    """One grouping of the facts in one period: `cohort_of(facts, "issue", "all", "2025")`."""

    def of_period(city, level="citywide", scope="all", period="all"):
        return grouped(city, level, scope).within(next(each for each in periods(city) if each.name == period))

    return of_period


@pytest.fixture(scope="session")
def rows_of():
    """Some columns of a frame as rows of plain values: `rows_of(frame, "local_area", "n")`; None for NaN."""

    def rows(frame, *columns):
        cells = frame[list(columns)].astype(object)
        plain = cells.where(cells.notna(), None).itertuples(index=False, name=None)
        return [row[0] if len(columns) == 1 else row for row in plain]

    return rows


@dataclass(frozen=True)
class Sample:
    """The bundled sample as it is stored, and read as facts."""

    as_of: str
    facts: Facts
    reports: Reports
    stored: pd.DataFrame
    warehouse: Warehouse


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Sample:
    """The bundled sample, fetched from the stand-in, cleaned and stored by the steps of the real load."""
    warehouse = Warehouse(Settings(data_dir=tmp_path_factory.mktemp("sample")))
    warehouse.create()
    with StandIn() as portal, Portal(hasty(portal.url), attempts=2) as client:
        run = Run("a run", pipeline.plan(client, warehouse))
        pipeline.land(client, warehouse, run, Progress())
        pipeline.load_areas(client, warehouse, anew=True)
        list(pipeline.load(warehouse, run, Progress()))
    with warehouse.read() as connection:
        as_of = ledger.as_of(connection)
        stored = pd.read_sql("SELECT * FROM service_requests ORDER BY rowid", connection)
        facts = read_facts(connection, as_of)
        return Sample(as_of, facts, read_reports(connection, facts), stored, warehouse)
