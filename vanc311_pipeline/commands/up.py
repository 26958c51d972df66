"""`vanc311 up`: the data first, then the site, Dagster's UI, its daemon and its code server on this machine until Ctrl-C.

All of them are processes of their own (`children`), and an end of one that nobody asked for ends the rest, is told as an alert
and is a failure: whoever keeps this command running, a person or a supervisor, starts it again as a whole. Without portal and data,
the same pipeline runs on the bundled real sample, in a data directory and a Dagster home of its own, never mixed with the portal's.
"""

import fcntl
import json
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from vanc311_pipeline.commands import with_sample
from vanc311_pipeline.commands.children import Children, hangs
from vanc311_pipeline.commands.http import address, refuse_taken_port
from vanc311_pipeline.disk import on_disk
from vanc311_pipeline.entry import lasting
from vanc311_pipeline.errors import EXIT_DONE, EXIT_INTEGRITY, EXIT_PORTAL, ProcessEnded, SettingsError
from vanc311_pipeline.settings import Settings

OWNER = "`vanc311 up`"
_CODE = "code.sock"


def run_up(settings: Settings, console: Console, *, host: str, port: int, site_port: int, sync_first: bool) -> None:
    """Bring the data in, then serve the site and the UI until we are interrupted."""
    with ExitStack() as stack, Children() as children:  # they end before what they use goes
        settings = stack.enter_context(with_sample(settings))
        children.held.append(stack.enter_context(owned(settings.dagster_home, OWNER)))
        refuse_taken_port("The Dagster UI", host, port, f"vanc311 up --port {port + 1} (or make run PORT={port + 1})")
        free = site_port + 1
        refuse_taken_port("The site", host, site_port, f"vanc311 up --site-port {free} (or make run SITE_PORT={free})")
        if sync_first:
            settings = _bring_in(settings, console, children, stack)
        else:
            _succeed(children.run("Dagster's storage", ["vanc311_pipeline.commands.instance"], settings))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vanc311-up-")))
        try:
            settings = settings.reached_at(address(host, port), address(host, site_port))
            _serve(settings, children, folder, host, port, site_port)
            console.print(
                f"\nDagster UI: {address(host, port)}  (the schedule every_50_minutes is on; Ctrl-C stops everything)"
            )
            with lasting():
                children.watch(until=partial(next, hangs(folder / _CODE)))
                raise ProcessEnded("The code server", None)
            console.print("Ending what serves, and the schedule. The data stays as it is.")
        except ProcessEnded as error:
            children.end()
            _tell(settings, console, error)
            raise


@contextmanager
def owned(home: Path, what: str) -> Iterator[int]:
    """Be the only one who works in a home, or raise SettingsError; the lock's descriptor, for children to hold it as long as they last."""
    with on_disk(home):
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "owner.lock").open("a+", encoding="utf-8")
    with lock:
        lock.seek(0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                f"{home} is in use by {lock.read().strip()}, or by processes of its that are still ending. Nothing was started: two "
                "would do every work twice. End that one first, or set DAGSTER_HOME and VANC311_DATA_DIR to other places."
            ) from error
        lock.truncate(0)
        lock.write(
            f"{what}, process {os.getpid()} on {socket.gethostname()}, since {datetime.now(UTC):%Y-%m-%dT%H:%MZ}\n"
        )
        lock.flush()
        yield lock.fileno()


def _bring_in(settings: Settings, console: Console, children: Children, stack: ExitStack) -> Settings:
    """Sync in a process of its own, whose memory goes with it, or fall back to the sample; the settings that it was done with."""
    sync = ["vanc311_pipeline", "sync"]
    had_data = settings.published_path.exists()
    code = children.run("The first load", sync, settings)
    if code == EXIT_PORTAL and not had_data and settings.source == "portal":
        console.print(
            "The portal can't be reached and there is no data yet. Running the same pipeline on the bundled sample instead: "
            "11,024 real requests, not a picture of the city. It has a directory of its own and is labelled `sample`."
        )
        settings = stack.enter_context(with_sample(settings.for_sample()))
        places = [f"VANC311_DATA_DIR={settings.data_dir}", f"DAGSTER_HOME={settings.dagster_home}"]
        console.print(f"Other commands find it so: export VANC311_SOURCE=sample {shlex.join(places)}", markup=False)
        children.held.append(stack.enter_context(owned(settings.dagster_home, OWNER)))
        code = children.run("The first load", sync, settings)
    elif code in (EXIT_PORTAL, EXIT_INTEGRITY) and had_data:
        console.print("What was published before is still there and is shown; the schedule will try again.")
        code = EXIT_DONE
    _succeed(code)
    return settings


def _succeed(code: int) -> None:
    """End as a child did that could not do its work; it has said why, unless it was killed."""
    if code < 0:
        raise ProcessEnded("The first load", code)
    if code:
        sys.exit(code)


def _serve(settings: Settings, children: Children, folder: Path, host: str, port: int, site_port: int) -> None:
    """Start the site, the code server, on a socket that nobody else on this machine can reach, and what asks it once it answers."""
    log = ["--log-level", "warning", "--log-format", settings.log_format]
    code, workspace = folder / _CODE, folder / "workspace.yaml"
    server = {"socket": str(code), "location_name": "vanc311_pipeline"}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))  # YAML, too
    children.start("The site", ["vanc311_pipeline", "serve", "--host", host, "--port", str(site_port)], settings)
    location = ["-m", "vanc311_pipeline.definitions", "--empty-working-directory"]
    location += ["--location-name", "vanc311_pipeline"]
    children.start("The code server", ["dagster", "api", "grpc", "-s", str(code), *location, *log], settings)
    children.watch(until=code.exists)  # it listens once it has loaded the code
    ui = ["vanc311_pipeline.commands.ui", "-h", host, "-p", str(port), "-w", str(workspace)]
    children.start("Dagster's UI", ui, settings)
    children.start("Dagster's daemon", ["dagster._daemon", "run", "-w", str(workspace), *log], settings)


def _tell(settings: Settings, console: Console, ended: ProcessEnded) -> None:
    """Tell who is told of alerts, since the sensors that tell of all else have ended with the rest."""
    if not settings.receivers:
        return
    from vanc311_pipeline.orchestration.operations.receivers import NotDelivered, deliver  # loads Dagster

    text = f"vanc311: `vanc311 up` on {socket.gethostname()} has ended. {ended}"
    for receiver in settings.receivers:
        try:
            deliver(receiver, "vanc311: it has ended", text)
        except NotDelivered as error:
            console.print(f"{error}", markup=False)
