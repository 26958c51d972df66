"""A real PostgreSQL for tests and rehearsals: Debian's server in a directory of its own, on loopback, ended with the block.

PostgreSQL refuses to run as root, so root's tests run it as the user that Debian's package makes.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from benchmarks.places import free_port

USER, PASSWORD = "vanc311", "a password: with@odd/signs"
# A test's data need not outlive a power cut.
CAREFREE = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=60"


class Postgres:
    """A server: `url()` of a database, `make(name)`, `stop()`, `start()`."""

    def __init__(self, folder: Path, options: str) -> None:
        self.folder, self._options = folder, options
        self.port = free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            shutil.chown(secret, "postgres", "postgres")
        self._run("initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile", "password", "-E", "UTF8")
        self.start()

    def url(self, database: str = "postgres", scheme: str = "postgresql") -> str:
        return f"{scheme}://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def make(self, database: str, like: str = "template1", options: str = "") -> str:
        """A new database, empty or a copy of another one; its name."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{like}" {options}'.encode())
        return database

    def warehouse_url(self, database: str) -> str:
        return self.url(database, "postgresql+psycopg")

    @contextmanager
    def pooled(self) -> Iterator[int]:
        """A PgBouncer before the server, which lends a session for a transaction; its port."""
        port = free_port()
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.port} user={USER} password='{PASSWORD}'\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        )
        how: dict[str, Any] = {"cwd": self.folder, "stderr": subprocess.PIPE, "text": True, **_unprivileged()}
        with subprocess.Popen([str(_program("pgbouncer")), "pgbouncer.ini"], **how) as process:
            try:
                assert process.stderr
                assert any("process up" in line for line in process.stderr), "PgBouncer didn't start"
                yield port
            finally:
                process.terminate()

    def start(self) -> None:
        where = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", f"{where} {self._options}", "start")

    def stop(self) -> None:
        """At once, as a machine that goes down would: connections are cut."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        log = self.folder / f"{program}.log"
        with log.open("w") as output:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            command = [str(_program(program)), *arguments]
            done = subprocess.run(command, cwd=self.folder, check=False, **streams, **_unprivileged())
        assert done.returncode == 0, log.read_text()


def _unprivileged() -> dict[str, Any]:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _program(name: str) -> Path:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return folder / name
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert path, "This needs a PostgreSQL server and its pooler: apt-get install postgresql pgbouncer"
    return Path(path)


@contextmanager
def running_postgres(options: str = CAREFREE) -> Iterator[Postgres]:
    """A server with nothing in it. Without options it is as PostgreSQL comes, which waits for the disk."""
    with tempfile.TemporaryDirectory(prefix="vanc311-postgres-") as folder:
        os.chmod(folder, 0o755)
        server = Postgres(Path(folder), options)
        try:
            yield server
        finally:
            if (server.folder / "data" / "postmaster.pid").exists():
                server.stop()
