"""Markdown tables, as the benchmarks print them."""

from collections.abc import Collection, Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]], words: Collection[int] = (0,)) -> str:
    """A table whose columns are numbers, on the right, but for the places in `words`."""
    marks = ["---" if place in words else "---:" for place in range(len(head))]
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (head, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(marks)}|", *lines[1:]])
