"""Progress: how the long steps tell a watcher what they have done. The command line watches; everybody else doesn't."""


class Progress:
    """What a watcher is told; this one doesn't look."""

    def landed(self, month: str, rows: int) -> None:
        """A month was fetched and proven whole."""

    def stored(self, month: str, rows: int) -> None:
        """A month is in the warehouse, or was left as it is."""

    def working(self, what: str) -> None:
        """Something without months has begun, such as publishing."""
