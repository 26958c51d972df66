"""What the tests of the stand-in share: portals to ask, and short ways to ask them.

Belongs here: fixtures. Does not belong here: claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
import requests

from vanc311_pipeline.portal.standin import StandIn

LIVE = "3-1-1-service-requests"
Ask = Callable[..., requests.Response]

REAL_ROWS = """\
department;service_request_type;status;closure_reason;service_request_open_timestamp;service_request_close_date;\
last_modified_timestamp;address;local_area;channel;latitude;longitude;geom
DBL - Property Use Inspections;Noise on Private Property Case;Close;Assigned to inspector;\
2025-08-25T15:03:00+00:00;2025-08-27;2025-08-27T18:56:08+00:00;;Marpole;WEB;;;
ENG - Traffic and Electrical Operations and Design;Street Light Out Case;Close;Service provided;\
2023-12-11T14:48:14+00:00;2023-12-21;2023-12-21T16:09:07+00:00;4375 ROSS ST;Kensington-Cedar Cottage;Mobile App;\
49.24588847779;-123.08183124972;49.24588847779, -123.08183124972
ENG - Traffic and Electrical Operations and Design;Street Light Out Case;Open;N/A;\
2026-01-06T03:53:46+00:00;;2026-01-06T03:54:46+00:00;7284 CYPRESS ST;Kerrisdale;Mobile App;\
49.21954559249;-123.14897627659;49.21954559249, -123.14897627659
"""


def asking(portal: StandIn) -> Ask:
    """A function that asks a portal: path below the live dataset (or `dataset`), parameters as keywords."""

    def ask(path: str = "", dataset: str = LIVE, headers: dict[str, str] | None = None, **query: Any) -> Any:
        url = f"{portal.url}/api/explore/v2.1/catalog/datasets/{dataset}{path}"
        return requests.get(url, params=query, headers=headers, timeout=5)

    return ask


@pytest.fixture(scope="session")
def sample_portal() -> Iterator[StandIn]:
    """The bundled real sample; for tests that change nothing."""
    with StandIn() as portal:
        yield portal


@pytest.fixture(scope="session")
def ask(sample_portal: StandIn) -> Ask:
    return asking(sample_portal)


@pytest.fixture
def opened() -> Iterator[Callable[..., tuple[StandIn, Ask]]]:
    """Opens portals that a test may change, and closes them after it."""
    portals: list[StandIn] = []

    def open_portal(**settings: Any) -> tuple[StandIn, Ask]:
        portal = StandIn(**settings)
        portal.start()
        portals.append(portal)
        return portal, asking(portal)

    yield open_portal
    for portal in portals:
        portal.stop()


@pytest.fixture(scope="session")
def three_rows(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three real rows (no location; located; open) as the portal exports them."""
    path = tmp_path_factory.mktemp("rows") / "three.csv"
    path.write_bytes(REAL_ROWS.replace("\n", "\r\n").encode())
    return path


@pytest.fixture(scope="session")
def sample(sample_portal: StandIn) -> pd.DataFrame:
    return sample_portal.frame
