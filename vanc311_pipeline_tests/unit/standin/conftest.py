"""What the tests of the stand-in share: portals to ask, and short ways to ask them. Not here: claims."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
import requests

from vanc311_pipeline.standin import StandIn

LIVE = "3-1-1-service-requests"
Ask = Callable[..., requests.Response]


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
def opened(open_portal: Callable[..., StandIn]) -> Callable[..., tuple[StandIn, Ask]]:
    """Opens portals that a test may change."""

    def opened(**settings: Any) -> tuple[StandIn, Ask]:
        portal = open_portal(**settings)
        return portal, asking(portal)

    return opened


@pytest.fixture(scope="session")
def sample(sample_portal: StandIn) -> pd.DataFrame:
    return sample_portal.frame
