"""The OpenAPI document is true: schemathesis asks what it allows and what it forbids, and holds every answer to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from vanc311_pipeline.api.app import create_app
from vanc311_pipeline.settings import Settings

app = create_app(Path("the fixture says which"))
schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)  # needs no release


@pytest.fixture(scope="module", autouse=True)
def _published(synced: Settings) -> Iterator[None]:
    app.state.published.path = synced.published_path
    yield
    app.state.published.close()


@schema.parametrize()
@settings(max_examples=settings().max_examples // 10, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says(case: Any) -> None:
    case.call_and_validate()


def test_every_parameter_and_column_is_explained() -> None:
    described = app.openapi()
    for path, operations in described["paths"].items():
        for parameter in operations["get"].get("parameters", []):
            assert parameter.get("description"), f"{path}: {parameter['name']}"
    rows = {name: model for name, model in described["components"]["schemas"].items() if name.endswith("Row")}
    assert len(rows) > 30
    for name, model in rows.items():
        for column, about in model["properties"].items():
            assert about.get("description"), f"{name}.{column}"
