"""The command line `vanc311`: options and what they mean. The work is in `commands`, imported when it is called."""

import logging
import os
import runpy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from vanc311_pipeline.commands import with_sample
from vanc311_pipeline.errors import Interrupted, printable
from vanc311_pipeline.settings import Settings


class Terminal(Console):
    """A console that shows text and doesn't obey it: what is printed may have come from the portal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


console = Terminal()


class CommandLine(click.Group):
    """The commands. Ctrl-C is told in our words, not in click's; the stand-in, which loads pandas, is imported if it is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        fields = Settings.model_fields.items()
        defaults = {name: f" [default: {field.default}]" for name, field in fields if field.default}
        with formatter.section("Settings, as environment variables"):
            formatter.write_dl(
                (Settings.variable(name), f"{field.description}{defaults.get(name, '')}") for name, field in fields
            )

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "standin"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "standin":
            return super().get_command(ctx, cmd_name)
        from vanc311_pipeline.standin.command import standin_command

        return standin_command


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vanc311_pipeline")
def vanc311() -> None:
    """Vancouver's 3-1-1 service requests: kept equal to the city's portal, checked, and published as SQLite."""
    from vanc311_pipeline.logs import set_up_logs

    only_this = {"VANC311_LOG_FORMAT": os.environ.get("VANC311_LOG_FORMAT", "")}  # what else is wrong, a command says
    set_up_logs(Settings.from_environment(only_this).log_format, logging.ERROR)
    # A connection whose closing Ctrl-C interrupts is closed all the same; the traceback would only hide our words.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Parameter `backfill_policy` of .* is currently in beta")


def _port(name: str, default: int, meaning: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(name, default=default, show_default=True, type=click.IntRange(1, 65535), help=meaning)


@vanc311.command()
@click.option("--months", metavar="FROM..TO", help="Fetch these UTC months again, such as 2025-01 or 2025-01..2025-06.")
@click.option("--archive", is_flag=True, help="Bring the frozen archive of 2009 to 2021 into step, too.")
@click.option(
    "--accept-shrink",
    metavar="FROM..TO",
    multiple=True,
    help="Follow the portal in these UTC months although they are held; `all` for everything.",
)
def sync(months: str | None, archive: bool, accept_shrink: tuple[str, ...]) -> None:
    """Bring the data into step with the portal and publish it."""
    from vanc311_pipeline.commands.sync import run_sync

    with with_sample(Settings.from_environment()) as settings:
        run_sync(settings, console, months=months, archive=archive, accept_shrink=accept_shrink)


@vanc311.command()
@click.option("--deep", is_flag=True, help="Also read every row from the portal again and compare it in every field.")
@click.option("--months", metavar="FROM..TO", help="With --deep: only these UTC months, such as 2025-01..2025-06.")
def verify(deep: bool, months: str | None) -> None:
    """Run every asset check over everything that is stored, and compare it with the portal month by month."""
    from vanc311_pipeline.commands.sync import run_verify

    with with_sample(Settings.from_environment()) as settings:
        run_verify(settings, console, deep=deep, months=months)


@vanc311.command()
def status() -> None:
    """Say what is stored and published, and what the schedule decided last."""
    from vanc311_pipeline.commands.summary import run_status

    run_status(Settings.from_environment(), console)


@vanc311.command()
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Write the log, the one thing that can't be fetched again, to FILE."""
    from vanc311_pipeline.commands.backup import run_backup

    run_backup(Settings.from_environment(), console, file)


@vanc311.command()
@click.argument("file", type=click.Path(path_type=Path))
def restore(file: Path) -> None:
    """Bring the log back from FILE, a backup, into a new warehouse or one whose log the backup continues."""
    from vanc311_pipeline.commands.backup import run_restore

    run_restore(Settings.from_environment(), console, file)


@vanc311.command()
@click.option("--area", help="Of this local area, such as Kitsilano.")
@click.option("--department", help="Of this department, or group of them, such as ENG.")
@click.option("--month", metavar="MONTH", help="Of this month, such as 2026-08; without it, the newest that there is.")
@click.option("--pdf", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file, as one sheet.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file, as a page.")
@click.option("--paper", default="letter", show_default=True, type=click.Choice(["letter", "a4"]), help="Of the PDF.")
def brief(
    area: str | None, department: str | None, month: str | None, pdf: Path | None, html: Path | None, paper: str
) -> None:
    """Give the brief of a month, of the city, an area or a department, from the published file: as text, HTML or PDF."""
    from vanc311_pipeline.commands.brief import run_brief

    # As of a variable that isn't set: it must not stand for another brief.
    for option, text in (("area", area), ("department", department), ("month", month)):
        if text is not None and not text.strip():
            raise click.UsageError(f"--{option} is empty: nothing was written. Name one, or leave the option out.")
    if area and department:
        raise click.UsageError("--area and --department don't go together.")
    if pdf and pdf == html:
        raise click.UsageError(f"--pdf and --html name one file, {pdf}: nothing was written. Name two.")
    files = {form: file for form, file in (("html", html), ("pdf", pdf)) if file}
    settings = Settings.from_environment()
    run_brief(settings, console, area=area, department=department, month=month, files=files, paper=paper)


@vanc311.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens.")
@_port("--port", 8311, "The port.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@click.option("--replica", is_flag=True, help="Serve what the pipeline ships to VANC311_SHIP_URL, always the newest.")
def serve(host: str, port: int, workers: int, replica: bool) -> None:
    """Serve the published file as a dashboard and as a JSON and CSV API until Ctrl-C."""
    from vanc311_pipeline.commands.serve import run_serve

    run_serve(Settings.from_environment(), console, host=host, port=port, workers=workers, replica=replica)


@vanc311.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where all that serves listens.")
@_port("--port", 3000, "The Dagster UI's port.")
@_port("--site-port", 8311, "The dashboard's and the API's port.")
@click.option(
    "--no-sync", is_flag=True, help="Start what serves, and the schedule, without bringing the data in first."
)
def up(host: str, port: int, site_port: int, no_sync: bool) -> None:
    """Bring the data in, then keep the dashboard, Dagster's UI and its daemon running until Ctrl-C.

    If the portal can't be reached and there is no data yet, the bundled real sample is used, in a directory of its own.
    """
    from vanc311_pipeline.commands.up import run_up

    run_up(Settings.from_environment(), console, host=host, port=port, site_port=site_port, sync_first=not no_sync)


if __name__ == "__main__":  # its address before `python -m vanc311_pipeline`
    runpy.run_module("vanc311_pipeline", run_name="__main__")
