"""vanc311_pipeline: Vancouver's 3-1-1 service requests, kept equal to the city's portal, with their statistics.

Importing the package does one thing, because it must happen before anything computes a date: it makes the pinned
`tzdata` package the only source of time-zone rules in this process (see `vanc311_pipeline.timezone`).
Import everything else from its own module.
"""

from vanc311_pipeline.timezone import use_pinned_timezone_rules

use_pinned_timezone_rules()
