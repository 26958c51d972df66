"""The benchmark: every stage, the whole, and a change of one month, side by side with what the machine can do at all.

What belongs here: starting each measurement in a process of its own, reading its time and its peak memory, and the
printed table. What does not: what a stage does (`stages`). This process stays small, because a child's peak memory
begins with its parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import markdown
from benchmarks.places import workplace
from vanc311_pipeline.settings import Settings

RATIO_AIM, MEMORY_AIM_MB, CHANGE_AIM_SECONDS, STATISTICS_AIM_SECONDS = 3.0, 700, 10.0, 15.0
RELEASED, RELEASED_LATER = "2026-09-28T14:06:58Z", "2026-09-29T14:06:58Z"
CHANGES = 600_000  # a log of some years
STAGE_NAMES = ("land", "floor", "clean", "store", "statistics", "publish")


@dataclass(frozen=True)
class Measured:
    """What a process took."""

    output: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    rows: int
    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None


def measure(command: Sequence[str], environment: dict[str, str] | None = None, log: Path | None = None) -> Measured:
    """Run a command to its end; its output, its seconds on the wall and on the processors, and its peak memory."""
    with tempfile.TemporaryFile("w+") if log is None else log.open("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=os.environ | (environment or {}), stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{printed[-2_000:]}")
    return Measured(printed, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1_024)


def stage(name: str, folder: Path, url: str = "", rows: int = 0, first_month: str = "2022-01") -> Line:
    """Run one stage in a process of its own; its seconds are those after the imports."""
    arguments = ["--dir", str(folder), "--url", url, "--rows", str(rows), "--first-month", first_month]
    measured = measure([sys.executable, "-m", "benchmarks.stages", name, *arguments])
    result = json.loads(measured.output.splitlines()[-1])
    return Line(name, result["rows"], result["seconds"], measured.cpu_seconds, measured.peak_mb)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "vanc311_pipeline", *words]


@contextmanager
def stand_in(data: Path, released_at: str, log: Path, *options: str) -> Iterator[str]:
    """The stand-in in a process of its own; its address."""
    words = command("standin", "--port", "0", "--data", str(data), "--released-at", released_at, *options)
    with log.open("w+") as output:
        process = subprocess.Popen(words, stdout=output, env=os.environ | {"PYTHONUNBUFFERED": "1"})
        try:
            yield wait_for_address(process, log)
        finally:
            process.terminate()
            process.wait(30)


def wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address in the stand-in's opening line."""
    for _ in range(600):
        if found := re.search(r"http://[\w.:]+\d", log.read_text()):
            return found.group()
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"The stand-in did not start:\n{log.read_text()}")


def sync(what: str, folder: Path, url: str, rows: int, *options: str) -> Line:
    """`vanc311 sync` from its start to its exit."""
    settings = Settings(portal_url=url, data_dir=folder / "data", dagster_home=folder / "dagster")
    environment = settings.to_environment() | {"NO_PROGRESS": "1"}
    measured = measure(command("sync", *options), environment, folder / f"{what.replace(' ', '-')}.log")
    return Line(what, rows, measured.seconds, measured.cpu_seconds, measured.peak_mb)


def compare(source: Path, published: Path) -> str:
    """Every row and field of the source against the published file; ends the benchmark on a difference."""
    words = [sys.executable, "-m", "benchmarks.compare", "--source", str(source), "--published", str(published)]
    return measure(words).output.strip()


def run(rows: int, folder: Path) -> tuple[list[Line], list[str]]:
    """All measurements, in the order in which the pipeline works, and what the comparisons found."""
    source, edited = folder / "source.parquet", folder / "edited.parquet"
    published = folder / "data" / "published" / "vanc311.sqlite"
    for old in ("data", "dagster", "stages"):
        shutil.rmtree(folder / old, ignore_errors=True)
    stage("grow", folder, rows=rows)
    with stand_in(source, RELEASED, folder / "standin.log") as url:
        lines = [say(stage(name, folder / "stages", url)) for name in STAGE_NAMES]
        lines.append(say(sync("whole sync", folder, url, rows)))
        lines.append(say(sync("quiet sync", folder, url, 0)))
    lines.append(say(stage("floor", folder / "stages")))
    comparisons = [compare(source, published)]
    with stand_in(edited, RELEASED_LATER, folder / "standin.log") as url:
        changed = sync("one-month change", folder, url, 0)
    reached = stage("to_published", folder).rows / 1_000
    lines += [say(changed), Line("one-month change, run to file", 0, reached, None, None)]
    comparisons.append(compare(edited, published))
    stage("log", folder / "data", rows=CHANGES)
    logged = stage("publish", folder / "data")
    lines.append(say(replace(logged, what=f"publish, with {CHANGES:,} changes logged")))
    return lines, comparisons


def say(line: Line) -> Line:
    print(f"  {line.what}: {line.seconds:.1f} s", file=sys.stderr, flush=True)
    return line


def table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table."""
    rows = []
    for line in lines:
        rate = f"{line.rows / line.seconds:,.0f}" if line.rows else ""
        peak = f"{line.peak_mb:,.0f} MB" if line.peak_mb else ""
        cpu = f"{line.cpu_seconds:,.1f}" if line.cpu_seconds else ""
        rows.append((line.what, f"{line.seconds:,.1f}", cpu, rate, peak))
    return markdown.table(("what", "seconds", "processor seconds", "rows/s", "peak memory"), rows)


def with_store_alone(lines: Sequence[Line]) -> list[Line]:
    """The same lines, with one for storing without the cleaning that it includes."""
    by_name = {line.what: line for line in lines}
    store, clean = by_name["store"], by_name["clean"]
    alone = Line("store, without its cleaning", store.rows, max(store.seconds - clean.seconds, 0.001), None, None)
    renamed = [replace(each, what="store, cleaning included") if each is store else each for each in lines]
    place = renamed.index(next(each for each in renamed if each.what.startswith("store"))) + 1
    return [*renamed[:place], alone, *renamed[place:]]


def verdict(lines: Sequence[Line]) -> list[str]:
    """The aims, and where the time goes."""
    by_name = {line.what: line for line in lines}
    floors = [line for line in lines if line.what == "floor"]
    floor, whole = sum(line.seconds for line in floors) / len(floors), by_name["whole sync"]
    cpu_floor = sum(line.cpu_seconds or 0.0 for line in floors) / len(floors)
    reached, peak = by_name["one-month change, run to file"].seconds, whole.peak_mb or 0.0
    parts = {name: by_name[name].seconds for name in ("land", "store", "statistics", "publish")}
    parts["checks, Dagster and start"] = whole.seconds - sum(parts.values())
    shares = sorted(parts.items(), key=lambda part: -part[1])
    statistics = by_name["statistics"]
    return [
        f"statistics: {statistics.seconds:.1f} s (aim: below {STATISTICS_AIM_SECONDS:g} s), "
        f"{statistics.peak_mb or 0.0:,.0f} MB (aim: below {MEMORY_AIM_MB} MB)",
        f"whole / floor: {whole.seconds / floor:.1f} (aim: at most {RATIO_AIM:g}; floor: mean of {len(floors)} runs); "
        f"by processor time {(whole.cpu_seconds or 0.0) / cpu_floor:.1f}",
        f"peak memory of the whole: {peak:,.0f} MB (aim: below {MEMORY_AIM_MB} MB)",
        f"one-month change, start of the run to the published file: {reached:.1f} s (aim: below {CHANGE_AIM_SECONDS:g} s)",
        "what dominates: " + ", ".join(f"{name} {seconds / whole.seconds:.0%}" for name, seconds in shares),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench", description="Measure every stage and the whole."
    )
    parser.add_argument("--rows", type=int, default=1_300_000)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave everything for a look")
    options = parser.parse_args(arguments)
    with workplace("bench", options.keep) as folder:
        lines, comparisons = run(options.rows, folder)
    print(table(with_store_alone(lines)))
    print()
    for line in (*comparisons, *verdict(lines)):
        print(line)


if __name__ == "__main__":
    main()
