"""Claims about the Makefile: an environment that can't be used is made anew, whatever happened to it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """A project folder with an environment that can be used."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to("/bin/true")
    (programs / "pip").write_text(f"#!{programs}/python3\n")
    return tmp_path


def python_gone(folder):
    (folder / ".venv" / "bin" / "python").unlink()
    (folder / ".venv" / "bin" / "python").symlink_to("/usr/lib/python-that-was-removed")


def without_pip(folder):
    (folder / ".venv" / "bin" / "python").unlink()
    (folder / ".venv" / "bin" / "python").symlink_to("/bin/false")


def half_made(folder):
    (folder / ".venv" / "bin" / "pip").unlink()


def moved(folder):
    (folder / ".venv" / "bin" / "pip").write_text("#!/home/somebody/elsewhere/.venv/bin/python3\n")


def asked_to_sync(folder) -> str:
    return subprocess.run(["make", "-n", "sync"], cwd=folder, capture_output=True, text=True, check=False).stdout


def test_an_environment_that_can_be_used_stays(folder):
    assert "made anew" not in asked_to_sync(folder)
    assert (folder / ".venv").exists()


@pytest.mark.parametrize("broken", [python_gone, without_pip, half_made, moved])
def test_one_that_cannot_be_used_is_made_anew_and_that_is_said(folder, broken):
    broken(folder)
    output = asked_to_sync(folder)
    assert ".venv can't be used" in output
    assert "-m venv .venv" in output
    assert not (folder / ".venv").exists()
