"""Cutting ODSQL text into tokens, and walking along them.

Belongs here: the lexical rules (strings, numbers, date literals, back-quoted names) and the cursor that the parser
moves. Does not belong here: grammar.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vanc311_pipeline.portal.standin.errors import NotImplementedHere, PortalError, malformed

KEYWORDS = {"and", "or", "not", "in", "is", "null", "like", "as", "asc", "desc", "to", "true", "false"}

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<date>date'[^']*'|date"[^"]*") | (?P<geometry>geom(?:etry)?(?:'[^']*'|"[^"]*"))
    | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<quoted>`[^`]+`) | (?P<name>[A-Za-z_]\w*) | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<symbol>\.\.|>=|<=|!=|[=:<>(),*\[\]]) | (?P<arithmetic>[-+/])
    )""",
    re.VERBOSE | re.IGNORECASE,
)


class Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class Cursor:
    """A position in a clause: look, take, expect."""

    def __init__(self, source: str, clause: str) -> None:
        self.source, self.clause = source, clause
        self._tokens = self._cut()
        self._at = 0

    def _cut(self) -> list[Token]:
        tokens, at, end = [], 0, len(self.source.rstrip())
        while at < end:
            match = _TOKEN.match(self.source, at)
            if match is None:
                raise malformed(f"Syntax error at {self.source[at:].strip()[:20]!r}", self.clause)
            kind = str(match.lastgroup)
            tokens.append(Token(kind, match[kind], match.start(kind), match.end()))
            at = match.end()
        return [*tokens, Token("end", "", end, end)]

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    @property
    def next_token(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def written_since(self, start: int) -> str:
        """What was written from `start` up to the token before this one."""
        return self.source[start : self._tokens[self._at - 1].end].strip()

    def take(self) -> Token:
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def at_symbol(self, *symbols: str) -> bool:
        return self.token.kind == "symbol" and self.token.text in symbols

    def at_word(self, *words: str) -> bool:
        return self.token.kind == "name" and self.token.text.lower() in words

    def take_if_symbol(self, symbol: str) -> bool:
        found = self.at_symbol(symbol)
        if found:
            self.take()
        return found

    def take_if_word(self, word: str) -> bool:
        found = self.at_word(word)
        if found:
            self.take()
        return found

    def expect(self, symbol: str) -> None:
        if not self.take_if_symbol(symbol):
            raise self.error()

    def expect_word(self, word: str) -> None:
        if not self.take_if_word(word):
            raise self.error()

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise self.error()

    def error(self) -> PortalError | NotImplementedHere:
        """What is wrong with the present token."""
        if self.token.kind == "arithmetic":
            return NotImplementedHere("arithmetic in ODSQL")
        if self.token.kind == "geometry":
            return NotImplementedHere("geometry literals")
        found = repr(self.token.text) if self.token.text else "the end"
        return malformed(f"Syntax error at {found}", self.clause)
