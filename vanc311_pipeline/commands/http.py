"""HTTP, as each of our processes answers it: uvicorn, in one configuration. What is answered is not known here."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

_GRACE_SECONDS = 10
"""How long an answer under way may still take when we are asked to stop."""


def answer(
    make: Callable[[], ASGIApp],
    host: str,
    port: int,
    listening: Sequence[socket.socket] | None = None,
    protocol: type[asyncio.Protocol] | None = None,
) -> None:
    """Answer until we are asked to stop; uvicorn then raises the signal once more, for whoever handled it before.

    Args:
        make: makes the application.
        listening: sockets that listen already, instead of one of its own.
        protocol: how a connection is spoken with; uvicorn chooses if not given.
    """
    config = uvicorn.Config(
        make,
        factory=True,
        host=host,
        port=port,
        http=protocol or "auto",
        log_config=None,
        log_level="error",  # its warnings are about clients, who could fill a disk with them
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    uvicorn.Server(config).run(list(listening) if listening else None)
