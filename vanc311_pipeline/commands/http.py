"""HTTP, as each of our processes answers it: uvicorn, in one configuration. What is answered is not known here."""

import socket
from collections.abc import Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

_GRACE_SECONDS = 10
"""How long an answer under way may still take when we are asked to stop."""


def answer(make: Callable[[], ASGIApp], host: str, port: int, listening: Sequence[socket.socket] | None = None) -> None:
    """Answer until we are asked to stop; uvicorn then raises the signal once more, for whoever handled it before.

    Args:
        make: makes the application.
        listening: sockets that listen already, instead of one of its own.
    """
    config = uvicorn.Config(
        make,
        factory=True,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    uvicorn.Server(config).run(list(listening) if listening else None)
