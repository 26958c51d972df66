"""Dagster's home: who works in it, and the settings of Dagster that we write there.

What belongs here: the lock that says who, and `dagster.yaml`. What does not: Dagster's storage (`instance`).

`dagster.yaml` is the user's to edit, and ours to keep up to date: the digest of what we wrote stands beside it. As long as the file
is what we wrote, it is replaced by what this version would write.
"""

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import click

from vanc311_pipeline.disk import on_disk, write_whole
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.settings import Settings

WRITTEN_BEFORE = frozenset(
    {
        "0e0a2faa06efad94ef3cf847ba2a23ceb2872068ae067bfb4197e7cae8421b12",
        "f14d38c9da3f0b185fdd1c86df26981b94a120264a771528b3cd4f805d9422ea",
        "6cb33900d965bdae8d9c8caaafff1185a5577c1d3c77576602edd78ab3da911d",
        "021d13f864d3a52e788c73542097699dc8bc4a884cbc066db51e88745df77298",
        "d7b06a0e9e0d5c82bb559df8b55e3446a98e08ffa68a69d99e361617c7e9110e",
        hashlib.sha256(b"").hexdigest(),  # by a full disk
    }
)
"""The digests of every `dagster.yaml` that was written up to 0.2.0, which wrote down none."""


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
