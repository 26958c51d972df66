"""The dashboard: pages for analysts, journalists and residents, from the published file and nothing else."""
