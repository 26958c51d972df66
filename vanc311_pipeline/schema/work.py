"""What the pipeline needs while it works, and nobody else: tables of the warehouse that are never published."""

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import integer, text

work_metadata = sa.MetaData()

turns = sa.Table(
    "turns",
    work_metadata,
    integer("number", "1, 2, 3 …: the highest is whose turn it is", "ordinal", primary_key=True, autoincrement=False),
    text("job", "what is at work: a job of Dagster's, or a command"),
    text("run_id", "its Dagster run, once there is one", nullable=True),
    text("host", "the machine that it works on"),
    integer("pid", "its process there", "process"),
    text("since", "since when", "UTC instant"),
    comment="Who works on the warehouse, and who died at it: whoever ends well takes the line away.",
    sqlite_strict=True,
)
