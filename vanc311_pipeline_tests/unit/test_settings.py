"""Claims about settings: everything has a default, the environment wins, and what can't be used is refused by name."""

from pathlib import Path

import pytest

from vanc311_pipeline.commands.ports import address
from vanc311_pipeline.errors import EXIT_USAGE, SettingsError
from vanc311_pipeline.settings import Settings


def test_nothing_needs_to_be_set():
    found = Settings.from_environment({})
    assert found.portal_url == "https://opendata.vancouver.ca"
    assert found.api_key is None
    assert found.source == "portal"
    assert found.data_dir == Path.cwd() / "data"
    assert found.dagster_home == Path.cwd() / ".dagster"
    assert found.warehouse_url == f"sqlite:///{Path.cwd()}/data/warehouse.sqlite"
    assert (found.raw_dir, found.published_path) == (
        found.data_dir / "raw",
        found.data_dir / "published" / "vanc311.sqlite",
    )


def test_an_empty_variable_is_as_good_as_none():
    names = Settings.from_environment({"VANC311_API_KEY": "k"}).to_environment()
    others = ["VANC311_DATABASE_URL", "VANC311_ALERT_WEBHOOK", "VANC311_UI_URL", "VANC311_SITE_URL", "VANC311_SHIP_URL"]
    empty = dict.fromkeys([*names, *others], "")
    assert Settings.from_environment(empty) == Settings.from_environment({})


@pytest.mark.parametrize(
    ("host", "reached"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")]
)
def test_links_lead_to_where_it_listens_unless_the_user_says_otherwise(host, reached):
    linked = Settings().reached_at(address(host, 3001), address(host, 8400))
    assert (linked.ui_url, linked.site_url) == (f"http://{reached}:3001", f"http://{reached}:8400")
    told = Settings(ui_url="https://ui.example", site_url="https://311.example")
    assert told.reached_at(address(host, 3001), address(host, 8400)) == told


def test_the_environment_wins(tmp_path):
    found = Settings.from_environment(
        {
            "VANC311_PORTAL_URL": "http://127.0.0.1:8000/",
            "VANC311_API_KEY": "secret",
            "VANC311_DATA_DIR": str(tmp_path / "d"),
            "VANC311_DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite",
            "DAGSTER_HOME": str(tmp_path / "h"),
            "VANC311_SOURCE": "sample",
            "VANC311_READ_TIMEOUT_SECONDS": "2.5",
            "VANC311_RETRY_WAIT_SECONDS": "0.1",
            "VANC311_ALERT_WEBHOOK": "https://hooks.example/services/T/B/x/",
            "VANC311_UI_URL": "http://127.0.0.1:3000/",
            "VANC311_SITE_URL": "https://311.example/",
            "VANC311_KEEP_RUNS_DAYS": "7",
            "VANC311_SHIP_URL": "s3://bucket/vanc311",
            "VANC311_REPLICA_SECONDS": "5",
            "VANC311_LOG_FORMAT": "json",
        }
    )
    assert found == Settings(
        portal_url="http://127.0.0.1:8000",
        api_key="secret",
        data_dir=tmp_path / "d",
        database_url=f"sqlite:///{tmp_path}/other.sqlite",
        dagster_home=tmp_path / "h",
        source="sample",
        read_timeout_seconds=2.5,
        retry_wait_seconds=0.1,
        alert_webhook="https://hooks.example/services/T/B/x/",
        ui_url="http://127.0.0.1:3000",
        site_url="https://311.example",
        keep_runs_days=7,
        ship_url="s3://bucket/vanc311",
        replica_seconds=5,
        log_format="json",
    )
    assert found.warehouse_url == f"sqlite:///{tmp_path}/other.sqlite"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"VANC311_API_KEY": "k", "VANC311_SOURCE": "sample", "VANC311_DATABASE_URL": "sqlite:////x"},
        {"VANC311_DAGSTER_DATABASE_URL": "postgresql+psycopg2://u:p@h/d"},
        {"VANC311_DATABASE_URL": "postgresql+psycopg://u:p@h:5432/d"},
        {"VANC311_SHIP_URL": "s3://bucket/vanc311", "VANC311_REPLICA_SECONDS": "0.5"},
        {"VANC311_ALERT_WEBHOOK": "https://h/x", "VANC311_UI_URL": "http://u", "VANC311_KEEP_RUNS_DAYS": "9"},
    ],
)
def test_a_child_process_gets_the_same_settings(given):
    found = Settings.from_environment(given)
    assert Settings.from_environment(found.to_environment()) == found


def test_a_relative_directory_does_not_move_with_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({"VANC311_DATA_DIR": "here"}).data_dir == tmp_path / "here"


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.from_environment({"VANC311_DATA_DIR": "~/here"}).data_dir == tmp_path / "here"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VANC311_PORTAL_URL", "opendata.vancouver.ca"),
        ("VANC311_PORTAL_URL", "ftp://opendata.vancouver.ca"),
        ("VANC311_DATABASE_URL", "postgresql://host/db"),
        ("VANC311_DATABASE_URL", "warehouse.sqlite"),
        ("VANC311_SOURCE", "Portal"),
        ("VANC311_READ_TIMEOUT_SECONDS", "0"),
        ("VANC311_READ_TIMEOUT_SECONDS", "-1"),
        ("VANC311_READ_TIMEOUT_SECONDS", "ten"),
        ("VANC311_RETRY_WAIT_SECONDS", "inf"),
        ("VANC311_RETRY_WAIT_SECONDS", "nan"),
        ("VANC311_LOG_FORMAT", "xml"),
        ("VANC311_UI_URL", "localhost:3000"),
        ("VANC311_UI_URL", "http://[::1"),
        ("VANC311_SITE_URL", "311.example"),
        ("VANC311_KEEP_RUNS_DAYS", "0"),
        ("VANC311_KEEP_RUNS_DAYS", "-3"),
        ("VANC311_KEEP_RUNS_DAYS", "1.5"),
        ("VANC311_KEEP_RUNS_DAYS", "²"),
        ("VANC311_KEEP_RUNS_DAYS", "99999999999999999999"),
    ],
)
def test_what_cant_be_used_is_refused_with_its_name_and_value(name, value):
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({name: value})
    assert name in str(error.value)
    assert value in str(error.value)
    assert error.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    "value", ["hooks.example/hunter2", "ftp://hooks.example/hunter2", "https:///hunter2", "http://h:99999/hunter2"]
)
def test_a_webhook_that_cant_be_used_is_refused_without_repeating_it(value):
    with pytest.raises(SettingsError, match="VANC311_ALERT_WEBHOOK") as error:
        Settings.from_environment({"VANC311_ALERT_WEBHOOK": value})
    assert "hunter2" not in str(error.value)
    assert error.value.exit_code == EXIT_USAGE


def test_a_secret_address_is_in_nothing_that_prints_the_settings():
    assert "hunter2" not in repr(Settings(alert_webhook="https://hooks.example/hunter2"))
    assert "hunter2" not in repr(Settings(dagster_database_url="postgresql+psycopg2://u:hunter2@h/d"))


@pytest.mark.parametrize("value", ["postgresql://u:hunter2@h/d", "sqlite:///hunter2", "hunter2"])
def test_dagsters_database_is_refused_without_repeating_it_unless_it_names_the_driver_that_works(value):
    with pytest.raises(SettingsError, match=r"postgresql\+psycopg2://") as error:
        Settings.from_environment({"VANC311_DAGSTER_DATABASE_URL": value})
    assert "hunter2" not in str(error.value)


def test_a_password_in_a_refused_database_address_is_not_repeated():
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({"VANC311_DATABASE_URL": "postgresql://user:hunter2@host/db"})
    assert "hunter2" not in str(error.value)
    assert "host/db" in str(error.value)


def test_the_sample_shares_nothing_with_the_real_data(tmp_path):
    real = Settings(
        data_dir=tmp_path / "data", dagster_home=tmp_path / ".dagster", database_url="sqlite:////real.sqlite"
    )
    sample = real.for_sample("http://127.0.0.1:1")
    assert (sample.source, sample.portal_url) == ("sample", "http://127.0.0.1:1")
    assert (sample.data_dir, sample.dagster_home) == (tmp_path / "data-sample", tmp_path / ".dagster-sample")
    assert sample.warehouse_url == f"sqlite:///{tmp_path}/data-sample/warehouse.sqlite"
