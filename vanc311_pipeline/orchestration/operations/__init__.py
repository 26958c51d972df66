"""Operating Dagster: whose turn it is, old runs, alerts, measures, the guard of the web server, deadlines and logs."""
