"""The benchmark: every stage, the whole, and a change of one month, side by side with what the machine can do at all.

Each measurement is a process of its own (`stages` has what a stage does). This one stays small, because a child's peak
memory begins with its parent's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import markdown
from benchmarks.places import command_line, running, workplace
from vanc311_pipeline.settings import Settings

RATIO_AIM, MEMORY_AIM_MB, CHANGE_AIM_SECONDS, STATISTICS_AIM_SECONDS = 2.0, 600, 8.0, 15.0
RELEASED, RELEASED_LATER = "2026-09-28T14:06:58Z", "2026-09-29T14:06:58Z"
CHANGES = 600_000  # a log of some years
STAGE_NAMES = ("land", "floor", "floor_key_first", "clean", "store", "statistics", "publish")


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    rows: int
    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None


def measure(what: str, command: Sequence[str], log: Path, environment: Mapping[str, str] = {}) -> Line:
    """Run a command to its end: its seconds on the wall and on the processors, and its peak memory; what it prints is in the log."""
    with log.open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=os.environ | environment, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-2_000:]}")
    return Line(what, 0, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1_024)


def stage(name: str, folder: Path, url: str = "", rows: int = 0, first_month: str = "2022-01") -> Line:
    """Run one stage in a process of its own; its seconds are those after the imports."""
    arguments = ["--dir", str(folder), "--url", url, "--rows", str(rows), "--first-month", first_month]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    line = measure(name, [sys.executable, "-m", "benchmarks.stages", name, *arguments], log)
    return replace(line, **json.loads(log.read_text().splitlines()[-1]))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "vanc311_pipeline", *words]


@contextmanager
def stand_in(data: Path, released_at: str, log: Path, *options: str) -> Iterator[str]:
    """The stand-in in a process of its own; its address, which is in its opening line."""

    def address() -> str:
        match = re.search(r"http://[\w.:]+\d", log.read_text())
        return match.group() if match else ""

    words = command("standin", "--port", "0", "--data", str(data), "--released-at", released_at, *options)
    with running(words, log, address, {"PYTHONUNBUFFERED": "1"}) as (_, url):
        yield url


def sync(what: str, folder: Path, url: str, rows: int, *options: str) -> Line:
    """`vanc311 sync` from its start to its exit."""
    settings = Settings(portal_url=url, data_dir=folder / "data", dagster_home=folder / "dagster")
    environment = settings.to_environment() | {"NO_PROGRESS": "1"}
    log = folder / f"{what.replace(' ', '-')}.log"
    return replace(measure(what, command("sync", *options), log, environment), rows=rows)


def compare(source: Path, published: Path) -> str:
    """Every row and field of the source against the published file; ends the benchmark on a difference."""
    words = [sys.executable, "-m", "benchmarks.compare", str(source), str(published)]
    measure("compare", words, log := source.with_name("compare.log"))
    return log.read_text().strip()


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
    place = [line.what for line in lines].index("store")
    return [*lines[:place], replace(store, what="store, cleaning included"), alone, *lines[place + 1 :]]


def verdict(lines: Sequence[Line]) -> list[str]:
    """The aims, and where the time goes."""
    by_name = {line.what: line for line in lines}
    floors = [line for line in lines if line.what == "floor"]
    floor, whole = sum(line.seconds for line in floors) / len(floors), by_name["whole sync"]
    cpu_floor = sum(line.cpu_seconds or 0.0 for line in floors) / len(floors)
    key_first = by_name["floor_key_first"]
    reached, peak = by_name["one-month change, run to file"].seconds, whole.peak_mb or 0.0
    parts = {name: by_name[name].seconds for name in ("land", "store", "statistics", "publish")}
    parts["checks, Dagster and start"] = whole.seconds - sum(parts.values())
    shares = sorted(parts.items(), key=lambda part: -part[1])
    statistics = by_name["statistics"]
    return [
        f"statistics: {statistics.seconds:.1f} s (aim: below {STATISTICS_AIM_SECONDS:g} s), "
        f"{statistics.peak_mb or 0.0:,.0f} MB (aim: below {MEMORY_AIM_MB} MB)",
        f"whole / floor: {whole.seconds / floor:.1f} (aim: at most {RATIO_AIM:g}; floor: mean of {len(floors)} runs); "
        f"by processor time {(whole.cpu_seconds or 0.0) / cpu_floor:.1f}; of a floor with the key in place first "
        f"{whole.seconds / key_first.seconds:.1f} and {(whole.cpu_seconds or 0.0) / (key_first.cpu_seconds or 1.0):.1f}",
        f"peak memory of the whole: {peak:,.0f} MB (aim: below {MEMORY_AIM_MB} MB)",
        f"one-month change, start of the run to the published file: {reached:.1f} s (aim: below {CHANGE_AIM_SECONDS:g} s)",
        "what dominates: " + ", ".join(f"{name} {seconds / whole.seconds:.0%}" for name, seconds in shares),
    ]


def main() -> None:
    options = command_line("bench", "Measure every stage and the whole.", rows=1_300_000).parse_args()
    with workplace("bench", options.keep) as folder:
        lines, comparisons = run(options.rows, folder)
    print(table(with_store_alone(lines)))
    print("", *comparisons, *verdict(lines), sep="\n")


if __name__ == "__main__":
    main()
