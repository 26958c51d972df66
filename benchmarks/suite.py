"""What the tests cost: processor seconds of each test, of each file and of the whole, printed after the run.

Arguments are pytest's: `python -m benchmarks.suite` runs what `make test` runs, `python -m benchmarks.suite -n 0 FILE` one file.
"""

import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

SLOWEST = 40


def processor_seconds() -> float:
    """Of this process and of the children that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


tests: dict[str, dict[str, float]] = defaultdict(dict)
"""The processor seconds of each test by phase: with the fixtures made for it."""


def measured(phase: str) -> Callable[[pytest.Item], Iterator[None]]:
    """A hook, in each of pytest's processes, around a phase of a test."""

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def hook(item: pytest.Item) -> Iterator[None]:
        before = processor_seconds()
        yield
        item.user_properties.append((f"processor seconds {phase}", processor_seconds() - before))

    return hook


pytest_runtest_setup, pytest_runtest_call, pytest_runtest_teardown = map(measured, ("setup", "call", "teardown"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        for name, value in report.user_properties:
            if name.startswith("processor seconds "):
                tests[report.nodeid][name.rsplit(" ", 1)[-1]] = float(str(value))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in table(tests):
        terminalreporter.write_line(line)


def table(tests: dict[str, dict[str, float]]) -> Iterable[str]:
    """The files and the tests that cost most, dearest first."""
    files: dict[str, list[float]] = defaultdict(list)
    for test, phases in tests.items():
        files[test.partition("::")[0]].append(sum(phases.values()))
    yield "\nprocessor s  tests  file"
    for file, costs in sorted(files.items(), key=lambda entry: -sum(entry[1])):
        yield f"{sum(costs):11.1f}  {len(costs):5}  {file}"
    yield "\nprocessor s   made for it   itself   ended   test"
    dearest = sorted(tests.items(), key=lambda entry: -sum(entry[1].values()))
    for test, phases in dearest[:SLOWEST]:
        setup, call, teardown = (phases.get(phase, 0.0) for phase in ("setup", "call", "teardown"))
        yield f"{setup + call + teardown:11.2f}   {setup:11.2f}   {call:6.2f}   {teardown:5.2f}   {test}"
    whole = sum(cost for costs in files.values() for cost in costs)
    yield f"\nAll {len(tests):,} tests: {whole:,.1f} processor seconds"


def main() -> int:
    """Runs pytest, and says what the whole cost, with its start and its collections. Returns pytest's exit code."""
    arguments = sys.argv[1:] or ["-n", "auto"]
    began, before = time.monotonic(), processor_seconds()
    ended = subprocess.run([sys.executable, "-m", "pytest", "-p", "benchmarks.suite", *arguments], check=False)
    print(
        f"pytest {' '.join(arguments)} on {os.cpu_count()} cores: {time.monotonic() - began:,.0f} s, "
        f"{processor_seconds() - before:,.0f} processor seconds"
    )
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
