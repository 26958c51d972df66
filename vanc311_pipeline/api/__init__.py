"""The JSON and CSV API of the published file: `/api/v1`.

Belongs here: HTTP. Does not belong here: the questions (`reading`), the words (`registry`, `schema`), and anything that
writes. Routes go by noun; what they share: parameters, problems, the shape of a listing, and the delivery of an answer.
"""

PREFIX = "/api/v1"
