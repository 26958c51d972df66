"""A deadline for a question to somebody else: an answer, or an error when the time is up."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Answer = TypeVar("Answer")


def within(seconds: float, ask: Callable[[], Answer], too_late: Exception) -> Answer:
    """What `ask` answers or raises, or `too_late` when the time is up. Some waits, such as for a name server, have no limit of their own,
    so it is asked in a thread, which goes on when nobody waits for it any more: `ask` must do no harm then.
    """
    answer: Future[Answer] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="vanc311 deadline", daemon=True).start()
    if not wait([answer], seconds).done:
        raise too_late
    return answer.result()
