"""Claims about Dagster's home: one at a time works there, and `dagster.yaml` is kept up to date unless it is the user's."""

import os
import subprocess
import sys

import pytest

from vanc311_pipeline.commands import instance, up
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.settings import Settings

TRY = """
import sys
from pathlib import Path
from vanc311_pipeline.commands.up import owned
from vanc311_pipeline.entry import main

def work():
    with owned(Path(sys.argv[1]), "another"):
        print("at work")

main(work)
"""


def try_elsewhere(folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", TRY, str(folder)], capture_output=True, text=True)


def test_a_second_owner_is_refused_and_told_who_is_the_first(tmp_path):
    with up.owned(tmp_path / "home", "`vanc311 up`"):
        refused = try_elsewhere(tmp_path / "home")
        assert refused.returncode == 2
        assert f"`vanc311 up`, process {os.getpid()} on " in refused.stderr
        assert "--port" not in refused.stderr
        assert try_elsewhere(tmp_path / "another").stdout == "at work\n"
    assert try_elsewhere(tmp_path / "home").stdout == "at work\n"


def test_a_home_is_owned_until_the_last_process_that_holds_it_has_ended(tmp_path):
    with up.owned(tmp_path, "`vanc311 up`") as held:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[held])
    assert "still ending" in try_elsewhere(tmp_path).stderr
    child.communicate()
    assert try_elsewhere(tmp_path).returncode == 0


@pytest.fixture
def settings(tmp_path):
    return Settings(dagster_home=tmp_path)


@pytest.fixture
def file(settings):
    return settings.dagster_home / "dagster.yaml"


@pytest.fixture
def written(settings, file):
    """As a first start leaves it."""
    instance.configure(settings)
    return file.read_text()


@pytest.fixture
def newer(monkeypatch):
    """Another version of this program writes another text."""
    text = "telemetry: {enabled: false}\n"
    monkeypatch.setattr(instance, "_text", lambda _: text)
    return text


def test_what_was_written_and_not_touched_is_replaced_by_what_a_newer_version_writes(
    settings, file, written, newer, capsys
):
    instance.configure(settings)
    assert file.read_text() == newer != written
    assert capsys.readouterr().err == ""


def test_what_the_user_edited_stays_and_that_is_said_once_for_each_version(
    settings, file, written, newer, capsys, monkeypatch
):
    file.write_text(edited := written + "# mine\n")
    warnings = []
    for text in (written, newer, newer, newer + "nux: {enabled: false}\n"):
        monkeypatch.setattr(instance, "_text", lambda _, text=text: text)
        instance.configure(settings)
        warnings.append(capsys.readouterr().err)
    assert file.read_text() == edited
    assert warnings[0] == ""  # an edit is no news while our own text is the same
    assert f"{file} is not as this program wrote it" in warnings[1]
    assert warnings[2] == ""
    assert warnings[3] == warnings[1]


def test_a_file_that_a_full_disk_left_empty_is_written_again(settings, file):
    file.touch()
    instance.configure(settings)
    assert "run_monitoring:" in file.read_text()


def test_a_disk_that_fills_up_at_the_first_start_leaves_no_file(settings, file, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        instance.configure(settings)
    assert list(settings.dagster_home.iterdir()) == []


@pytest.mark.parametrize("digest", sorted(instance.WRITTEN_BEFORE))
def test_the_files_of_versions_that_noted_nothing_are_known_by_their_digests(
    settings, file, digest, monkeypatch, capsys
):
    file.write_text("as an old version wrote it")
    monkeypatch.setattr(instance, "_digest", lambda text: digest if text == "as an old version wrote it" else "another")
    instance.configure(settings)
    assert "run_monitoring:" in file.read_text()
    assert capsys.readouterr().err == ""


def test_runs_that_are_kept_elsewhere_than_the_settings_say_are_not_lost_sight_of(settings, file, written):
    elsewhere = settings.changed(dagster_database_url="postgresql+psycopg2://x")
    with pytest.raises(SettingsError, match="keeps Dagster's runs in files, but VANC311_DAGSTER_DATABASE_URL is set"):
        instance.configure(elsewhere)
    assert file.read_text() == written


@pytest.mark.parametrize("name", ["what?", "%41"])
def test_a_home_that_dagster_would_look_for_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(SettingsError, match="Set DAGSTER_HOME to a directory without them"):
        instance._made(Settings(dagster_home=tmp_path / name))
    assert os.listdir(tmp_path) == []


def test_a_home_with_other_odd_signs_is_used_itself(tmp_path):
    with instance._made(Settings(dagster_home=tmp_path / "50% #1 it's & more")) as opened:
        assert opened.root_directory == str(tmp_path / "50% #1 it's & more")
        assert opened.get_runs_count() == 0
    assert os.listdir(tmp_path) == ["50% #1 it's & more"]
