"""Label selectors, read as the API server reads them: `app=web,tier!=db,env in (a, b),!canary,n>5`.

The words of its lexer and parser are kept, because its messages quote them. The values `in` and `notin` are
words only behind a key: a label may be called `in`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import BadRequest
from minikubelet.v1.validation.field import invalid, shown
from minikubelet.v1.validation.names import label_value, qualified_name

Object = dict[str, Any]
Labels = dict[str, str]

END = ""
OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")
OPERATOR_WORDS = "in, notin, =, ==, !=, gt, lt"
SYMBOLS = frozenset({"=", "==", "!=", "!", "(", ")", ",", ">", "<"})
_TOKEN = re.compile(r"\s*(==|!=|[=!()<>,]|[^\s=!()<>,]+)")


class ParseError(Exception):
    """Why a selector cannot be read."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One of the terms; all must hold. `exists` and `!` have no values, the others at least one."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Labels) -> bool:
        present = self.key in labels
        value = labels.get(self.key, "")
        match self.operator:
            case "exists":
                return present
            case "!":
                return not present
            case "in" | "=" | "==":
                return present and value in self.values
            case "notin" | "!=":
                return not present or value not in self.values
        return present and _compare(value, self.operator, int(*self.values))


def label_selector(text: str) -> Callable[[Object], bool] | None:
    """A function over objects; None when there is nothing to select by. BadRequest in the server's words."""
    try:
        requirements = list(dict.fromkeys(parse(text)))
    except ParseError as error:
        raise BadRequest(str(error)) from None
    if not requirements:
        return None
    return lambda obj: all(one.holds(obj["metadata"].get("labels") or {}) for one in requirements)


def parse(text: str) -> list[Requirement]:
    """The terms of a selector. Raises ParseError."""
    return _Parser(_TOKEN.findall(text)).requirements()


class _Parser:
    """A cursor over the words of a selector."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            token = self._peek()
            if token == END:
                return found
            if token in SYMBOLS and token != "!":
                raise ParseError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ParseError as error:
                raise ParseError(f"unable to parse requirement: {error}") from None
            after = self._next()
            if after == END:
                return found
            if after != ",":
                raise ParseError(f"found '{after}', expected: ',' or 'end of string'")
            following = self._peek()
            if following == END or (following in SYMBOLS and following != "!"):
                raise ParseError(f"found '{following}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._next()
        key = self._next()
        if key == END or key in SYMBOLS:
            raise ParseError(f"found '{key}', expected: identifier")
        _check("<nil>", key, qualified_name(key))
        if absent or self._peek() in (END, ","):
            return Requirement(key, "!" if absent else "exists")
        operator = self._next()
        if operator not in OPERATORS:
            raise ParseError(f"found '{operator}', expected: {OPERATOR_WORDS}")
        values = self._list() if operator in ("in", "notin") else frozenset((self._value(),))
        return _checked(Requirement(key, operator, values))

    def _value(self) -> str:
        if self._peek() in (END, ","):
            return ""
        token = self._next()
        if token in SYMBOLS:
            raise ParseError(f"found '{token}', expected: identifier")
        return token

    def _list(self) -> frozenset[str]:
        """`(a, b)`; what is left out between commas is the empty value."""
        token = self._next()
        if token != "(":
            raise ParseError(f"found '{token}' expected: '('")
        values: set[str] = set()
        wanted = True  # a value, before the next comma
        while True:
            token = self._next()
            if token == ")":
                return frozenset(values | {""} if wanted else values)
            if token == ",":
                if wanted:
                    values.add("")
                wanted = True
            elif not wanted:
                raise ParseError(f"found '{token}', expected: ',' or ')'")
            elif token == END or token in SYMBOLS:
                raise ParseError(f"found '{token}', expected: ',', or identifier")
            else:
                values.add(token)
                wanted = False

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else END

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token


def _checked(requirement: Requirement) -> Requirement:
    for index, value in enumerate(sorted(requirement.values)):
        if requirement.operator in ("<", ">") and not re.fullmatch(r"[-+]?\d{1,18}", value):
            detail = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise ParseError(f"values[{index}]: Invalid value: {shown(value)}: {detail}")
        _check(f"values[{index}][{requirement.key}]", value, label_value(value))
    return requirement


def _check(path: str, value: str, wrong: Iterable[str]) -> None:
    if why := "; ".join(wrong):
        raise ParseError(str(invalid(path, value, why)))


def _compare(value: str, operator: str, bound: int) -> bool:
    """A label that is no number is neither more nor less."""
    if not re.fullmatch(r"[-+]?\d{1,18}", value):
        return False
    return int(value) > bound if operator == ">" else int(value) < bound
