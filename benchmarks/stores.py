"""The warehouse in SQLite and in PostgreSQL, side by side: what storing, counting, publishing and checking cost in either.

The same stages over the same landed files, each in a process of its own. PostgreSQL runs as it comes, waiting for the disk;
its server's own memory and processor time are not in the figures.
"""

import os
from pathlib import Path

from benchmarks import markdown
from benchmarks.bench import RELEASED, Line, compare, say, stage, stand_in
from benchmarks.places import command_line, workplace
from benchmarks.postgres import running_postgres

STAGES = ("store", "statistics", "publish", "check")


def run(rows: int, folder: Path) -> tuple[dict[str, list[Line]], str]:
    """The stages' lines by store, and what the comparison of the published files with the source said."""
    stage("grow", folder, rows=rows)
    lines: dict[str, list[Line]] = {}
    with stand_in(folder / "source.parquet", RELEASED, folder / "standin.log") as url, running_postgres("") as server:
        say(stage("land", folder / "stages", url))
        for store, address in (("SQLite", ""), ("PostgreSQL", server.warehouse_url(server.make("warehouse")))):
            os.environ["VANC311_DATABASE_URL"] = address
            lines[store] = [say(stage(name, folder / "stages", url)) for name in STAGES]
            comparison = compare(folder / "source.parquet", folder / "stages" / "published" / "vanc311.sqlite")
    return lines, comparison


def table(lines: dict[str, list[Line]]) -> str:
    """Seconds of each stage in either store, as a Markdown table."""
    rows = []
    for one, other in zip(lines["SQLite"], lines["PostgreSQL"], strict=True):
        seconds = (f"{one.seconds:,.1f}", f"{other.seconds:,.1f}", f"{other.seconds / one.seconds:.1f}")
        rows.append((one.what, *seconds, f"{one.peak_mb:,.0f}, {other.peak_mb:,.0f} MB"))
    return markdown.table(("what", "SQLite, s", "PostgreSQL, s", "ratio", "peak memory"), rows)


def main() -> None:
    options = command_line("stores", "SQLite and PostgreSQL, side by side.", rows=1_300_000).parse_args()
    with workplace("stores", options.keep) as folder:
        lines, comparison = run(options.rows, folder)
    print(table(lines))
    print(f"{options.rows:,} rows; {comparison}")


if __name__ == "__main__":
    main()
