"""What commands print on. What is printed is not known here."""

from typing import Any

from rich.console import Console
from rich.text import Text

from vanc311_pipeline.errors import printable


class Terminal(Console):
    """A console that shows text and doesn't obey it: what is printed may have come from the portal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)
