"""What the tests cost: processor seconds of each test, of each file and of the whole, printed after the run.

Arguments are pytest's: `python -m benchmarks.suite` runs what `make test` runs, `python -m benchmarks.suite -n 0 FILE` one file.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pandas as pd
import pytest

SLOWEST, PHASES, UNIT = 40, ("setup", "call", "teardown"), "processor seconds"


def processor_seconds() -> float:
    """Of this process and of the children that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measured(phase: str) -> Callable[[pytest.Item], Iterator[None]]:
    """A hook, in each of pytest's processes, around a phase of a test."""

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def hook(item: pytest.Item) -> Iterator[None]:
        before = processor_seconds()
        yield
        item.user_properties.append((f"{UNIT} {phase}", processor_seconds() - before))

    return hook


pytest_runtest_setup, pytest_runtest_call, pytest_runtest_teardown = map(measured, PHASES)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The files and the tests that cost most, dearest first; a test with the fixtures that were made for it."""
    tests = {}
    for report in chain(*terminalreporter.stats.values()):
        if getattr(report, "when", "") == "teardown":
            told = dict(report.user_properties)
            tests[report.nodeid] = {phase: told.get(f"{UNIT} {phase}", 0.0) for phase in PHASES}
    costs = pd.DataFrame(tests, index=PHASES).T
    whole = costs.sum(axis=1)
    files = whole.groupby(whole.index.str.partition("::").get_level_values(0)).agg(["sum", "size"])
    lines = ["\nprocessor s  tests  file"]
    lines += [f"{cost:11.1f}  {number:5}  {file}" for file, cost, number in files.sort_values("sum")[::-1].itertuples()]
    lines.append("\nprocessor s   made for it   itself   ended   test")
    for test, setup, call, teardown in costs.loc[whole.nlargest(SLOWEST).index].itertuples():
        lines.append(f"{setup + call + teardown:11.2f}   {setup:11.2f}   {call:6.2f}   {teardown:5.2f}   {test}")
    terminalreporter.write_line(
        "\n".join([*lines, f"\nAll {len(costs):,} tests: {whole.sum():,.1f} processor seconds"])
    )


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
