"""`vanc311 up`: the data first, then the site, Dagster's UI and its daemon on loopback until Ctrl-C.

If the portal can't be reached and there is no data yet, the same pipeline runs on the bundled real sample, served by the
stand-in, in a data directory and a Dagster home of its own: `sample` is never mixed with the portal's data.
"""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.commands.ports import address, refuse_taken_port
from vanc311_pipeline.commands.sync import run_sync
from vanc311_pipeline.errors import IntegrityError, PortalError, SettingsError
from vanc311_pipeline.portal.standin import StandIn
from vanc311_pipeline.settings import Settings


def run_up(settings: Settings, console: Console, *, host: str, port: int, site_port: int, sync_first: bool) -> None:
    """Bring the data in, then serve the site and the UI.

    Raises:
        SettingsError: the port is taken, or a directory can't be written.
        IntegrityError: the data can't be proven and there is none from before.
    """
    refuse_taken_port("The Dagster UI", host, port, f"vanc311 up --port {port + 1} (or make run PORT={port + 1})")
    other = site_port + 1
    refuse_taken_port("The site", host, site_port, f"vanc311 up --site-port {other} (or make run SITE_PORT={other})")
    with ExitStack() as stack:
        if sync_first:
            settings = _bring_in(settings, console, stack)
        settings = settings.reached_at(address(host, port), address(host, site_port))
        with open_instance(settings):
            pass  # its storage must exist before two processes open it
        console.print(
            f"\nDagster UI: {address(host, port)}  (the schedule every_50_minutes is on; Ctrl-C stops everything)"
        )
        _serve(settings, host, port, site_port)


def _bring_in(settings: Settings, console: Console, stack: ExitStack) -> Settings:
    """Sync, or fall back to the sample; the settings that the data was brought in with."""
    had_data = settings.published_path.exists()
    try:
        run_sync(settings, console)
        return settings
    except PortalError as error:
        console.print(f"{error}", markup=False)
        if had_data:
            console.print("What was loaded before is still there and is shown; the schedule will try the portal again.")
            return settings
        if settings.source == "sample":
            raise
    except IntegrityError as error:
        if not had_data:
            raise
        console.print(f"{error}\nWhat was published before is still there and is shown.", markup=False)
        return settings
    console.print(
        "The portal can't be reached and there is no data yet. Running the same pipeline on the bundled sample instead: "
        "11,024 real requests, not a picture of the city. It has a directory of its own and is labelled `sample`."
    )
    standin = stack.enter_context(StandIn())
    sample = settings.for_sample(standin.url)
    run_sync(sample, console)
    return sample


def _serve(settings: Settings, host: str, port: int, site_port: int) -> None:
    """Run Dagster and the site as children until one of them ends or we are asked to stop.

    The workspace file is written beside Dagster's other files, so that the command works from any directory.
    """
    workspace = Path(settings.dagster_home) / "workspace.yaml"
    workspace.write_text(
        "load_from:\n  - python_module:\n      module_name: vanc311_pipeline.definitions\n      location_name: vanc311_pipeline\n"
    )
    dagster = ["dagster", "dev", "-w", str(workspace), "-h", host, "-p", str(port), "--log-level", "warning"]
    dagster += ["--log-format", settings.log_format]
    site = ["vanc311_pipeline.cli", "serve", "--host", host, "--port", str(site_port)]
    children = {"Dagster": _start(settings, dagster), "The site": _start(settings, site)}

    running = list(children.values())

    def stop(*_: object) -> None:
        while running:  # each is asked once: Dagster takes a second time for impatience
            running.pop().send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # until the first of them ends
    stop()
    codes = {name: child.wait() for name, child in children.items()}
    if failed := {name: code for name, code in codes.items() if code not in ENDED_WELL}:
        name, code = next(iter(failed.items()))
        raise SettingsError(
            f"{name} ended with status {code}; what it printed above says why. The data is not affected."
        )


ENDED_WELL = (0, -signal.SIGINT, -signal.SIGTERM, 130, 143)


def _start(settings: Settings, module: list[str]) -> subprocess.Popen[bytes]:
    """A child that knows these settings only: Dagster would put those of an `.env` in its working directory above them."""
    environment = {**os.environ, **settings.to_environment(), "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, "-m", *module], env=environment, cwd=settings.dagster_home, start_new_session=True
    )
