"""Claims about requirements.txt: it locks all that pyproject.toml asks for, on every Python that CI tests, with hashes."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.txt").read_text()
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = (PROJECT["project"]["dependencies"], PROJECT["dependency-groups"]["build"], *EXTRAS.values())
ASKED = [requirement for group in GROUPS for requirement in group]
PYTHONS = re.findall(r'"(3\.\d+)"', (ROOT / ".github" / "workflows" / "ci.yml").read_text())

spec = importlib.util.spec_from_file_location("locked", ROOT / "locked.py")
locked = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locked)


def pins(text=LOCK, **environment) -> dict[str, str]:
    """The version of each package that is installed in this environment; one alone."""
    found = {}
    for line in re.findall(r"^(\w[^\\\n]*)\\$", text, re.M):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            [pin] = requirement.specifier
            assert pin.operator == "=="
            assert found.setdefault(requirement.name, pin.version) == pin.version
    return found


def environment(python: str, platform: str) -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": platform}


@pytest.mark.parametrize("python", sorted(set(PYTHONS)))
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_every_dependency_is_locked_at_a_version_that_is_allowed(python, platform):
    where = environment(python, platform)
    have = pins(**where)
    wanted = [Requirement(line) for line in ASKED]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate(where)]
    assert len(wanted) > 40
    missing = [
        str(one)
        for one in wanted
        if (name := canonicalize_name(one.name)) != "vanc311-pipeline"
        and not one.specifier.contains(have.get(name, "0"))
    ]
    assert missing == []


def test_every_file_has_its_hash_and_nothing_names_where_it_came_from():
    entries = locked.entries(LOCK)
    assert all("--hash=sha256:" in entry for entry in entries.values())
    assert len(entries) == len(re.findall(r"^\S+==", LOCK, re.M))
    assert "://" not in LOCK


def test_what_is_installed_here_is_what_is_locked():
    here = pins(**default_environment())
    differ = {}
    for name, pin in here.items():
        try:
            differ |= {name: (pin, version(name))} if version(name) != pin else {}
        except PackageNotFoundError:
            continue
    assert differ == {}


@pytest.mark.parametrize("extras", [[], *([name] for name in EXTRAS)], ids=str)
def test_what_is_selected_is_closed_and_no_more_than_was_asked_for(extras):
    text = "".join(locked.needed(locked.entries(LOCK), locked.direct(PROJECT, extras)))
    selected = pins(text, **default_environment())
    for name in selected:
        try:
            needs = [Requirement(line) for line in importlib.metadata.requires(name) or []]
        except PackageNotFoundError:
            continue
        for one in needs:
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                assert canonicalize_name(one.name) in selected, f"{name} needs it"
    assert ("kubernetes" in selected) == (extras in (["k8s"], ["dev"]))
    assert ("pytest" in selected) == (extras == ["dev"])


@pytest.mark.rehearsal
def test_the_lock_is_what_the_tool_makes_of_it(tmp_path):
    """Asked of the package index: apart from files that were added to a version since, the same comes out."""
    made = tmp_path / "requirements.txt"
    made.write_text(LOCK)
    command = re.search(r"\$\(BIN\)/uv (pip compile .*?) -o ", (ROOT / "Makefile").read_text(), re.S)[1]
    words = command.replace("\\\n", " ").replace("$(UPGRADE)", "").replace("'make lock'", "make-lock").split()
    subprocess.run([Path(sys.executable).parent / "uv", *words, "-o", made], cwd=ROOT, check=True, capture_output=True)
    before, after = (locked.entries(text) for text in (LOCK, made.read_text()))
    assert before.keys() == after.keys()
    for name, entry in before.items():
        assert set(entry.split()) - {"\\"} <= set(after[name].split()), name
