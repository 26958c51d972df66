"""Growth: what a quiet slot and a change of one month cost in a small, a large and the largest database.

The months have equal sizes in each; the largest holds the archive, too. How a measurement is made is in `bench`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from benchmarks import markdown
from benchmarks.bench import RELEASED, RELEASED_LATER, Line, stage, stand_in, sync
from benchmarks.places import command_line, workplace

ARCHIVE_ROWS = 2_083_091
MONTH_STEPS = ("raw_service_requests", "service_requests", "check_raw_service_requests", "check_service_requests",
               "check_months_equal_portal")  # fmt: skip
"""The steps that work on the changed month; the others sum up or copy the whole database."""


@dataclass(frozen=True)
class Size:
    """A database to measure."""

    name: str
    rows: int
    first_month: str
    archive_rows: int = 0


SIZES = (
    Size("0.3 million", 300_000, "2025-09"),
    Size("1.3 million", 1_300_000, "2022-01"),
    Size("3.4 million", 1_300_000, "2022-01", ARCHIVE_ROWS),
)


@dataclass(frozen=True)
class Result:
    """What one size cost."""

    size: Size
    load: Line
    file_mb: float
    quiet: Line
    quiet_requests: int
    change: Line
    change_requests: int
    steps: dict[str, float]

    @property
    def month_seconds(self) -> float:
        return sum(seconds for name, seconds in self.steps.items() if name in MONTH_STEPS)

    @property
    def whole_seconds(self) -> float:
        return sum(self.steps.values()) - self.month_seconds


def run(size: Size, folder: Path) -> Result:
    """Load a database of one size, then sync it without a change and with one."""
    stage("grow", folder, rows=size.rows, first_month=size.first_month)
    archive: tuple[str, ...] = ()
    if size.archive_rows:
        stage("grow_archive", folder, rows=size.archive_rows)
        archive = ("--archive", str(folder / "archive.parquet"))
    log, quiet_log, change_log = folder / "standin.log", folder / "quiet.jsonl", folder / "change.jsonl"
    with stand_in(folder / "source.parquet", RELEASED, log, *archive) as url:
        load = sync("load", folder, url, size.rows + size.archive_rows, *archive[:1])
    with stand_in(folder / "source.parquet", RELEASED, log, *archive, "--log", str(quiet_log)) as url:
        quiet = sync("quiet", folder, url, 0)
    with stand_in(folder / "edited.parquet", RELEASED_LATER, log, *archive, "--log", str(change_log)) as url:
        change = sync("change", folder, url, 0)
    return Result(
        size=size,
        load=load,
        file_mb=(folder / "data" / "published" / "vanc311.sqlite").stat().st_size / 1e6,
        quiet=quiet,
        quiet_requests=requests_in(quiet_log),
        change=change,
        change_requests=requests_in(change_log),
        steps=step_seconds(folder / "dagster"),
    )


def requests_in(log: Path) -> int:
    return sum("path" in json.loads(line) for line in log.read_text().splitlines())


def step_seconds(home: Path) -> dict[str, float]:
    """The seconds of each step of the newest run."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        [run] = instance.get_runs(limit=1)
        stats = instance.get_run_step_stats(run.run_id)
    return {step.step_key: step.end_time - step.start_time for step in stats if step.end_time and step.start_time}


def table(results: Sequence[Result]) -> str:
    """The sizes side by side, as a Markdown table."""
    lines = {
        "rows": [f"{each.size.rows + each.size.archive_rows:,}" for each in results],
        "whole load, s": [f"{each.load.seconds:,.0f}" for each in results],
        "peak memory of the load, MB": [f"{each.load.peak_mb or 0.0:,.0f}" for each in results],
        "published file, MB": [f"{each.file_mb:,.0f}" for each in results],
        "**quiet slot**: requests": [f"{each.quiet_requests}" for each in results],
        "**quiet slot**: s, start of the program included": [f"{each.quiet.seconds:.1f}" for each in results],
        "**one month changed**: requests": [f"{each.change_requests}" for each in results],
        "**one month changed**: s, start of the program included": [f"{each.change.seconds:.1f}" for each in results],
        "- landing, storing, checking the month, s": [f"{each.month_seconds:.1f}" for each in results],
        "- summing up, publishing, checking the file, s": [f"{each.whole_seconds:.1f}" for each in results],
    }
    head = ("", *(each.size.name for each in results))
    return markdown.table(head, ((what, *cells) for what, cells in lines.items()))


def main() -> None:
    options = command_line("growth", "Measure the cost of growth.").parse_args()
    results = []
    with workplace("growth", options.keep) as folder:
        for number, size in enumerate(SIZES):
            results.append(run(size, folder / str(number)))
            print(table(results[-1:]), flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
