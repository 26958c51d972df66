"""The command `vanc311 standin`: the stand-in for people.

Belongs here: options, the opening lines, and clear sentences when something can't be had. Does not belong here:
anything that a test would want without a terminal.
"""

from __future__ import annotations

import json
import signal
import threading
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TextIO

import click
import pyarrow as pa

from vanc311_pipeline.portal.standin.catalogue import CATALOGUE, RowChange, fault_from_text
from vanc311_pipeline.portal.standin.faults import Fault
from vanc311_pipeline.portal.standin.options import Options, options_from_text
from vanc311_pipeline.portal.standin.portal import RequestRecord
from vanc311_pipeline.portal.standin.server import StandIn
from vanc311_pipeline.portal.standin.tables import ARCHIVE, AREAS, LIVE

LICENCE = "Contains information licensed under the Open Government Licence – Vancouver."


class _Usage(click.ClickException):
    """One sentence on stderr, exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        click.echo(self.format_message(), err=True)


class _Moment(click.ParamType[datetime]):
    name = "ISO time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-01-07T14:06:58Z.", param, ctx)


def _list_faults(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    for name, entry in CATALOGUE.items():
        click.echo(f"{name}: {entry.sentence}\n    {'rows' if entry.is_edit else 'answers'}; {entry.details or '-'}")
    context.exit()


def _serve(portal: StandIn) -> None:
    """Until Ctrl-C, or until the process is told to end."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    portal.start()
    threading.Event().wait()


@click.command("standin")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8312, show_default=True, type=click.IntRange(0, 65535))
@click.option("--data", type=click.Path(path_type=Path), help="Live rows: Parquet or CSV (default: bundled sample).")
@click.option("--archive", type=click.Path(path_type=Path), help="Rows of 2009-2021 (default: none).")
@click.option("--areas", type=click.Path(path_type=Path), help="Local areas as GeoJSON (default: bundled).")
@click.option("--released-at", type=_Moment(), help="data_processed of the live dataset.")
@click.option("--clock", type=_Moment(), help="Stop the portal's clock at this moment.")
@click.option("--fault", "faults", multiple=True, metavar="KIND[:key=value,...]", help="May be repeated.")
@click.option("--option", "settings", multiple=True, metavar="NAME=VALUE", help="Unsettled behaviour; may be repeated.")
@click.option("--log", "log_path", type=click.Path(path_type=Path), help="Write each request as a line of JSON.")
@click.option("--list-faults", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults)
def standin_command(
    host: str,
    port: int,
    data: Path | None,
    archive: Path | None,
    areas: Path | None,
    released_at: datetime | None,
    clock: datetime | None,
    faults: tuple[str, ...],
    settings: tuple[str, ...],
    log_path: Path | None,
) -> None:
    """Serve a local stand-in for opendata.vancouver.ca."""
    with ExitStack() as stack:
        try:
            options = options_from_text(list(settings))
            played = [fault_from_text(text) for text in faults]
        except (ValueError, TypeError) as error:
            raise _Usage(str(error)) from error
        log = _opened(log_path, stack)
        portal = _portal(host, port, data, archive, areas, released_at, options, log)
        stack.callback(portal.stop)
        portal.set_clock(clock)
        _play(portal, played)
        click.echo(_opening_line(portal, data))
        click.echo(LICENCE)
        try:
            _serve(portal)
        except KeyboardInterrupt:
            click.echo("Stopped.")


def _opened(path: Path | None, stack: ExitStack) -> TextIO | None:
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("a", encoding="utf-8"))
    except OSError as error:
        raise _Usage(f"The log {path} can't be written: {error.strerror}. Choose another --log.") from error


def _portal(
    host: str,
    port: int,
    data: Path | None,
    archive: Path | None,
    areas: Path | None,
    released_at: datetime | None,
    options: Options,
    log: TextIO | None,
) -> StandIn:
    def write(record: RequestRecord) -> None:
        if log:
            print(json.dumps(record.as_dict()), file=log, flush=True)

    for name, path in (("--data", data), ("--archive", archive), ("--areas", areas)):
        if path is not None and not path.is_file():
            raise _Usage(f"There is no file {path}. Give {name} the path of a file that exists.")
    try:
        return StandIn(data, archive, areas, released_at, host, port, options, write)
    except OSError as error:
        raise _Usage(f"Can't listen on {host}:{port}: {error.strerror}. Choose another --port or --host.") from error
    except (ValueError, KeyError, pa.ArrowException) as error:
        raise _Usage(f"The data can't be read: {error} Give files in the portal's own layout.") from error


def _play(portal: StandIn, played: list[Fault | RowChange]) -> None:
    changes = [each for each in played if not isinstance(each, Fault)]
    frame = portal.frame if changes else None
    for change in changes:
        try:
            frame = change(frame)  # type: ignore[arg-type]
        except (ValueError, KeyError) as error:
            raise _Usage(f"The rows can't be changed as asked: {error}") from error
    if frame is not None:
        portal.publish(frame, portal.released_at)
    for each in played:
        if isinstance(each, Fault):
            try:
                portal.play(each)
            except ValueError as error:
                raise _Usage(str(error)) from error


def _opening_line(portal: StandIn, data: Path | None) -> str:
    counts = {name: release.table.num_rows for name in (LIVE, ARCHIVE, AREAS) if (release := portal.release(name))}
    source = data.name if data else "bundled real sample"
    return (
        f"Stand-in for opendata.vancouver.ca on {portal.url}: {counts[LIVE]:,} rows of {LIVE} ({source}), "
        f"{counts[ARCHIVE]:,} of {ARCHIVE}, {counts[AREAS]} areas; Ctrl-C stops it."
    )
