"""Work beside: a function in a process of its own meanwhile, so that two cores are used.

It is for work in Python, of which a process does one thing at a time; what waits for SQLite needs only a thread. The function and
its values go through a pipe: they are picklable, and the process ends with this one, if not at once then when it answers. No
`concurrent.futures`: its processes import the main module again, and that of Dagster's code server starts another server.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from vanc311_pipeline.errors import StorageRefused

Answer = TypeVar("Answer")


@contextmanager
def beside(worth: bool, function: Callable[..., Answer], *values: Any) -> Iterator[Callable[[], Answer]]:
    """Call a function of a module there; what is yielded waits for its answer. An exception of its is raised then.

    Args:
        worth: whether there is so much to do that it is worth a process, which takes a second to begin. Else it is called here, at the end.
    """
    if not worth:
        yield partial(function, *values)
        return
    command = [sys.executable, "-P", "-m", __name__]
    # Ctrl-C in a terminal reaches it through this process alone.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None

        def answer() -> Answer:
            try:
                value: Answer
                value, error = pickle.load(answers)
            except EOFError as ended:
                raise StorageRefused(
                    f"A process that worked for this one was ended ({process.wait()}), most likely for want of memory. "
                    "What was under way was undone; try again."
                ) from ended
            if error:
                raise error
            return value

        try:
            pickle.dump((function, values), questions, protocol=pickle.HIGHEST_PROTOCOL)
            questions.close()
            yield answer
        finally:
            process.kill()


def main() -> None:
    function, values = pickle.loads(sys.stdin.buffer.read())
    answer: tuple[Any, Exception | None]
    try:
        answer = function(*values), None
    except Exception as error:
        answer = None, error
    pickle.dump(answer, sys.stdout.buffer, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
