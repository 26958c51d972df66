"""`python -m vanc311_pipeline.commands.docs methods.md` prints a page of docs/ that is written from the code, as `make docs` does for all."""

import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vanc311_pipeline import calibration, metric_definitions
from vanc311_pipeline.settings import LICENCE
from vanc311_pipeline.warehouse.publishing import dictionary_rows

TEMPLATES = Path(__file__).parent / "templates"
PAGES = sorted(template.name for template in TEMPLATES.iterdir())


def page(name: str) -> str:
    """A page of docs/ as Markdown: `methods.md` from the metric definitions and the calibration, `data_dictionary.md` from the schema."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(name).render(
        metric_definitions=metric_definitions,
        calibration=calibration.read(),
        head=calibration.HEAD,
        explanation=calibration.EXPLANATION,
        dictionary=dictionary_rows(),
        licence=LICENCE,
    )


if __name__ == "__main__":
    print(page(sys.argv[1]), end="")
