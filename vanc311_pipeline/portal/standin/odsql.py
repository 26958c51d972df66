"""Reading ODSQL: select, where, group_by and order_by text into nodes.

Belongs here: the grammar, and refusing what is grammatical for the portal but not implemented (token searches,
geometry, ranges as group keys). Does not belong here: whether a field exists, what a comparison means.
"""

from __future__ import annotations

from vanc311_pipeline.portal.standin.errors import NotImplementedHere, malformed
from vanc311_pipeline.portal.standin.odsql_nodes import (
    AGGREGATES,
    DATE_PARTS,
    Aggregate,
    Both,
    Comparison,
    Condition,
    DateFormat,
    DateLiteral,
    DatePart,
    Either,
    Everything,
    Expression,
    FieldName,
    IsNull,
    Item,
    Literals,
    Not,
    Now,
    Number,
    OneOf,
    Operand,
    Operator,
    Sorting,
    Text,
    Within,
)
from vanc311_pipeline.portal.standin.odsql_tokens import KEYWORDS, Cursor

_OPERATORS: dict[str, Operator] = {"=": "=", ":": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def read_where(text: str) -> Condition:
    cursor = Cursor(text, "where")
    condition = _either(cursor)
    cursor.expect_end()
    return condition


def read_select(text: str) -> list[Item | Everything]:
    cursor = Cursor(text, "select")
    items = [_selected(cursor)]
    while cursor.take_if_symbol(","):
        items.append(_selected(cursor))
    cursor.expect_end()
    return items


def read_group_by(text: str) -> list[Item]:
    cursor = Cursor(text, "group_by")
    items = [_item(cursor)]
    while cursor.take_if_symbol(","):
        items.append(_item(cursor))
    cursor.expect_end()
    if any(isinstance(each.expression, Aggregate) for each in items):
        raise malformed("An aggregation can't be a group", "group_by")
    return items


def read_order_by(text: str) -> list[Sorting]:
    cursor = Cursor(text, "order_by")
    sortings = [_sorting(cursor)]
    while cursor.take_if_symbol(","):
        sortings.append(_sorting(cursor))
    cursor.expect_end()
    return sortings


def _selected(cursor: Cursor) -> Item | Everything:
    if cursor.take_if_symbol("*"):
        return Everything()
    if cursor.at_word("include", "exclude") and cursor.next_token.text == "(":
        mode = cursor.take().text.lower()
        cursor.expect("(")
        pattern = _name(cursor) if not cursor.at_symbol("*") else ""
        pattern += "*" if cursor.take_if_symbol("*") else ""
        cursor.expect(")")
        return Everything("include" if mode == "include" else "exclude", pattern)
    return _item(cursor)


def _item(cursor: Cursor) -> Item:
    start = cursor.token.start
    expression = _expression(cursor)
    text = cursor.written_since(start)
    alias = _name(cursor) if cursor.take_if_word("as") else None
    return Item(expression, text, alias)


def _sorting(cursor: Cursor) -> Sorting:
    start = cursor.token.start
    expression = _expression(cursor)
    text = cursor.written_since(start)
    descending = cursor.take_if_word("desc")
    if not descending:
        cursor.take_if_word("asc")
    name = expression.name if isinstance(expression, FieldName) else text
    return Sorting(name, expression, descending)


def _expression(cursor: Cursor) -> Expression:
    if cursor.token.kind in ("quoted", "name") and cursor.next_token.text != "(":
        return FieldName(_name(cursor))
    if cursor.token.kind != "name":
        raise cursor.error()
    function = cursor.take().text.lower()
    cursor.expect("(")
    if function in AGGREGATES:
        expression: Expression = _aggregate(cursor, function)
    elif function in DATE_PARTS:
        expression = DatePart(function, _name(cursor))
    elif function == "date_format":
        field = _name(cursor)
        cursor.expect(",")
        if cursor.token.kind != "text":
            raise cursor.error()
        expression = DateFormat(field, _unquoted(cursor.take().text))
    else:
        raise NotImplementedHere(f"the function {function}() in {cursor.clause}")
    cursor.expect(")")
    return expression


def _aggregate(cursor: Cursor, function: str) -> Aggregate:
    if function == "count" and cursor.take_if_symbol("*"):
        return Aggregate("count", None)
    distinct = function == "count" and cursor.at_word("distinct") and cursor.next_token.text != ")"
    if distinct:
        cursor.take()
    field = _name(cursor)
    if function != "percentile":
        return Aggregate(function, field, distinct)
    cursor.expect(",")
    if cursor.token.kind != "number":
        raise cursor.error()
    return Aggregate(function, field, quantile=float(cursor.take().text))


def _either(cursor: Cursor) -> Condition:
    left = _both(cursor)
    while cursor.take_if_word("or"):
        left = Either(left, _both(cursor))
    return left


def _both(cursor: Cursor) -> Condition:
    left = _negated(cursor)
    while cursor.take_if_word("and"):
        left = Both(left, _negated(cursor))
    return left


def _negated(cursor: Cursor) -> Condition:
    if cursor.take_if_word("not"):
        return Not(_negated(cursor))
    if cursor.take_if_symbol("("):
        condition = _either(cursor)
        cursor.expect(")")
        return condition
    return _predicate(cursor)


def _predicate(cursor: Cursor) -> Condition:
    if cursor.token.kind == "text":
        raise NotImplementedHere("token search by a bare string in where")
    left = _operand(cursor)
    if cursor.at_word("like"):
        raise NotImplementedHere("`like` (a token search)")
    if cursor.take_if_word("is"):
        return _null_test(cursor, left)
    if cursor.take_if_word("in"):
        return _membership(cursor, left)
    if not cursor.at_symbol(*_OPERATORS):
        raise cursor.error()
    operator = _OPERATORS[cursor.take().text]
    return Comparison(left, operator, _literal(cursor))


def _operand(cursor: Cursor) -> Operand:
    if cursor.token.kind == "number":
        raise NotImplementedHere("a literal on the left of a comparison")
    expression = _expression(cursor)
    if isinstance(expression, DateFormat):
        raise NotImplementedHere("date_format() in where")
    if isinstance(expression, Aggregate):
        raise malformed("An aggregation is no condition", "where")
    return expression


def _null_test(cursor: Cursor, left: Operand) -> Condition:
    negated = cursor.take_if_word("not")
    if cursor.at_word("true", "false"):
        raise NotImplementedHere("`is true` and `is false`")
    cursor.expect_word("null")
    if isinstance(left, DatePart):
        raise NotImplementedHere("`is null` on a date function")
    return Not(IsNull(left)) if negated else IsNull(left)


def _membership(cursor: Cursor, left: Operand) -> Condition:
    if cursor.take_if_symbol("("):
        choices = [_literal(cursor)]
        while cursor.take_if_symbol(","):
            choices.append(_literal(cursor))
        cursor.expect(")")
        return OneOf(left, tuple(choices))
    if not cursor.at_symbol("[", "]"):
        raise cursor.error()
    low_open = cursor.take().text == "]"
    low = _literal(cursor)
    if not cursor.take_if_symbol(".."):
        cursor.expect_word("to")
    high = _literal(cursor)
    if not cursor.at_symbol("[", "]"):
        raise cursor.error()
    return Within(left, low, high, low_open, cursor.take().text == "[")


def _literal(cursor: Cursor) -> Literals:
    kind, text = cursor.token.kind, cursor.token.text
    if kind == "text":
        return Text(_unquoted(cursor.take().text))
    if kind == "number":
        return Number(float(cursor.take().text))
    if kind == "date":
        return DateLiteral(cursor.take().text[5:-1])
    if cursor.at_word("now") and cursor.next_token.text == "(":
        return _now(cursor)
    if cursor.at_word("true", "false"):
        raise NotImplementedHere("boolean literals")
    if kind in ("name", "quoted") and text.lower() not in KEYWORDS:
        raise NotImplementedHere("comparing a field with a field")
    raise cursor.error()


def _now(cursor: Cursor) -> Now:
    cursor.take()
    cursor.expect("(")
    changes: list[tuple[str, int]] = []
    while not cursor.take_if_symbol(")"):
        if changes:
            cursor.expect(",")
        unit = _name(cursor).lower()
        cursor.expect("=")
        if cursor.token.kind != "number" or "." in cursor.token.text:
            raise cursor.error()
        changes.append((unit, int(cursor.take().text)))
        if unit.rstrip("s") not in DATE_PARTS:
            raise NotImplementedHere(f"now({unit}=...)")
    return Now(tuple(changes))


def _name(cursor: Cursor) -> str:
    token = cursor.token
    if token.kind == "quoted":
        return cursor.take().text[1:-1]
    if token.kind != "name" or token.text.lower() in KEYWORDS:
        raise cursor.error()
    return cursor.take().text


def _unquoted(text: str) -> str:
    return text[1:-1].replace(f"\\{text[0]}", text[0]).replace("\\\\", "\\")
