"""Dagster's UI behind its guard, as a process: `python -m vanc311_pipeline.commands.ui -h HOST -p PORT -w WORKSPACE`.

It stands in place of `dagster-webserver`, which has no place to put a guard, no log-in, and carries out every mutation, by GET, too,
whatever Host and Origin a request names. A foreign page could launch runs and wipe assets with it (cross-site request forgery), or
read it all under a name that it points at this machine (DNS rebinding). Who may use the UI is decided by a proxy in front of it.
"""

from pathlib import Path
from urllib.parse import urlsplit

import click
import dagster as dg
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_MAX_OVERFLOW, DEFAULT_POOL_RECYCLE
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vanc311_pipeline.commands.http import answer
from vanc311_pipeline.entry import lasting, main
from vanc311_pipeline.logs import set_up_logs
from vanc311_pipeline.orchestration.dagster_private import WorkspaceFileTarget, WorkspaceProcessContext
from vanc311_pipeline.settings import Settings

_POLL_MILLISECONDS = 2_000  # how often an open page asks for news; the default of Dagster's command


@click.command()
@click.option("-h", "--host", default="127.0.0.1", help="Where it listens.")
@click.option("-p", "--port", default=3000, type=click.IntRange(1, 65535), help="The port.")
@click.option(
    "-w", "--workspace", required=True, type=click.Path(exists=True, path_type=Path), help="The code locations."
)
def ui(host: str, port: int, workspace: Path) -> None:
    """Serve Dagster's UI until we are asked to stop."""
    settings = Settings.from_environment()
    set_up_logs(settings.log_format)
    with (
        lasting(),
        dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)])) as context,
    ):
        instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
        app = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MILLISECONDS)
        answer(lambda: Guard(app, host=host, ui_url=settings.ui_url), host, port)


_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_INTERFACE = frozenset({"0.0.0.0", "::"})
_POLICY_VIOLATION = 1008  # RFC 6455


class Guard:
    """Dagster's webserver for requests that name it rightly, by where it listens or people reach it, and come from its own page or none."""

    def __init__(self, app: ASGIApp, *, host: str, ui_url: str | None) -> None:
        public = urlsplit(ui_url or "")
        self._app = app
        self._origin = f"{public.scheme}://{public.netloc}".lower() if ui_url else None
        self._hosts = (_LOOPBACK | {host.lower()} | {public.hostname or ""}) - _EVERY_INTERFACE - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] != "lifespan" and (refusal := self._refusal(HTTPConnection(scope))):
            status, sentence = refusal
            headers = {"Allow": "POST"} if status == 405 else None
            app = PlainTextResponse(f"{sentence}\n", status, headers)
            if scope["type"] == "websocket":
                app = WebSocketClose(_POLICY_VIOLATION, sentence)
        await app(scope, receive, send)

    def _refusal(self, request: HTTPConnection) -> tuple[int, str] | None:
        headers, method, host = request.headers, request.scope.get("method"), request.headers.get("host", "").lower()
        if _hostname(host) not in self._hosts:
            return 421, (
                f"Dagster's UI is not known as {host!r}. Open it as one of {', '.join(sorted(self._hosts))}, or set VANC311_UI_URL "
                "to the address at which people reach it."
            )
        origin = headers.get("origin")
        if origin and origin.lower() not in (self._origin, f"http://{host}", f"https://{host}"):
            return 403, f"A page of {origin} may not use Dagster's UI."
        # A browser says that another site's page asks (W3C's Fetch Metadata), and not because somebody followed a link.
        link = method == "GET" and headers.get("sec-fetch-dest") == "document"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not link:
            return 403, "A page of another site may link to Dagster's UI, and nothing else."
        if method and request.scope["path"].endswith("/graphql"):
            # By POST, as JSON: what a page of another site can't send without asking first.
            if method != "POST":
                return 405, "GraphQL is answered to POST only."
            if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
                return 415, "GraphQL is answered to application/json only."
        return None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # a bracket that is not closed
        return None


if __name__ == "__main__":
    main(ui)
