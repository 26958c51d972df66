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
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from benchmarks import markdown
from benchmarks.places import command_line, running, workplace
from vanc311_pipeline.settings import LIVE, Settings

RATIO_AIM, MEMORY_AIM_MB, CHANGE_AIM_SECONDS, STATISTICS_AIM_SECONDS = 2.0, 600, 8.0, 15.0
RELEASED, RELEASED_LATER = "2026-09-28T14:06:58Z", "2026-09-29T14:06:58Z"
CHANGES = 600_000  # a log of some years
SHORT = ["--fault", f"short:dataset={LIVE},times=forever"]
OTHERS = str(Path(__file__).with_name("others.py"))
TOOLS = {
    "pandas": [sys.executable],
    "dlt": [str(Path(sys.executable).with_name("uv")), "run", "--quiet", "--no-project", "--python", sys.executable,
            "--with", "dlt[sqlalchemy]==1.31.0", "--with", "requests", "python"],
}  # fmt: skip
KEEPS_COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""As where the program is installed: Python compiles its modules once, not in each process, which is 3 s of processor."""
STAGE_NAMES = ("land", "floor", "floor_key_first", "clean", "store", "statistics", "publish")


class Line(NamedTuple):
    """One line of the table."""

    what: str
    rows: int
    seconds: float
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


def measure(what: str, command: Sequence[str], log: Path, environment: Mapping[str, str] = {}) -> Line:
    """Run a command to its end: its seconds on the wall and on the processors, and its peak memory; what it prints is in the log."""
    with log.open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **KEEPS_COMPILED, **environment}, stdout=output)
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
    return told(name, [sys.executable, "-m", "benchmarks.stages", name, *arguments], folder / f"{name}.log")


def told(what: str, command: Sequence[str], log: Path) -> Line:
    """Run a command whose last line says in JSON how many rows it handled, and its seconds."""
    line = measure(what, command, log)
    return line._replace(**json.loads(log.read_text().splitlines()[-1]))


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
    return measure(what, command("sync", *options), log, environment)._replace(rows=rows)


def compare(source: Path, published: Path) -> str:
    """Every row and field of the source against the published file; ends the benchmark on a difference."""
    words = [sys.executable, "-m", "benchmarks.compare", str(source), str(published)]
    measure("compare", words, log := source.with_name("compare.log"))
    return log.read_text().strip()


def published_in(folder: Path) -> Path:
    return Settings(data_dir=folder / "data").published_path


def run(rows: int, folder: Path) -> tuple[list[Line], list[str]]:
    """All measurements, in the order in which the pipeline works, and what the comparisons found."""
    source, edited = folder / "source.parquet", folder / "edited.parquet"
    published = published_in(folder)
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
    lines += [say(changed), Line("one-month change, run to file", 0, reached)]
    comparisons.append(compare(edited, published))
    stage("log", folder / "data", rows=CHANGES)
    logged = stage("publish", folder / "data")
    lines.append(say(logged._replace(what=f"publish, with {CHANGES:,} changes logged")))
    return lines, comparisons


def others(rows: int, folder: Path) -> tuple[list[Line], list[str]]:
    """Other tools land the same portal in SQLite; then all do while each export ends early, as if it were whole."""
    source, log, home = folder / "source.parquet", folder / "standin.log", folder / "short"
    # dlt is fetched, if a package index can be reached.
    tools = {tool: how for tool, how in TOOLS.items() if not subprocess.run([*how, "-c", f"import {tool}"]).returncode}

    def landed(what: str, url: str) -> list[Line]:
        for tool in tools:
            (folder / f"{tool}.sqlite").unlink(missing_ok=True)
        commands = {tool: [*how, OTHERS, tool, url, str(folder / f"{tool}.sqlite")] for tool, how in tools.items()}
        return [say(told(f"{tool} {what}", words, folder / f"{tool}.log")) for tool, words in commands.items()]

    with stand_in(source, RELEASED, log) as url:
        whole = landed("lands", url)
    with stand_in(source, RELEASED, log, *SHORT) as url:
        short = landed("lands short exports", url)
        settings = Settings(portal_url=url, data_dir=home / "data", dagster_home=home / "dagster").to_environment()
        ended = subprocess.run(command("sync"), env=os.environ | settings, capture_output=True, text=True, check=False)
    published = "something" if published_in(home).exists() else "nothing"
    words = [
        f"{tool}: {one.rows:,} of {rows:,} rows; of short exports {other.rows:,}, and ends well"
        for tool, one, other in zip(tools, whole, short, strict=True)
    ]
    words.append(f"vanc311: {published} of short exports; exit code {ended.returncode}: {ended.stderr.strip()[:200]}")
    return [*whole, *short], words


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
    place = [line.what for line in lines].index("store")
    store, [clean] = lines[place], [line for line in lines if line.what == "clean"]
    alone = Line("store, without its cleaning", store.rows, max(store.seconds - clean.seconds, 0.001))
    return [*lines[:place], store._replace(what="store, cleaning included"), alone, *lines[place + 1 :]]


def verdict(lines: Sequence[Line]) -> list[str]:
    """The aims, and where the time goes."""
    by_name = {line.what: line for line in lines}
    floors = [line for line in lines if line.what == "floor"]
    floor, cpu_floor = fmean(line.seconds for line in floors), fmean(line.cpu_seconds for line in floors)
    whole, key_first, statistics = (by_name[name] for name in ("whole sync", "floor_key_first", "statistics"))
    parts = {name: by_name[name].seconds for name in ("land", "store", "statistics", "publish")}
    parts["checks, Dagster and start"] = whole.seconds - sum(parts.values())
    shares = sorted(parts.items(), key=lambda part: -part[1])
    return [
        f"statistics: {statistics.seconds:.1f} s (aim: below {STATISTICS_AIM_SECONDS:g} s), "
        f"{statistics.peak_mb:,.0f} MB (aim: below {MEMORY_AIM_MB} MB)",
        f"whole / floor: {whole.seconds / floor:.1f} (aim: at most {RATIO_AIM:g}; floor: mean of {len(floors)} runs); "
        f"by processor time {whole.cpu_seconds / cpu_floor:.1f}; of a floor with the key in place first "
        f"{whole.seconds / key_first.seconds:.1f} and {whole.cpu_seconds / key_first.cpu_seconds:.1f}",
        f"peak memory of the whole: {whole.peak_mb:,.0f} MB (aim: below {MEMORY_AIM_MB} MB)",
        "one-month change, start of the run to the published file: "
        f"{by_name['one-month change, run to file'].seconds:.1f} s (aim: below {CHANGE_AIM_SECONDS:g} s)",
        "what dominates: " + ", ".join(f"{name} {seconds / whole.seconds:.0%}" for name, seconds in shares),
    ]


def main() -> None:
    options = command_line("bench", "Measure every stage and the whole.", rows=1_300_000).parse_args()
    with workplace("bench", options.keep) as folder:
        lines, comparisons = run(options.rows, folder)
        other_lines, words = others(options.rows, folder)
        served = [sys.executable, "-m", "benchmarks.load", "--published", str(published_in(folder)), "--seconds", "4"]
        beside = subprocess.run(served, stdout=subprocess.PIPE, text=True, check=False).stdout
    print(table([*with_store_alone(lines), *other_lines]))
    print("", *comparisons, *verdict(lines), *words, "", beside, sep="\n")


if __name__ == "__main__":
    main()
