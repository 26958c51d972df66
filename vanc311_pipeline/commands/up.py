"""`vanc311 up`: the data first, then Dagster's UI and daemon on loopback until Ctrl-C.

If the portal can't be reached and there is no data yet, the same pipeline runs on the bundled real sample, served by the
stand-in, in a data directory and a Dagster home of its own: `sample` is never mixed with the portal's data.
"""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.commands.sync import run_sync
from vanc311_pipeline.errors import IntegrityError, PortalError, SettingsError
from vanc311_pipeline.portal.standin import StandIn
from vanc311_pipeline.settings import Settings


def run_up(settings: Settings, console: Console, *, host: str, port: int, sync_first: bool) -> None:
    """Bring the data in, then serve the UI.

    Raises:
        SettingsError: the port is taken, or a directory can't be written.
        IntegrityError: the data can't be proven and there is none from before.
    """
    _refuse_taken_port(host, port)
    with ExitStack() as stack:
        if sync_first:
            settings = _bring_in(settings, console, stack)
        with open_instance(settings):
            pass  # its storage must exist before two processes open it
        console.print(
            f"\nDagster UI: http://{host}:{port}  (the schedule every_50_minutes is on; Ctrl-C stops everything)"
        )
        _serve(settings, host, port)


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


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"The Dagster UI can't listen on {host}:{port} ({error.strerror}). Nothing was started. "
                f"Choose another port: vanc311 up --port {port + 1} (or make run PORT={port + 1})."
            ) from error


def _serve(settings: Settings, host: str, port: int) -> None:
    """Run webserver, daemon and code server as one child until it ends or we are asked to stop.

    The workspace file is written beside Dagster's other files, so that the command works from any directory.
    """
    workspace = Path(settings.dagster_home) / "workspace.yaml"
    workspace.write_text(
        "load_from:\n  - python_module:\n      module_name: vanc311_pipeline.definitions\n      location_name: vanc311_pipeline\n"
    )
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-w",
        str(workspace),
        "-h",
        host,
        "-p",
        str(port),
        "--log-level",
        "warning",
    ]
    environment = {**os.environ, **settings.to_environment(), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as child:

        def stop(number: int, frame: object) -> None:
            del number, frame
            child.send_signal(signal.SIGINT)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        code = child.wait()
    if code not in (0, -signal.SIGINT, -signal.SIGTERM, 130, 143):
        raise SettingsError(
            f"Dagster ended with status {code}; what it printed above says why. The data is not affected."
        )
