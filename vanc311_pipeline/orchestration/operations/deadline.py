"""A deadline for a question to somebody else: an answer, or an error when the time is up.

What belongs here: the waiting. What does not: who is asked, and what it means that no answer came.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def within(seconds: float, ask: Callable[[], Answer], too_late: Exception) -> Answer:
    """What `ask` answers or raises, or `too_late` when the time is up.

    A thread, because some waits have no time limit of their own, such as a name server's. One that is left behind goes on
    until it notices, so `ask` must do no harm when nobody waits for it any more.
    """
    answer: Future[Answer] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="vanc311 deadline", daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        if answer.done():  # the answer's own error, not ours
            raise
        raise too_late from None
