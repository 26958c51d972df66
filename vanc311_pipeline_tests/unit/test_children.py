"""Claims about what child processes inherit: whoever falls back to the sample hands on nothing of the user's."""

import subprocess

from vanc311_pipeline.commands.up import _start
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.unit.test_settings import EVERY_SETTING


def test_the_samples_children_know_no_address_of_the_users(tmp_path, monkeypatch):
    for name, value in EVERY_SETTING.items():
        monkeypatch.setenv(name, value)
    sample = Settings.from_environment().for_sample("http://127.0.0.1:1")
    children = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: children.append(options))
    _start(sample, ["dagster", "dev"])
    [child] = children
    assert Settings.from_environment(child["env"]) == sample
    # Dagster puts the variables of an `.env` in the working directory above those that it inherits.
    assert child["cwd"] == sample.dagster_home
    resources = build_definitions(Settings.from_environment(child["env"])).resources
    assert (resources["store"].ship_url, resources["webhook"].url, resources["portal"].api_key) == (None, None, None)
    assert resources["store"].warehouse_url == sample.warehouse_url
