"""A module, run in a process that ends when the one that started it does: `python -m vanc311_pipeline.commands.child MODULE …`.

Its standard input is a pipe that only its parent holds open. The pipe ends with the parent, even if that is killed, and on every
system; what still works then is asked to end, with all that it started, and killed if it doesn't.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 20.0
"""How long a process that was asked to end may take."""


def main() -> None:
    """Run the module that the arguments name, as `python -m` would."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
