"""Dagster's own storage: made once, alone, before anything else uses it.

Two processes that start on an empty instance at once leave its schema broken for good, so the first start is behind a
file lock.
"""

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout

import dagster as dg
import sqlalchemy as sa
from filelock import FileLock

from vanc311_pipeline.commands.home import configure
from vanc311_pipeline.disk import on_disk, write_whole
from vanc311_pipeline.errors import PipelineError, SettingsError
from vanc311_pipeline.settings import Settings


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance at DAGSTER_HOME, initialised if need be."""
    os.environ.update(settings.to_environment())
    with on_disk(settings.dagster_home), ExitStack() as stack:
        try:
            instance = stack.enter_context(_made(settings))
        except OSError as error:
            raise SettingsError(
                f"Dagster's directory {settings.dagster_home} can't be written ({error.strerror}). Nothing was loaded. "
                "Check its permissions, or set DAGSTER_HOME to another place."
            ) from error
        yield instance


def _made(settings: Settings) -> dg.DagsterInstance:
    """The instance, its storage made or brought up to this version of Dagster if need be."""
    home = settings.dagster_home
    as_dagster_writes_it = sa.make_url(f"sqlite:///{home}").database
    if not settings.dagster_database_url and as_dagster_writes_it != str(home):
        raise SettingsError(
            f"Dagster can't keep its storage in {home}: in its addresses a ?, or a % before two digits, means something else. Nothing "
            "was loaded. Set DAGSTER_HOME to a directory without them."
        )
    home.mkdir(parents=True, exist_ok=True)
    ready = home / ".initialised"
    try:
        with FileLock(home / ".initialise.lock"):
            configure(settings)
            if not ready.exists() or ready.read_text() != dg.__version__:
                # What the upgrade prints is meant for the developers of Dagster.
                with dg.DagsterInstance.from_config(str(home)) as instance, redirect_stdout(io.StringIO()):
                    instance.upgrade()
                write_whole(ready, dg.__version__)
            return dg.DagsterInstance.from_config(str(home))
    except (PipelineError, OSError):
        raise
    except Exception as error:
        if not settings.dagster_database_url:
            raise
        words = str(getattr(error.__cause__, "orig", None) or error).strip().splitlines()
        raise SettingsError(
            f"Dagster's PostgreSQL can't be used: {words[0] if words else type(error).__name__}. Nothing was loaded. Check that it "
            "runs and that VANC311_DAGSTER_DATABASE_URL is right; its driver comes with `pip install 'vanc311_pipeline[postgres]'`."
        ) from error


def initialise() -> None:
    """The one-shot service `init` of docker-compose.yml: make the storage, or bring it up to this version, and end."""
    with open_instance(Settings.from_environment()):
        pass


if __name__ == "__main__":
    from vanc311_pipeline.entry import main

    main(initialise)
