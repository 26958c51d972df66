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


BROKEN = {
    "its Python is gone": ("python", lambda file: file.symlink_to("/usr/lib/python-that-was-removed")),
    "its Python knows no pip": ("python", lambda file: file.symlink_to("/bin/false")),
    "it is half made": ("pip", lambda file: None),
    "it was moved": ("pip", lambda file: file.write_text("#!/home/somebody/elsewhere/.venv/bin/python3\n")),
}


def asked_to_sync(folder) -> str:
    return subprocess.run(["make", "-n", "sync"], cwd=folder, capture_output=True, text=True, check=False).stdout


def test_an_environment_that_can_be_used_stays(folder):
    assert "made anew" not in asked_to_sync(folder)
    assert (folder / ".venv").exists()


@pytest.mark.parametrize("how", BROKEN)
def test_one_that_cannot_be_used_is_made_anew_and_that_is_said(folder, how):
    name, replace = BROKEN[how]
    program = folder / ".venv" / "bin" / name
    program.unlink()
    replace(program)
    output = asked_to_sync(folder)
    assert ".venv can't be used" in output
    assert "-m venv .venv" in output
    assert not (folder / ".venv").exists()
