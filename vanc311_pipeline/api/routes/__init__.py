"""The addresses of the API: one module for each kind, with a router and nothing else."""

from vanc311_pipeline.api.routes import downloads, integrity, metrics, names, requests, statistics

# Looked through in this order: what is asked most stands first.
ROUTERS = (
    metrics.router,
    requests.router,
    statistics.router,
    names.router,
    integrity.router,
    downloads.router,
)
