"""Dagster's UI behind its guard, as a process: `python -m vanc311_pipeline.commands.ui -h HOST -p PORT -w WORKSPACE`.

It stands in place of `dagster-webserver`, which has no place to put a guard.
"""

from pathlib import Path

import click
import dagster as dg
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_MAX_OVERFLOW, DEFAULT_POOL_RECYCLE

from vanc311_pipeline.commands.http import answer
from vanc311_pipeline.entry import lasting, main
from vanc311_pipeline.logs import set_up_logs
from vanc311_pipeline.orchestration.dagster_private import WorkspaceFileTarget, WorkspaceProcessContext
from vanc311_pipeline.orchestration.operations.webserver_guard import Guard
from vanc311_pipeline.settings import Settings

_POLL_MILLISECONDS = 2_000  # how often an open page asks for news; the default of Dagster's command


@click.command()
@click.option("-h", "--host", default="127.0.0.1", help="Where it listens.")
@click.option("-p", "--port", default=3000, type=click.IntRange(1, 65535), help="The port.")
@click.option(
    "-w", "--workspace", required=True, type=click.Path(exists=True, path_type=Path), help="The code locations."
)
def ui(host: str, port: int, workspace: Path) -> None:
    """Serve Dagster's UI until we are asked to stop."""
    settings = Settings.from_environment()
    set_up_logs(settings.log_format)
    with (
        lasting(),
        dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)])) as context,
    ):
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        app = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MILLISECONDS)
        answer(lambda: Guard(app, host=host, ui_url=settings.ui_url), host, port)


if __name__ == "__main__":
    main(ui)
