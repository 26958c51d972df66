"""The bundled sample, for commands that ask the portal: the stand-in serves it for as long as they do."""

from collections.abc import Iterator
from contextlib import contextmanager

from vanc311_pipeline.settings import Settings


@contextmanager
def with_sample(settings: Settings) -> Iterator[Settings]:
    """The settings as they are, or, if they want the sample and name no portal that has it, with the stand-in's address."""
    if not settings.lacks_sample:
        yield settings
        return
    from vanc311_pipeline.standin import StandIn  # loads pandas

    with StandIn() as standin:
        yield settings.changed(portal_url=standin.url)
