"""Claims about settings: everything has a default, the environment wins, and what can't be used is refused by name."""

import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from vanc311_pipeline.commands.http import address
from vanc311_pipeline.disk import sqlite_url
from vanc311_pipeline.errors import EXIT_USAGE, SettingsError
from vanc311_pipeline.settings import Settings

EVERY_SETTING = {
    "VANC311_PORTAL_URL": "http://portal.example",
    "VANC311_API_KEY": "key",
    "VANC311_DATA_DIR": "/somewhere/data",
    "VANC311_DATABASE_URL": "postgresql+psycopg://u:p@h:5432/d",
    "DAGSTER_HOME": "/somewhere/home",
    "VANC311_DAGSTER_DATABASE_URL": "postgresql+psycopg2://u:p@h/d",
    "VANC311_SOURCE": "sample",
    "VANC311_READ_TIMEOUT_SECONDS": "2.5",
    "VANC311_RETRY_WAIT_SECONDS": "0.5",
    "VANC311_ALERT_WEBHOOK": "https://hooks.example/services/T/B/x/ ntfys://topic json://user:password@host/a,b",
    "VANC311_SHIP_URL": "s3://bucket/vanc311",
    "VANC311_SHIP_KEY": "0123456789abcdef0123456789abcdef",
    "VANC311_REPLICA_SECONDS": "5.0",
    "VANC311_UI_URL": "http://dagster.example",
    "VANC311_SITE_URL": "http://site.example",
    "VANC311_METRICS_ADDRESS": "127.0.0.1:9311",
    "VANC311_LOG_FORMAT": "json",
    "VANC311_KEEP_RUNS_DAYS": "9",
}


def test_nothing_needs_to_be_set():
    settings = Settings.from_environment({})
    assert settings.portal_url == "https://opendata.vancouver.ca"
    assert settings.api_key is None
    assert settings.source == "portal"
    assert settings.data_dir == Path.cwd() / "data"
    assert settings.dagster_home == Path.cwd() / ".dagster"
    assert settings.warehouse_url == f"sqlite:///{Path.cwd()}/data/warehouse.sqlite"
    assert (settings.raw_dir, settings.published_path) == (
        settings.data_dir / "raw",
        settings.data_dir / "published" / "vanc311.sqlite",
    )


def test_an_empty_variable_is_as_good_as_none():
    assert Settings.from_environment(dict.fromkeys(EVERY_SETTING, "")) == Settings.from_environment({})


@pytest.mark.parametrize(
    ("host", "reached"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")]
)
def test_links_lead_to_where_it_listens_unless_the_user_says_otherwise(host, reached):
    linked = Settings().reached_at(address(host, 3001), address(host, 8400))
    assert (linked.ui_url, linked.site_url) == (f"http://{reached}:3001", f"http://{reached}:8400")
    linked_by_user = Settings(ui_url="https://ui.example", site_url="https://311.example")
    assert linked_by_user.reached_at(address(host, 3001), address(host, 8400)) == linked_by_user


def test_every_setting_comes_from_the_environment_and_goes_there():
    every, none = Settings.from_environment(EVERY_SETTING), Settings.from_environment({})
    assert every.to_environment() == EVERY_SETTING
    assert (every.data_dir, every.read_timeout_seconds, every.keep_runs_days) == (Path("/somewhere/data"), 2.5, 9)
    assert every.warehouse_url == "postgresql+psycopg://u:p@h:5432/d"
    for setting in Settings.model_fields:
        assert getattr(every, setting) != getattr(none, setting), setting


@pytest.mark.parametrize("variable", ["VANC311_PORTAL_URL", "VANC311_UI_URL", "VANC311_SITE_URL"])
def test_a_slash_at_the_end_of_an_address_is_dropped(variable):
    settings = Settings.from_environment({variable: "http://host:8000/"})
    assert settings.to_environment()[variable] == "http://host:8000"


@pytest.mark.parametrize("variable", ["vanc311_api_key", "Vanc311_Api_Key", "VANC311_APIKEY", "API_KEY", "api_key"])
def test_a_misspelt_variable_sets_nothing(variable):
    assert Settings.from_environment({variable: "key"}) == Settings.from_environment({})


def test_settings_that_are_made_in_code_take_nothing_from_the_environment(monkeypatch):
    for variable, value in EVERY_SETTING.items():
        monkeypatch.setenv(variable, value)
    assert Settings() == Settings.from_environment({})


@pytest.mark.parametrize("inherited", [{}, EVERY_SETTING])
def test_a_child_process_gets_these_settings_and_none_that_its_parent_inherited(inherited):
    settings = Settings.from_environment({"VANC311_SHIP_URL": "file:///here"})
    assert Settings.from_environment(inherited | settings.to_environment()) == settings


def test_a_relative_directory_does_not_move_with_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({"VANC311_DATA_DIR": "here", "DAGSTER_HOME": "../there"})
    assert (settings.data_dir, settings.dagster_home) == (tmp_path / "here", tmp_path / ".." / "there")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VANC311_DATABASE_URL", "sqlite:///" + "a" * 3_000),
        ("VANC311_DATABASE_URL", f"sqlite:////{'a' * 300}/x.sqlite"),
        ("VANC311_DATABASE_URL", "sqlite:////tmp/" + "a" * 300),
        ("VANC311_DATABASE_URL", "postgresql+psycopg://host/" + "a" * 5_000),
        ("VANC311_PORTAL_URL", "a" * 3_000),
        ("VANC311_SOURCE", "a" * 3_000),
        ("VANC311_DATA_DIR", "/" + "a" * 300),
        ("DAGSTER_HOME", "/" + "a/" * 2_500),
    ],
)
def test_a_value_that_is_far_too_long_is_refused_in_a_few_lines(name, value):
    with pytest.raises(SettingsError, match=f"^{name} ") as error:
        Settings.from_environment({name: value})
    assert len(str(error.value)) < 600


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.from_environment({"VANC311_DATA_DIR": "~/here"}).data_dir == tmp_path / "here"


REFUSED = {
    "VANC311_PORTAL_URL": ["opendata.vancouver.ca", "ftp://opendata.vancouver.ca"],
    "VANC311_METRICS_ADDRESS": [
        "9311", "127.0.0.1:", "127.0.0.1:many", "http://127.0.0.1:9311", "127.0.0.1:9311/metrics", "::1",
    ],
    "VANC311_DATABASE_URL": [
        "sqlite:///warehouse.sqlite", "sqlite:///:memory:", "sqlite:///", "sqlite:////data/", "sqlite:////data/x.sqlite?mode=ro",
        "sqlite:////dev/null/x.sqlite",
    ],
    "VANC311_DATA_DIR": ["/dev/null", "/dev/null/data", "~nobody-of-this-name/data"],
    "DAGSTER_HOME": ["/dev/null"],
    "VANC311_SOURCE": ["Portal"],
    "VANC311_READ_TIMEOUT_SECONDS": ["0", "-1", "ten"],
    "VANC311_RETRY_WAIT_SECONDS": ["inf", "nan"],
    "VANC311_LOG_FORMAT": ["xml"],
    "VANC311_UI_URL": ["localhost:3000", "http://[::1"],
    "VANC311_SITE_URL": ["311.example"],
    "VANC311_KEEP_RUNS_DAYS": ["0", "-3", "1.5", "²", "99999999999999999999"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_what_cant_be_used_is_refused_with_its_name_and_value(name, value):
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({name: value})
    assert name in str(error.value)
    assert value in str(error.value)
    assert error.value.exit_code == EXIT_USAGE


SECRETS = {
    "VANC311_ALERT_WEBHOOK": [
        "hooks.example/hunter2", "ftp://hooks.example/hunter2", "https:///hunter2", "http://h:99999/hunter2",
        "https://hooks.example/x nosuch://hunter2", "mailto://hunter2",
    ],
    "VANC311_DAGSTER_DATABASE_URL": ["postgresql://u:hunter2@h/d", "sqlite:///hunter2", "hunter2"],
    "VANC311_DATABASE_URL": [
        "hunter2", "sqlite://", "postgres://user:hunter2@host/db", "postgresql://host/db?password=hunter2",
        "postgresql+psycopg://user:at@hunter2@host/db", "postgresql+psycopg://user:secret@host:hunter2/db",
    ],
    "VANC311_SHIP_URL": [
        "hunter2", "folder/hunter2", "file://folder/hunter2", "s3://", "nosuch://hunter2", "S3://hunter2", "wandb://hunter2",
    ],
    "VANC311_SHIP_KEY": ["hunter2", "hunter2" * 5 + "\n", "hunter2é" * 5],
    "VANC311_API_KEY": ["hunter2\n", " hunter2", "hunter2\r\nx: y", "hunter2\x00", "hunter2é", "hunter2\u202e"],
    "VANC311_PORTAL_URL": [
        "https://u:hunter2@portal.example", "https://portal.example/?apikey=hunter2", "https://portal.example#hunter2",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in SECRETS.items() for value in values])
def test_what_is_or_may_hold_a_secret_is_refused_without_repeating_it(name, value):
    with pytest.raises(SettingsError, match=f"^{name} .* (Set it to|unset it) ") as error:
        Settings.from_environment({name: value})
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.exit_code == EXIT_USAGE


def test_what_apprise_alone_can_tell_is_refused_in_words_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SettingsError, match=r"if that is installed.*pip install 'vanc311_pipeline\[alerts\]'"):
        Settings.from_environment({"VANC311_ALERT_WEBHOOK": "ntfys://topic"})


@pytest.mark.parametrize("name", ["plain", "with space", "50%", "%41", "#1", "what?", "a&b=c;d", "é", "a+b:c@d"])
def test_the_address_of_a_file_leads_to_that_file(tmp_path, name):
    path = tmp_path / name / "warehouse.sqlite"
    assert Path(sa.make_url(sqlite_url(path)).database) == path
    assert Settings.from_environment({"VANC311_DATABASE_URL": sqlite_url(path)}).warehouse_url == sqlite_url(path)


def test_the_sample_knows_no_address_of_the_users_and_shares_nothing_with_the_real_data(tmp_path):
    places = {"VANC311_DATA_DIR": str(tmp_path / "data"), "DAGSTER_HOME": str(tmp_path / ".dagster")}
    real = Settings.from_environment(EVERY_SETTING | places)
    sample = real.for_sample()
    own = {
        "source": "sample",
        "data_dir": tmp_path / "data-sample",
        "dagster_home": tmp_path / ".dagster-sample",
    }
    harmless = ("read_timeout_seconds", "retry_wait_seconds", "log_format", "keep_runs_days")
    for setting in Settings.model_fields:  # a setting that is added later is left behind, or listed here as harmless
        expected = own.get(setting, getattr(real if setting in harmless else Settings(), setting))
        assert getattr(sample, setting) == expected, setting
    assert sample.warehouse_url == f"sqlite:///{tmp_path}/data-sample/warehouse.sqlite"
