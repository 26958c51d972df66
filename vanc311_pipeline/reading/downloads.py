"""The files that are made beside the published one: what they are called, and where those of a release are.

What belongs here: names, places and digests. What does not: making the files (`warehouse.downloads`), and sending them (`api`).
"""

from pathlib import Path

from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.release import Release

SQLITE, PARQUET, PACKAGE, CHECKSUMS = "vanc311.sqlite", "requests.parquet", "datapackage.json", "checksums.txt"


def folder_of(published: Path, release_id: str) -> Path:
    """Where the files beside a published file are, once it is in its place: each release has a folder of its own."""
    return published.parent / "downloads" / release_id


def beside(release: Release, name: str) -> Path:
    """A file that was made with a release."""
    path = folder_of(release.path, release.id) / name
    if not path.exists():
        raise SettingsError(
            f"{name} isn't beside the published file: an older version of this program made the release, or the file was copied "
            "alone. Nothing is wrong with the data. Run `vanc311 sync` to publish it again."
        )
    return path


def digests(release: Release) -> dict[str, str]:
    """SHA-256 of each file of a release but that of the checksums, as hex."""
    lines = beside(release, CHECKSUMS).read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}
