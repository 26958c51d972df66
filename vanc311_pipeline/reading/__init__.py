"""What every reader of the published file shares: the release that is current, and the questions that it is asked.

Belongs here: the open file, and questions as SQLAlchemy Core over the tables of `schema`; what a user types only ever
becomes a bound value. Does not belong here: HTTP, HTML, and anything that writes.
"""
