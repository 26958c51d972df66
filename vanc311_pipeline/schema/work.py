"""What the pipeline needs while it works, and nobody else: tables of the warehouse that are never published."""

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import integer, text

work_metadata = sa.MetaData()

plans = sa.Table(
    "plans",
    work_metadata,
    text("name", "digest of what it says", "hex", primary_key=True),
    text("planned_at", "when it was made", "UTC instant"),
    text("why", "what the portal has that we haven't, in a sentence"),
    text("releases", "the portal's releases that it is about: dataset, instant, rows", "JSON list"),
    text(
        "windows",
        "what is to be loaded: dataset, month, the portal's fingerprint, whether it is only read again",
        "JSON list",
    ),
    comment="What a run is to do; the last days' plans.",
    sqlite_strict=True,
)

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
