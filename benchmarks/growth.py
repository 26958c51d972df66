"""Growth: what a quiet slot and a change of one month cost in a small, a large and the largest database.

The months have equal sizes in each; the largest holds the archive, too. How a measurement is made is in `bench`.
"""

import json
from pathlib import Path

import dagster as dg

from benchmarks import markdown
from benchmarks.bench import RELEASED, RELEASED_LATER, published_in, stage, stand_in, sync
from benchmarks.places import command_line, workplace

MONTH_STEPS = ("raw_service_requests", "service_requests", "check_raw_service_requests", "check_service_requests",
               "check_months_equal_portal")  # fmt: skip
"""The steps that work on the changed month; the others sum up or copy the whole database."""


SIZES = {
    "0.3 million": (300_000, "2025-09", 0),
    "1.3 million": (1_300_000, "2022-01", 0),
    "3.4 million": (1_300_000, "2022-01", 2_083_091),
}
"""Of each database the rows, from which month on, and the archive's."""


def run(rows: int, first_month: str, archive_rows: int, folder: Path) -> dict[str, str]:
    """What one size cost, by the words of the table: load it, then sync it without a change and with one."""
    stage("grow", folder, rows=rows, first_month=first_month)
    archive: tuple[str, ...] = ()
    if archive_rows:
        stage("grow_archive", folder, rows=archive_rows)
        archive = ("--archive", str(folder / "archive.parquet"))
    log, quiet_log, change_log = folder / "standin.log", folder / "quiet.jsonl", folder / "change.jsonl"
    with stand_in(folder / "source.parquet", RELEASED, log, *archive) as url:
        load = sync("load", folder, url, rows + archive_rows, *archive[:1])
    with stand_in(folder / "source.parquet", RELEASED, log, *archive, "--log", str(quiet_log)) as url:
        quiet = sync("quiet", folder, url, 0)
    with stand_in(folder / "edited.parquet", RELEASED_LATER, log, *archive, "--log", str(change_log)) as url:
        change = sync("change", folder, url, 0)
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        [newest] = instance.get_runs(limit=1)
        steps = instance.get_run_step_stats(newest.run_id)
    of_month, of_whole = by_growth({step.step_key: (step.end_time or 0) - (step.start_time or 0) for step in steps})
    return {
        "rows": f"{load.rows:,}",
        "whole load, s": f"{load.seconds:,.0f}",
        "peak memory of the load, MB": f"{load.peak_mb:,.0f}",
        "published file, MB": f"{published_in(folder).stat().st_size / 1e6:,.0f}",
        "**quiet slot**: requests": f"{requests_in(quiet_log)}",
        "**quiet slot**: s, start of the program included": f"{quiet.seconds:.1f}",
        "**one month changed**: requests": f"{requests_in(change_log)}",
        "**one month changed**: s, start of the program included": f"{change.seconds:.1f}",
        "- landing, storing, checking the month, s": f"{of_month:.1f}",
        "- summing up, publishing, checking the file, s": f"{of_whole:.1f}",
    }


def by_growth(steps: dict[str, float]) -> tuple[float, float]:
    """The seconds of the steps that grow with the month, and of those that grow with the whole database."""
    of_month = sum(seconds for name, seconds in steps.items() if name in MONTH_STEPS)
    return of_month, sum(steps.values()) - of_month


def requests_in(log: Path) -> int:
    return sum("path" in json.loads(line) for line in log.read_text().splitlines())


def main() -> None:
    options = command_line("growth", "Measure the cost of growth.").parse_args()
    results: dict[str, dict[str, str]] = {}
    with workplace("growth", options.keep) as folder:
        for number, (name, size) in enumerate(SIZES.items()):
            results[name] = run(*size, folder / str(number))
            rows = [(what, *(each[what] for each in results.values())) for what in results[name]]
            print(markdown.table(("", *results), rows), flush=True)


if __name__ == "__main__":
    main()
