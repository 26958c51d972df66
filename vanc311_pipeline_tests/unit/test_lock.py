"""Claims about the lock: it has all that pyproject.toml asks for, on every Python that CI tests, at one version, with hashes."""

import importlib.metadata
import re
import shutil
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
EXTRAS = PROJECT["project"]["optional-dependencies"]
ALWAYS = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["build"]
LOCKS = {
    "requirements.txt": {"explore", "briefs", "alerts"},
    "requirements-image.txt": {"postgres", "s3", "docker", "k8s", "briefs", "alerts"},
    "requirements-dev.txt": set(EXTRAS),
}
"""Each file, and the extras that it has."""
PYTHONS = re.findall(r'"(3\.\d+)"', (ROOT / ".github" / "workflows" / "ci.yml").read_text())


def entries(lock: str) -> dict[str, str]:
    """Each package's lines: version, marker and hashes."""
    return {re.match(r"\S+==", block)[0]: block for block in re.findall(r"^\w[^\n]*\n(?:[ ]+--[^\n]*\n)*", lock, re.M)}


def pins(lock: str, **environment: str) -> dict[str, str]:
    """The version of each package that is installed in this environment; one alone."""
    versions = {}
    for line in re.findall(r"^(\w[^\\\n]*)\\$", (ROOT / lock).read_text(), re.M):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            [pin] = requirement.specifier
            assert pin.operator == "=="
            assert versions.setdefault(requirement.name, pin.version) == pin.version
    return versions


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("python", sorted(set(PYTHONS)))
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_every_dependency_is_locked_at_a_version_that_is_allowed(lock, python, platform):
    environment = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": platform}
    locked = pins(lock, **environment)
    asked = [Requirement(line) for line in ALWAYS + [line for extra in LOCKS[lock] for line in EXTRAS[extra]]]
    missing = [
        str(requirement)
        for requirement in asked
        if applies(requirement, environment)
        and (name := canonicalize_name(requirement.name)) != "vanc311-pipeline"
        and not requirement.specifier.contains(locked.get(name, "0"))
    ]
    assert len(asked) > 25
    assert missing == []
    assert locked.items() <= pins("requirements-dev.txt", **environment).items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_file_has_its_hash_and_nothing_names_where_it_came_from(lock):
    text = (ROOT / lock).read_text()
    assert all("--hash=sha256:" in entry for entry in entries(text).values())
    assert len(entries(text)) == len(re.findall(r"^\S+==", text, re.M))
    assert "://" not in text


def test_what_is_installed_here_is_what_is_locked():
    differ = {}
    for name, pin in pins("requirements-dev.txt", **default_environment()).items():
        try:
            differ |= {name: (pin, version(name))} if version(name) != pin else {}
        except PackageNotFoundError:
            continue
    assert differ == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_file_is_closed_and_has_no_more_than_was_asked_for(lock):
    locked = pins(lock, **default_environment())
    for name in locked:
        try:
            needs = [Requirement(line) for line in importlib.metadata.requires(name) or []]
        except PackageNotFoundError:
            continue
        for requirement in needs:
            if applies(requirement, {"extra": ""}):
                assert canonicalize_name(requirement.name) in locked, f"{name} needs it"
    assert ("kubernetes" in locked) == ("k8s" in LOCKS[lock])
    assert ("pytest" in locked) == ("dev" in LOCKS[lock])


@pytest.mark.rehearsal
def test_the_lock_is_what_the_tool_makes_of_it(tmp_path):
    """Asked of the package index: apart from files that were added to a version since, the same comes out."""
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    programs = Path(sys.executable).parent
    again = ["make", "--old-file=.venv/installed-dev", f"BIN={programs}", "lock"]
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
    for lock in LOCKS:
        before, after = (entries((folder / lock).read_text()) for folder in (ROOT, tmp_path))
        assert before.keys() == after.keys()
        for name, entry in before.items():
            assert set(entry.split()) - {"\\"} <= set(after[name].split()), name
