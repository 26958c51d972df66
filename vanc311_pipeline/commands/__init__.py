"""What the commands of `vanc311` do and print; one module each. They call the pipeline and hold no logic of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from vanc311_pipeline.settings import Settings


@contextmanager
def with_sample(settings: Settings) -> Iterator[Settings]:
    """The settings as they are; if they want the sample and name no portal that has it, the stand-in serves it during the block."""
    if not settings.lacks_sample:
        yield settings
        return
    from vanc311_pipeline.standin import StandIn  # loads pandas

    with StandIn() as standin:
        yield settings.changed(portal_url=standin.url)
