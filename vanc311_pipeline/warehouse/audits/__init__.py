"""Audits: each asks one question about what is stored and answers with what it found. They only read.

An audit computes its answer another way than the code that it audits, or it could not find that code wrong.
"""

from vanc311_pipeline.warehouse.audits import briefs, completeness, files, laws, plausibility, recomputed, stored
from vanc311_pipeline.warehouse.audits.questions import Audit

AUDITS = (
    *(each for module in (files, stored, completeness) for each in vars(module).values() if isinstance(each, Audit)),
    *laws.AUDITS,
    *(
        each
        for module in (recomputed, briefs, plausibility)
        for each in vars(module).values()
        if isinstance(each, Audit)
    ),
)
"""Every audit."""
