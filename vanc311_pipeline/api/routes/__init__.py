"""The addresses of the API, by noun: one module each, with a router and nothing else."""

from vanc311_pipeline.api.routes import (
    backlog,
    changes,
    comparison,
    definitions,
    downloads,
    integrity,
    metrics,
    names,
    outcomes,
    quality,
    requests,
    status,
    timing,
    trends,
)

# Looked through in this order: what is asked most stands first.
ROUTERS = (
    metrics.router,
    requests.router,
    timing.router,
    trends.router,
    backlog.router,
    outcomes.router,
    comparison.router,
    quality.router,
    names.router,
    status.router,
    integrity.router,
    changes.router,
    definitions.router,
    downloads.router,
)
