"""Claims about .github/workflows/ci.yml: what it may do, what it runs, and that nobody can change what it uses."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CI = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
STEPS = [step for job in CI["jobs"].values() for step in job["steps"]]
TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.M))


def test_it_may_read_and_keeps_no_credentials():
    assert CI["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in CI["jobs"].values())
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(CI["jobs"])
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_action_is_pinned_by_its_commit():
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", name) for name in used)


def test_what_is_installed_is_kept_by_the_lock():
    pythons = [step["with"] for step in STEPS if step.get("uses", "").startswith("actions/setup-python@")]
    assert pythons
    assert all((one["cache"], one["cache-dependency-path"]) == ("pip", "requirements-dev.txt") for one in pythons)


@pytest.mark.parametrize("name", sorted(CI["jobs"]))
def test_every_job_has_a_limit_and_runs_what_there_is(name):
    job = CI["jobs"][name]
    assert job["timeout-minutes"] <= 350
    asked = " ".join(step.get("run", "") for step in job["steps"])
    targets = set(re.findall(r"\bmake ([a-z-]+)", asked))
    if "make ${{ matrix.full }}" in asked:
        targets |= set(job["strategy"]["matrix"]["full"])
    assert targets
    assert targets <= TARGETS


def test_every_supported_python_is_tested():
    assert CI["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
