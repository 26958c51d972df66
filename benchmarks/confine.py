"""Run a command with less than it would like: `python -m benchmarks.confine [--file-bytes N] [--obey-modes] -- COMMAND…`.

What belongs here: what must be given up between the start of a process and its program. What does not: which command,
and why (`faults`).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource

_DROP_FROM_BOUNDING_SET = 24  # prctl(PR_CAPBSET_DROP, …), from linux/prctl.h
_IGNORING_MODES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, from linux/capability.h


def limit_files(size: int) -> None:
    """No file may grow beyond this size: writing then fails as on a disk that is full, without any right to mount one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def obey_modes() -> None:
    """Make the modes of files and directories hold for root too; for everybody else they hold anyway."""
    if os.geteuid() != 0:
        return
    for capability in _IGNORING_MODES:
        if ctypes.CDLL(None, use_errno=True).prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "root's right to ignore modes can't be given up")


def main(arguments: list[str] | None = None) -> None:
    """Give up what was asked for, and become the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.confine", description="Run a command confined.")
    parser.add_argument("--file-bytes", type=int)
    parser.add_argument("--obey-modes", action="store_true")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    if options.file_bytes is not None:
        limit_files(options.file_bytes)
    if options.obey_modes:
        obey_modes()
    os.execv(options.command[0], options.command)


if __name__ == "__main__":
    main()
