"""Progress: how the long steps tell a watcher what they have done. The command line watches; everybody else doesn't.

Only the protocol and the silent watcher belong here; drawing belongs to `cli`.
"""

from typing import Protocol


class Progress(Protocol):
    """What a watcher is told."""

    def landed(self, month: str, rows: int) -> None:
        """A month was fetched and proven whole."""

    def stored(self, month: str, rows: int) -> None:
        """A month is in the warehouse, or was left as it is."""

    def working(self, what: str) -> None:
        """Something without months has begun, such as publishing."""


class Silent:
    """A watcher that doesn't look."""

    def landed(self, month: str, rows: int) -> None:
        del month, rows

    def stored(self, month: str, rows: int) -> None:
        del month, rows

    def working(self, what: str) -> None:
        del what
