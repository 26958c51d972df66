"""Every error that a user can meet; each kind has the exit code that it ends a command with.

A message says what happened, what it means for the data, and what to do; no control character of a stranger's gets into it.
"""

import signal
from datetime import datetime

HANGS_SECONDS = 300.0
"""After so long without an answer a process of ours counts as one that hangs."""

EXIT_DONE, EXIT_INTEGRITY, EXIT_USAGE, EXIT_PORTAL, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


def printable(text: str) -> str:
    """The text with every character that a terminal might obey, or can't show, as its escape; line ends stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


class PipelineError(Exception):
    """The base of them all; `exit_code` is what the command line ends with."""

    exit_code = EXIT_INTEGRITY

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class SettingsError(PipelineError):
    """A setting, an argument, a directory or a port can't be used."""

    exit_code = EXIT_USAGE


class NoWarehouse(SettingsError):
    """Nothing was ever stored there."""

    def __init__(self, where: object) -> None:
        super().__init__(f"There is no warehouse at {where} yet. Run `vanc311 sync` first, or set VANC311_DATA_DIR.")


class ProcessEnded(PipelineError):
    """A process that was to last ended, though nobody asked it to; without a status, it did not answer for `HANGS_SECONDS`."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str, status: int | None) -> None:
        if status is None:
            how = f"is there, but has not answered for {HANGS_SECONDS / 60:g} minutes, so it was ended"
        else:
            end = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            how = f"{end}, though nobody asked it to; what it printed above says why, unless it was killed"
        super().__init__(f"{name} {how}. The rest was ended, too. The data is not affected: start it again.")


class StorageRefused(PipelineError):
    """A disk, a database or an object store is full, may not be written, or fails; what was under way was undone."""

    exit_code = EXIT_USAGE


class PortalError(PipelineError):
    """The portal can't be reached or refuses."""

    exit_code = EXIT_PORTAL


class PortalUnavailable(PortalError):
    """No usable answer after every retry: no connection, a time-out, a server error or a broken body."""


class TooManyRequests(PortalUnavailable):
    """Too many questions at once; `seconds` is how long the portal wants to be left alone."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class PortalRefused(PortalError):
    """The portal understood and said no; asking again would not help."""


class QuotaExceeded(PortalError):
    """The portal's calls for the day are used up; `until` is when it says that it answers again."""

    def __init__(self, message: str, until: datetime | None) -> None:
        super().__init__(message)
        self.until = until


class Interrupted(PipelineError):
    """Ctrl-C, or the process was told to end."""

    exit_code = EXIT_INTERRUPTED

    def __init__(self) -> None:
        super().__init__(
            "Interrupted. Nothing was lost: what was published before stays whole, and the next `vanc311 sync` goes on from here."
        )


class IntegrityFailed(PipelineError):
    """What was received or stored is not what it must be; nothing of it was taken over."""


class SchemaMismatch(IntegrityFailed):
    """A field that we rely on is missing or has another type."""


class CountMismatch(IntegrityFailed):
    """An export and the portal's own count of the same rows disagree, after every retry."""


class ReleaseMoved(IntegrityFailed):
    """The city published a new release while we were reading the old one: the plan must be made again."""
