"""Markdown tables, as the benchmarks print them."""

from collections.abc import Collection, Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]], words: Collection[int] = (0,)) -> str:
    """A table whose columns are numbers, on the right, but for the places in `words`."""
    marks = ["---" if place in words else "---:" for place in range(len(head))]
    return "\n".join([_line(head), f"|{'|'.join(marks)}|", *map(_line, rows)])


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
