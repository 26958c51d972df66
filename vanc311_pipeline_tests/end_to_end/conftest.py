"""A city in miniature: three months of the real sample behind the stand-in, and the whole pipeline in front of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from vanc311_pipeline.cli import vanc311
from vanc311_pipeline.entry import main
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline_tests.conftest import once
from vanc311_pipeline_tests.end_to_end.city import OPENED, Ended, Pipeline, settings_in
from vanc311_pipeline_tests.integration.dashboard.conftest import chromium, visit  # noqa: F401 (fixtures)


@pytest.fixture(scope="session")
def city() -> pd.DataFrame:
    """1,368 real rows opened in three UTC months, and twins of three of them."""
    with StandIn() as portal:
        frame = portal.frame
    months = frame[OPENED].dt.strftime("%Y-%m").isin(["2024-05", "2024-06", "2024-07"])
    return EDITS["add_twin"].function(frame[months].reset_index(drop=True), rows=3)


@pytest.fixture(scope="session")
def loaded(city, tmp_path_factory) -> Path:
    """A directory in which the city is loaded once, to be copied."""

    def load(home: Path) -> Path:
        with StandIn(requests=city) as portal:
            Pipeline(settings_in(home, portal.url)).sync_with_dagster()
        return home

    return once(tmp_path_factory, "loaded", load)


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., Ended]:
    """Runs `vanc311 …`, which must end with a code, in this process as the console script calls it, with its settings' environment."""

    def typed(pipeline: Pipeline, *arguments: str, ends: int = 0, **environment: str) -> Ended:
        for name, value in {**pipeline.settings.to_environment(), **environment}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(lambda: vanc311(args=list(arguments), prog_name="vanc311"))
        output = capsys.readouterr()
        assert ended.value.code == ends, output.out + output.err
        return Ended(ends, output.out, output.err)

    return typed


@pytest.fixture
def portal(city):
    with StandIn(requests=city) as standin:
        yield standin


@pytest.fixture
def empty(portal, tmp_path) -> Pipeline:
    return Pipeline(settings_in(tmp_path, portal.url))


@pytest.fixture
def pipeline(portal, loaded, tmp_path) -> Pipeline:
    """The pipeline with the city loaded, and the portal that it was loaded from."""
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    return Pipeline(settings_in(tmp_path, portal.url))
