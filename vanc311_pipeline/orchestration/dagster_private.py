"""What we take from Dagster's private modules, each with its reason: the one place to look at when Dagster's version changes.

Nothing else imports from `dagster._…` or `dagster_shared`. `commands.up` starts Dagster's daemon by its private module's name, too,
as `dagster-daemon` does, because a script of that name need not be on the path.
"""

# A month that we report ourselves needs its version.
from dagster._core.definitions.data_version import DATA_VERSION_TAG as DATA_VERSION_TAG

# The loggers of every run; Definitions reach only some runs.
from dagster._core.execution import context_creation_job as context_creation_job

# What Dagster attaches to its log records, in our logs a page of objects.
from dagster._core.log_manager import LOG_RECORD_EVENT_ATTR as LOG_RECORD_EVENT_ATTR
from dagster._core.log_manager import LOG_RECORD_EVENT_BATCH_METADATA_ATTR as LOG_RECORD_EVENT_BATCH_METADATA_ATTR
from dagster._core.log_manager import LOG_RECORD_METADATA_ATTR as LOG_RECORD_METADATA_ATTR

# Its files outlive their runs.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage as SqliteEventLogStorage

# Else the partition of every planned run is made.
from dagster._core.storage.tags import EXTERNALLY_MANAGED_ASSETS_TAG as EXTERNALLY_MANAGED_ASSETS_TAG

# The webserver's context, to put a guard before it, and what that serves.
from dagster._core.workspace.context import WorkspaceProcessContext as WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget as WorkspaceFileTarget

# What Dagster keeps of an error that a step raised.
from dagster_shared.error import SerializableErrorInfo as SerializableErrorInfo
