"""What we take from Dagster's private modules, each with its reason: the one place to look at when Dagster's version changes.

Nothing else imports from `dagster._…` or `dagster_shared`. `commands.up` starts Dagster's daemon by its private module's name, too,
as `dagster-daemon` does, because a script of that name need not be on the path.
"""

from dagster._core.definitions.data_version import (
    DATA_VERSION_TAG,  # a month that we report ourselves needs its version
)
from dagster._core.execution import context_creation_job  # the loggers of every run; Definitions reach only some runs
from dagster._core.log_manager import (  # what Dagster attaches to its log records, in our logs a page of objects
    LOG_RECORD_EVENT_ATTR,
    LOG_RECORD_EVENT_BATCH_METADATA_ATTR,
    LOG_RECORD_METADATA_ATTR,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,  # its files outlive their runs
)
from dagster._core.storage.tags import EXTERNALLY_MANAGED_ASSETS_TAG  # else the partition of every planned run is made
from dagster._core.workspace.context import WorkspaceProcessContext  # the webserver's context, to put a guard before it
from dagster._core.workspace.load_target import WorkspaceFileTarget  # what that context serves
from dagster_shared.error import SerializableErrorInfo  # what Dagster keeps of an error that a step raised

__all__ = [
    "DATA_VERSION_TAG",
    "EXTERNALLY_MANAGED_ASSETS_TAG",
    "LOG_RECORD_EVENT_ATTR",
    "LOG_RECORD_EVENT_BATCH_METADATA_ATTR",
    "LOG_RECORD_METADATA_ATTR",
    "SerializableErrorInfo",
    "SqliteEventLogStorage",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "context_creation_job",
]
