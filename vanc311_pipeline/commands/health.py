"""Whether a code server answers: one that hangs is there, and of no use to anybody. What is done about it is not known here."""

import time
from collections.abc import Iterator
from pathlib import Path

from vanc311_pipeline.errors import HANGS_SECONDS

ASK_SECONDS = 60.0


def hangs(code: Path) -> Iterator[bool]:
    """Of the one that listens on a socket, as often as one wants to know: whether a question has waited too long.

    It is asked what the containers' health check asks, once a minute.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"unix:{code}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        question = health_pb2.HealthCheckRequest(service="DagsterApi")
        while True:
            answer = check.future(question, timeout=HANGS_SECONDS, wait_for_ready=True)
            while not answer.done():
                yield False
            if answer.exception():
                yield True
            again = time.monotonic() + ASK_SECONDS
            while time.monotonic() < again:
                yield False
