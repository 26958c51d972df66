"""Claims about what Dagster loads: one location, whichever file it is read from, and the graph that the design fixes."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.load_target import PyProjectFileTarget, WorkspaceFileTarget

from vanc311_pipeline.definitions import build_definitions, defs
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.orchestration.assets.publication import assets
from vanc311_pipeline.orchestration.metadata import LAYERS, STATISTICS
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import landed_path
from vanc311_pipeline.settings import ARCHIVE, LIVE, Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def definitions():
    return build_definitions(Settings())


def test_both_files_lead_dagster_to_the_same_module_location_and_assets():
    targets = [
        WorkspaceFileTarget(paths=[str(ROOT / "workspace.yaml")]),
        PyProjectFileTarget(str(ROOT / "pyproject.toml")),
    ]
    origins = [origin for target in targets for origin in target.create_origins()]
    assert [origin.location_name for origin in origins] == ["vanc311_pipeline"] * 2
    assert [origin.loadable_target_origin.module_name for origin in origins] == ["vanc311_pipeline.definitions"] * 2


def test_everything_loads_and_every_asset_says_what_it_is(definitions):
    dg.Definitions.validate_loadable(definitions)
    assert [spec.key for spec in definitions.resolve_all_asset_specs() if not spec.description] == []


def test_an_asset_is_of_the_kind_of_database_that_it_is_in():
    location = build_definitions(Settings(database_url="postgresql+psycopg://someone@example/warehouse"))
    kinds = {spec.key.to_user_string(): spec.kinds for spec in location.resolve_all_asset_specs()}
    assert kinds["service_requests"] == {"python", "pandas", "postgresql"}
    assert kinds["published_database"] == {"sqlite"}
    assert sum("sqlite" in each for each in kinds.values()) == 1


@pytest.mark.parametrize(("landed", "first"), [(LIVE, "2022-01"), (ARCHIVE, "2009-06")])
def test_the_archives_months_are_partitions_only_where_it_was_landed(tmp_path, landed, first):
    settings = Settings(data_dir=tmp_path)
    file = landed_path(settings.raw_dir, Window(landed, "2022-01"))
    file.parent.mkdir(parents=True)
    file.touch()
    specs = build_definitions(settings).resolve_all_asset_specs()
    partitions = {spec.partitions_def.get_first_partition_key() for spec in specs if spec.partitions_def}
    assert partitions == {first}


def test_no_asset_has_a_retry_policy_which_would_take_an_interrupt_for_a_failure_and_begin_anew():
    given = assets(Settings(ship_url="s3://bucket/folder"))
    assert not any(asset.op.retry_policy for asset in given if isinstance(asset, dg.AssetsDefinition))


@pytest.mark.parametrize(("ship_url", "shipments"), [(None, 0), ("s3://bucket/folder", 1)])
def test_the_shipment_its_check_and_its_steps_are_there_only_where_something_ships(ship_url, shipments):
    location = build_definitions(Settings(ship_url=ship_url))
    keys = [spec.key.to_user_string() for spec in location.resolve_all_asset_specs()]
    checks = [key.asset_key.to_user_string() for each in location.asset_checks for key in each.check_keys]
    assert keys.count("shipped_database") == checks.count("shipped_database") == shipments
    for job, steps in (
        ("sync", {"shipped_database", "check_shipped_database"}),
        ("verify", {"check_shipped_database"}),
    ):
        assert sum(node.name in steps for node in location.resolve_job_def(job).nodes) == len(steps) * shipments


def test_the_code_location_reads_its_settings_when_it_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setenv("VANC311_DATA_DIR", str(tmp_path / "elsewhere"))
    loaded = defs.load_fn() if hasattr(defs, "load_fn") else defs()
    resources = loaded.resources or {}
    assert resources["settings"].data_dir == tmp_path / "elsewhere"


def test_a_code_location_never_loads_the_citys_rows_as_the_sample(monkeypatch):
    monkeypatch.setenv("VANC311_SOURCE", "sample")
    monkeypatch.delenv(
        "VANC311_PORTAL_URL", raising=False
    )  # a shared city, loaded in this process before, leaves its own
    with pytest.raises(SettingsError, match="VANC311_PORTAL_URL is the city's portal"):
        defs()


def test_an_asset_leads_to_its_page_of_the_dashboard_and_to_its_definitions():
    location = build_definitions(Settings(site_url="https://311.example"))
    links = {
        spec.key.to_user_string(): {
            name: value.url for name, value in spec.metadata.items() if isinstance(value, dg.UrlMetadataValue)
        }
        for spec in location.resolve_all_asset_specs()
        if spec.group_name != "portal"
    }
    assert links["quality_ledger"]["dashboard"] == "https://311.example/quality"
    assert links["backlog_daily"]["dashboard"] == "https://311.example/#backlog"
    assert links["published_database"]["dashboard"] == "https://311.example/data"
    assert links["metrics_citywide"]["definitions"].startswith("https://311.example/methods#")
    assert all(each["dashboard"].startswith("https://311.example/") for each in links.values())
    assert all("definitions" in links[name] for name in STATISTICS if STATISTICS[name].metrics)


def test_an_asset_that_is_made_leads_to_the_code_that_makes_it(definitions):
    for asset in definitions.assets:
        if isinstance(asset, dg.AssetsDefinition):
            for metadata in asset.metadata_by_key.values():
                [reference] = metadata["dagster/code_references"].code_references
                line = Path(reference.file_path).read_text().splitlines()[reference.line_number - 1]
                assert line.strip().startswith(("@dg.", "def ")), line


def test_groups_follow_each_other_from_the_portal_to_the_product(definitions):
    order = list(LAYERS)
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    for spec in specs.values():
        assert spec.tags["layer"] == LAYERS[spec.group_name]
        for dep in spec.deps:
            assert order.index(specs[dep.asset_key].group_name) <= order.index(spec.group_name)
