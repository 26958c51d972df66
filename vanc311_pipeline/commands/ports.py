"""A port to listen on: that it is free, or whom to blame, and its address. What listens there is the commands' own business."""

import socket

from vanc311_pipeline.errors import SettingsError


def address(host: str, port: int) -> str:
    """Where people on this machine reach a server; one that listens everywhere, by loopback."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def refuse_taken_port(what: str, host: str, port: int, advice: str) -> None:
    """Make sure that a server can listen.

    Raises:
        SettingsError: the port is taken, or the address is not one of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"{what} can't listen on {host}:{port} ({error.strerror}). Nothing was started. Choose another port: {advice}."
            ) from error
