"""The addresses of the API: one module for each kind, with a router and nothing else."""

from vanc311_pipeline.api.routes import downloads, integrity, names, requests, statistics

# Looked through in this order: what is asked most stands first.
ROUTERS = (requests.router, statistics.router, names.router, integrity.fresh, integrity.router, downloads.router)
