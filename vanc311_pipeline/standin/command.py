"""The command `vanc311 standin`: the stand-in for people."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click
import pyarrow as pa

from vanc311_pipeline.entry import lasting
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.faults import KINDS, Fault, fault_from_text
from vanc311_pipeline.standin.releases import LIVE
from vanc311_pipeline.standin.server import RELEASED_AT, RequestRecord, StandIn

LICENCE = "Contains information licensed under the Open Government Licence – Vancouver."


class _Usage(click.ClickException):
    exit_code = 2


def _catalogue() -> Iterator[str]:
    for name, kind in KINDS.items():
        details = [f"on={kind.on}", f"times={'forever' if kind.lasting else 1}", *kind.details]
        yield f"{name}: {kind.sentence}\n    answers; {', '.join(details)}"
    for name, edit in EDITS.items():
        keywords = ", ".join(f"{key}={value!r}" for key, value in (edit.function.__kwdefaults__ or {}).items())
        yield f"{name}: {edit.sentence}\n    rows; {keywords or '-'}"


def _serve(portal: StandIn) -> None:
    portal.start()
    threading.Event().wait()


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("standin")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8312, show_default=True, type=click.IntRange(0, 65535))
@click.option("--data", type=_FILE, help="Live rows as Parquet.")
@click.option("--archive", type=_FILE, help="Rows of 2009 to 2021 as Parquet.")
@click.option("--released-at", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]), help="data_processed of the live rows.")
@click.option("--log", type=click.File("a", lazy=False), help="Write each request as a line of JSON.")
@click.option("--fault", "faults", multiple=True, metavar="KIND[:key=value,...]", help="May be repeated.")
@click.option("--list-faults", is_flag=True, help="Say what can go wrong.")
def standin_command(
    host: str,
    port: int,
    data: Path | None,
    archive: Path | None,
    released_at: datetime | None,
    log: TextIO | None,
    faults: tuple[str, ...],
    list_faults: bool,
) -> None:
    """Serve a local stand-in for opendata.vancouver.ca."""
    if list_faults:
        return click.echo("\n".join(_catalogue()))

    def write(record: RequestRecord) -> None:
        if log:
            print(json.dumps({"path": record.path, "faults": record.faults}), file=log, flush=True)

    at = released_at.replace(tzinfo=UTC) if released_at else RELEASED_AT
    try:
        portal = StandIn(data, archive, at, host, port, on_request=write)
    except OSError as error:
        raise _Usage(f"Can't listen on {host}:{port}: {error.strerror}. Choose another --port or --host.") from error
    except (ValueError, pa.ArrowException) as error:
        raise _Usage(f"The data can't be read: {error} Give Parquet files in the portal's own layout.") from error
    try:
        for fault in map(fault_from_text, faults):
            if isinstance(fault, Fault):
                portal.play(fault)
            else:
                portal.publish(fault(portal.frame), portal.released_at)
        click.echo(
            f"Stand-in for opendata.vancouver.ca on {portal.url}: {portal.datasets[LIVE].table.num_rows:,} rows of {LIVE} "
            f"({data.name if data else 'bundled real sample'}), 22 areas; Ctrl-C stops it."
        )
        click.echo(LICENCE)
        with lasting():
            _serve(portal)
        click.echo("Stopped.")
    except (ValueError, TypeError, KeyError) as error:
        raise _Usage(f"This can't be played: {error} See --list-faults.") from error
    finally:
        portal.stop()
