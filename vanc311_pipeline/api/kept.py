"""The answers that are kept, and those that are just being made: each is made once for all who ask for it.

What belongs here: how long an answer is kept, and how much of them. What does not: making one, and sending it (`delivery`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vanc311_pipeline.reading.release import Identity

BYTES_KEPT = 64_000_000
BYTES_KEPT_OF_ONE = 4_000_000
_OVERHEAD = 3_000  # what keeping an answer costs beside its body and its address

Headers = list[tuple[bytes, bytes]]

Key = tuple[Identity | None, bytes, bytes, bool, bool]
"""The release, the path, what stands after the question mark, whether CSV is wanted, and whether it is compressed."""


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes
    etag: str

    @property
    def lasts(self) -> bool:
        """Whether it stays the answer for as long as the release is current."""
        return self.status == 200 and (b"cache-control", b"no-store") not in self.headers


Begun = asyncio.Future[Answer | None]
"""What those who ask for the same wait for: the answer, or None if it proves to be a stream, which each must have for himself."""


class Kept:
    """The answers made so far, the longest unused forgotten first."""

    def __init__(self, bytes_at_most: int = BYTES_KEPT) -> None:
        self._limit = bytes_at_most
        self._bytes = 0
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._under_way: dict[Key, Begun] = {}

    async def once(self, key: Key, make: Callable[[Begun], Awaitable[Answer | None]]) -> Answer | None:
        """The answer, as it was kept, or made once for all who ask for it meanwhile; None if it was a stream, which is sent."""
        if (answer := self.get(key)) is not None:
            return answer
        begun: Begun = asyncio.get_running_loop().create_future()
        if (before := self._under_way.get(key)) is not None:
            return await asyncio.shield(before) or await make(begun)
        self._under_way[key] = begun
        answer = None
        try:
            answer = await make(begun)
        finally:
            del self._under_way[key]
            if not begun.done():
                begun.set_result(answer)
        if answer is not None and answer.lasts:
            self.keep(key, answer)
        return answer

    def get(self, key: Key) -> Answer | None:
        if (answer := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
        return answer

    def keep(self, key: Key, answer: Answer) -> None:
        if len(answer.body) > BYTES_KEPT_OF_ONE:
            return
        self._answers[key] = answer
        self._bytes += _size(key, answer)
        while self._bytes > self._limit:
            self._bytes -= _size(*self._answers.popitem(last=False))


def _size(key: Key, answer: Answer) -> int:
    _, path, query, *_ = key
    return len(path) + len(query) + len(answer.body) + _OVERHEAD
