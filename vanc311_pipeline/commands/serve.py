"""`vanc311 serve`: the dashboard and the API of the published file, until Ctrl-C.

A file that is published meanwhile is served from the next request on; before there is one, every answer says so.
"""

import gc
import logging
import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from rich.console import Console

from vanc311_pipeline.commands.children import Children
from vanc311_pipeline.commands.http import BoundedProtocol, address, answer, refuse_taken_port
from vanc311_pipeline.commands.replica import following
from vanc311_pipeline.entry import lasting, main
from vanc311_pipeline.logs import set_up_logs
from vanc311_pipeline.settings import Settings

log = logging.getLogger(__name__)

MEASURES_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # Prometheus's own

_SWITCH_SECONDS = 0.0002
"""How long a thread that draws may keep the others waiting. SQLite lets go at every row: a page of 50 would wait 50 times as long."""

_WARMED_BY = (
    *(
        f"/api/v1/{path}"
        for path in ("status", "metrics/citywide", "time-to-close", "requests", "requests/open", "changes")
    ),
    *("/methods", "/data", "/static/style.css", "/nowhere"),
)
"""One address of each kind that costs little, so that none is dear when it is first asked for."""


def site() -> FastAPI:
    """All that is served, pages and API, for a process that is told everything by its environment."""
    # Not before: what is measured of it begins, when it is imported, in the directory that the environment names.
    from vanc311_pipeline.api.app import create_app
    from vanc311_pipeline.dashboard.site import dashboard
    from vanc311_pipeline.dashboard.templating import problem_page

    settings = Settings.from_environment()
    set_up_logs(settings.log_format)
    if settings.log_format == "json":  # who collects wants a line per answer; who looks on doesn't
        logging.getLogger("vanc311_pipeline").setLevel(logging.INFO)
    return create_app(
        settings.published_path,
        routers=[dashboard(settings.site_url)],
        problem_page=problem_page,
        warmed_by=_WARMED_BY,
        on_ready=_keep_nobody_waiting,
    )


def _keep_nobody_waiting() -> None:
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what is there now stays; looking through it for garbage now and then would hold up every answer


def run_serve(settings: Settings, console: Console, *, host: str, port: int, workers: int, replica: bool) -> None:
    set_up_logs(settings.log_format)
    refuse_taken_port("The site", host, port, f"vanc311 serve --port {port + 1}")
    tell = console.print if settings.log_format == "colored" else log.warning
    tell(f"Dashboard:  {address(host, port)}  (the API: {address(host, port)}/api; Ctrl-C stops it)")
    if not settings.published_path.exists():
        tell(
            f"There is no published file at {settings.published_path} yet; it is served as soon as `vanc311 sync` has made it."
        )
    with tempfile.TemporaryDirectory(prefix="vanc311-measures-") as measures, lasting():
        os.environ.update(settings.to_environment() | {MEASURES_VARIABLE: measures})
        with _measured(settings), following(settings) if replica else nullcontext():
            if workers == 1:
                answer(site, host, port, BoundedProtocol)
            else:
                _answer_together(settings, host, port, workers, Path(measures))


def _measured(settings: Settings) -> AbstractContextManager[object]:
    """Tells Prometheus of what all workers do, where it is to be told."""
    if not settings.metrics_address:
        return nullcontext()
    from vanc311_pipeline.api.measures import telling  # begins to measure when it is imported

    place = urlsplit(f"//{settings.metrics_address}")
    host, port = str(place.hostname), int(place.port or 0)
    refuse_taken_port("What is measured", host, port, "set VANC311_METRICS_ADDRESS to another one")
    return telling(host, port, settings.published_path, settings.measures_path)


def _answer_together(settings: Settings, host: str, port: int, workers: int, folder: Path) -> None:
    with Children() as children:

        def start(name: str) -> None:
            children.start(name, ["vanc311_pipeline.commands.serve", host, str(port)], settings, folder)

        for number in range(workers):
            start(f"Worker {number + 1}")
        children.watch(replace=start)


def _answer_beside_others() -> None:
    with lasting():
        answer(site, sys.argv[1], int(sys.argv[2]), BoundedProtocol, shared=True)


if __name__ == "__main__":
    main(_answer_beside_others)
