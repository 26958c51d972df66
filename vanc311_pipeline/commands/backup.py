"""`vanc311 backup` and `vanc311 restore`: the log, which can't be fetched again, to a file and back."""

import shlex
from pathlib import Path

from rich.console import Console

from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.backup import restore_backup, write_backup
from vanc311_pipeline.warehouse.engine import Warehouse


def run_backup(settings: Settings, console: Console, file: Path) -> None:
    header = write_backup(Warehouse(settings), file)
    console.print(
        f"Backed up to {file} ({file.stat().st_size:,} bytes, source {header.source}): {_counted(header.rows)}.\n"
        f"Keep it on another disk. Everything else can be fetched again; `vanc311 restore {shlex.quote(str(file))}` brings this back.",
        markup=False,
    )


def run_restore(settings: Settings, console: Console, file: Path) -> None:
    added = restore_backup(Warehouse(settings), file)
    if not any(added.values()):
        console.print(f"The log here holds all of {file} already. Nothing was changed.", markup=False)
        return
    advice = (
        "The published file shows it from the next publication on; `vanc311 sync --months` of any month publishes now."
        if settings.published_path.exists()
        else "Now run `vanc311 sync`. It loads every month as it is today; what moved since the backup was made is not in the log."
    )
    console.print(f"Restored from {file}: {_counted(added)}.\n{advice}", markup=False)


def _counted(rows: dict[str, int]) -> str:
    return ", ".join(f"{number:,} in {name}" for name, number in rows.items())
