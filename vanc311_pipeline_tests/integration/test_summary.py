"""Claims about what is printed after a load: its queries run as they stand there, wherever the file is."""

import io
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from rich.console import Console

from vanc311_pipeline.commands.summary import QUERIES, print_summary
from vanc311_pipeline.disk import sqlite_uri


def test_the_printed_queries_run_as_they_stand_there(copied, tmp_path):
    settings = copied.changed(data_dir=copied.data_dir.rename(tmp_path / "it's #1 & more"), database_url=None)
    text = io.StringIO()
    print_summary(settings, Console(file=text, width=60, soft_wrap=True))
    commands = [shlex.split(line) for line in text.getvalue().splitlines() if line.startswith("    sqlite3 ")]
    assert len(commands) == len(QUERIES)
    for program, option, file, query in commands:
        assert (program, option, Path(file)) == ("sqlite3", "-box", settings.published_path)
        with closing(sqlite3.connect(sqlite_uri(Path(file), mode="ro"), uri=True)) as published:
            assert published.execute(query).fetchone()
