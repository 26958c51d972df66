"""Claims about what reaches a terminal: every character can be seen, none is obeyed."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from vanc311_pipeline.cli import Terminal
from vanc311_pipeline.errors import PipelineError


@given(text=st.text())
def test_a_message_can_be_printed_and_obeys_nobody(text):
    shown = str(PipelineError(text))
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert shown == text or not text.replace("\n", "").isprintable()
    shown.encode()


@pytest.mark.parametrize("order", ["\x1b[2J", "\x9b2J", "\x07", "\u202e", "\r", "\ud800"])
@pytest.mark.parametrize("inside", [str, lambda text: f"[bold]{text}[/]", lambda text: table(text)])
def test_the_console_shows_orders_instead_of_obeying_them(order, inside):
    out = io.StringIO()
    Terminal(file=out, width=80).print(inside(f"ENG{order}"))
    assert order not in out.getvalue()
    assert ascii(order)[1:-1] in out.getvalue()


def table(text):
    grid = Table()
    grid.add_column(text)
    grid.add_row(text)
    return grid
