"""Addresses of SQLite files: the one place that makes them, so that each leads to its file whatever signs the path has.

What belongs here: text. What does not: opening anything (`warehouse`, `reading`), and what a user may set (`settings`).
"""

from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa


def sqlite_url(path: Path) -> str:
    """SQLAlchemy's address of a file."""
    return sa.URL.create("sqlite", database=str(path.absolute())).render_as_string()


def sqlite_uri(path: Path, **options: str) -> str:
    """SQLite's own address of a file, with its options, such as mode="ro"."""
    return f"{path.absolute().as_uri()}?{urlencode(options)}"
