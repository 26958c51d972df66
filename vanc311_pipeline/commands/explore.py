"""`make explore`: the published file in Datasette, an optional dependency, with the words that schema and metric definitions have for it.

Units stand in the descriptions of the columns, because Datasette takes only physical ones for units.
"""

import json
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from vanc311_pipeline import schema
from vanc311_pipeline.commands.http import refuse_taken_port
from vanc311_pipeline.entry import main
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.metric_definitions import FAMILIES, METRICS
from vanc311_pipeline.settings import CITY_PORTAL, LICENCE, LICENCE_PAGE, LIVE, Settings
from vanc311_pipeline.warehouse.publishing import dictionary_rows, release_row

# What people narrow a table down by, most wanted first. Counting a facet reads the whole table, so each has a few at most.
FACETS = (
    "scope", "level", "status", "local_area", "measure", "metric", "kind", "channel", "result", "dataset", "reason",
)  # fmt: skip
MOST_FACETS = 3

# Views read every request; Datasette's own limits are made for smaller files.
LIMITS = {"sql_time_limit_ms": 20_000, "facet_time_limit_ms": 5_000, "suggest_facets": "off", "default_page_size": 50}

QUESTIONS = tomllib.loads(Path(__file__).with_name("questions.toml").read_text(encoding="utf-8"))


def metadata(published: Path) -> dict[str, Any]:
    if not published.exists():
        raise SettingsError(
            f"There is nothing to explore at {published} yet. Run `make sync` first, or set VANC311_DATA_DIR."
        )
    release = release_row(published)
    sample = " THE BUNDLED SAMPLE: not the city's statistics." if release["source"] == "sample" else ""
    return {
        "title": f"Vancouver's 3-1-1 service requests{' (sample)' if sample else ''}",
        "description": f"As of {release['as_of']}.{sample} Quote a number with its n and its as_of.",
        "license": LICENCE,
        "license_url": LICENCE_PAGE,
        "source": "City of Vancouver's open data portal",
        "source_url": f"https://{CITY_PORTAL}/explore/dataset/{LIVE}/",
        "databases": {published.stem: {"tables": _tables(), "queries": dict(_queries())}},
    }


def _tables() -> dict[str, dict[str, Any]]:
    """The dictionary as Datasette takes it, with the words of its definition; of a statistic also what a larger value says."""
    families = {name: family for family in FAMILIES for name in family.tables}
    views = {view.name for view in schema.VIEWS}
    tables: dict[str, dict[str, Any]] = {}
    for row in dictionary_rows():
        table, column, meaning = str(row["table_name"]), str(row["column_name"]), row["meaning"] or ""
        if column == "*":
            family = families.get(table)
            limits = f" {family.plain} Limits: {family.limits}" if family else ""
            tables[table] = {"description": meaning + limits, "columns": {}}
        else:
            larger = f". Larger means: {METRICS[column].direction}" if column in METRICS else ""
            tables[table]["columns"][column] = f"{meaning} ({row['unit']}){larger}"
    for name, explained in tables.items():
        if name not in views:
            explained["facets"] = [column for column in FACETS if column in explained["columns"]][:MOST_FACETS]
    return tables


def _queries() -> Iterator[tuple[str, dict[str, str]]]:
    for name, (meaning, sql) in QUESTIONS.items():
        yield name, {"title": meaning, "sql": sql}
    for view in schema.VIEWS:
        columns = ", ".join(view.columns.keys())
        sql = f"WITH answer ({columns}) AS ({view.info['query']}) SELECT * FROM answer"
        title = f"{view.comment} With the SQL behind the view, to change it."
        yield f"sql_of_{view.name}", {"title": title, "sql": sql}


def command(settings: Settings, port: int) -> list[str]:
    """What starts Datasette in the published file's directory; its metadata is written on the way.

    The file is named relative to it: of a path with signs such as # or ? Datasette would open another one."""
    about = metadata(settings.published_path)
    refuse_taken_port("Datasette", "127.0.0.1", port, f"make explore EXPLORE_PORT={port + 1}")
    file = settings.data_dir / "explore.json"
    file.write_text(json.dumps(about, indent=1, ensure_ascii=False))
    limits = [part for name, value in LIMITS.items() for part in ("--setting", name, str(value))]
    opened = ["--immutable", settings.published_path.name, "--metadata", str(file)]
    return [sys.executable, "-m", "datasette", "serve", *opened, "--host", "127.0.0.1", "--port", str(port), *limits]


@click.command()
@click.option("--port", default=8313, show_default=True, type=click.IntRange(1, 65535), help="The port.")
def explore(port: int) -> None:
    """Open the published file in Datasette until Ctrl-C."""
    settings = Settings.from_environment()
    words = command(settings, port)
    os.chdir(settings.published_path.parent)
    os.execv(words[0], words)


if __name__ == "__main__":
    main(explore)
