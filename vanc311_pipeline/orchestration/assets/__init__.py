"""The assets, in the order of the data: ingestion, requests, statistics (headline metrics among them), publication."""
