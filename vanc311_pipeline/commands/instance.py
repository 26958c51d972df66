"""Dagster's home: its storage, made once, alone, before anything else uses it, and its settings, which we write there.

Two processes that start on an empty instance at once leave its schema broken for good, so the first start is behind a file lock.
`dagster.yaml` is the user's to edit, and ours to keep up to date: the digest of what we wrote stands beside it. As long as the file
is what we wrote, it is replaced by what this version would write.
"""

import hashlib
import io
import os
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from importlib.resources import files
from pathlib import Path

import click
import dagster as dg
import sqlalchemy as sa
from filelock import FileLock

from vanc311_pipeline.disk import on_disk, write_whole
from vanc311_pipeline.errors import PipelineError, SettingsError
from vanc311_pipeline.settings import Settings

WRITTEN_BEFORE = frozenset(tomllib.loads(Path(__file__).with_name("written_before.toml").read_text())["digests"])
"""The digests of every `dagster.yaml` that was written up to 0.2.0, which wrote down none."""


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


def configure(settings: Settings) -> None:
    """Write `dagster.yaml`, or bring it up to this version; say once if that would undo what the user wrote."""
    file = settings.dagster_home / "dagster.yaml"
    note = file.with_name(f".{file.name}.sha256")
    text, present = _text(settings), file.read_text() if file.exists() else ""
    noted = note.read_text() if note.exists() else None
    if present:
        _refuse_other_storage(settings, file, present)
    if not present or _digest(present) in {noted, *WRITTEN_BEFORE}:
        if present != text:
            write_whole(file, text)
    elif present != text and noted != _digest(text):
        click.echo(
            f"{file} is not as this program wrote it, so it stays as it is, without what this version would write. To have that, "
            "move it away and start again; it is then written anew, for you to edit.",
            err=True,
        )
    if noted != _digest(text):
        write_whole(note, _digest(text))


def _text(settings: Settings) -> str:
    shipped = files("vanc311_pipeline").joinpath("orchestration")
    names = ["dagster.yaml"] + ["dagster.postgres.yaml"] * bool(settings.dagster_database_url)
    return "".join(shipped.joinpath(name).read_text() for name in names)


def _refuse_other_storage(settings: Settings, file: Path, present: str) -> None:
    in_postgres = bool(settings.dagster_database_url)
    if ("VANC311_DAGSTER_DATABASE_URL" in present) != in_postgres:
        kept, is_set = ("in files", "is set") if in_postgres else ("in PostgreSQL", "is not set")
        raise SettingsError(
            f"{file} keeps Dagster's runs {kept}, but VANC311_DAGSTER_DATABASE_URL {is_set}. Nothing was "
            "loaded. Set it as it was, or remove that file to have it made anew; the runs kept so far stay where they are."
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def initialise() -> None:
    """The one-shot service `init` of docker-compose.yml: make the storage, or bring it up to this version, and end."""
    with open_instance(Settings.from_environment()):
        pass


if __name__ == "__main__":
    from vanc311_pipeline.entry import main

    main(initialise)
