"""What the stand-in answers when it does not answer with data.

Belongs here: the two kinds of refusal and their bodies, byte for byte as the portal writes them where that is
known. `PortalError` is the portal's own refusal; `NotImplementedHere` is ours: the real portal would answer, the
stand-in does not know how and says so (HTTP 501) instead of guessing.
Does not belong here: deciding when to refuse.
"""

from __future__ import annotations

import json

ODSQL = "ODSQLError"
PARAMETER = "InvalidRESTParameterError"


class PortalError(Exception):
    """A refusal in the portal's own words: status, error code and message."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error_code, self.message = status, error_code, message

    def body(self) -> bytes:
        text = json.dumps({"error_code": self.error_code, "message": self.message}, indent=2, ensure_ascii=False)
        return text.encode()


class NotImplementedHere(Exception):
    """The stand-in does not implement this part of the portal."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part

    def body(self) -> bytes:
        message = f"The stand-in does not implement {self.part}. The real portal may answer; extend the stand-in first."
        return json.dumps({"error_code": "NotImplementedByStandIn", "message": message}, indent=2).encode()


def malformed(what: str, *clauses: str) -> PortalError:
    """An ODSQL error: `what` ends without a full stop, `clauses` are the parameters it was found in."""
    where = f" Clause(s) containing the error(s): {', '.join(clauses)}."
    return PortalError(400, ODSQL, f"ODSQL query is malformed: {what}.{where}")


def unknown_field(name: str, clause: str) -> PortalError:
    return malformed(f"Unknown field: {name}", clause)


def bad_parameter(name: str, found: object, expected: str) -> PortalError:
    return PortalError(
        400, PARAMETER, f"Invalid value for {name} API parameter: {found} was found but {expected} is expected."
    )


def no_such_dataset(dataset_id: str) -> PortalError:
    return PortalError(404, "NotFoundResource", f"The requested dataset {dataset_id} does not exist.")
