"""kubectl's JSONPath templates: `{.items[*].metadata.name}`, `{range .items[*]}{.spec.nodeName}{"\\n"}{end}`.

A template is text with expressions in braces. Understood in an expression: fields (`.a`, `['a.b']`,
`.a\\.b`), wildcards, indices and slices, unions (`[0,2]`, `['a','b']`), recursive descent (`..a`), filters
(`[?(@.type=="Ready")]`), string literals, and `range … end`. A missing field gives nothing, as with kubectl.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from minikubelet.cli.errors import CliError

Step = Callable[[list[Any]], list[Any]]

_PIECE = re.compile(r"\{((?:[^{}\"']|\"(?:\\.|[^\"])*\"|'(?:\\.|[^'])*')*)\}|([^{]+)|(\{)")
_FIELD = re.compile(r"\.\.|\.?((?:\\.|[^.\[\]\\\s])+)|\.")
_FILTER = re.compile(r"\?\(\s*(.+?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?)\s*)?\)$")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def render(template: str, data: Any) -> str:
    """The text of a template."""
    return "".join(_render(list(_pieces(template)), data, data))


def find(expression: str, data: Any) -> list[Any]:
    """What an expression selects; its braces may be missing (`--for=jsonpath=.status.phase`)."""
    inner = expression.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    return _select(inner, data, data)


def text(value: Any) -> str:
    """A value as kubectl prints it: strings bare, everything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("expr", …) in order."""
    for match in _PIECE.finditer(template):
        if match.group(3):
            raise CliError(f"error parsing jsonpath {template}, unclosed action")
        if match.group(2) is not None:
            yield "text", match.group(2)
        else:
            yield "expr", match.group(1).strip()


def _render(pieces: list[tuple[str, str]], current: Any, root: Any) -> Iterator[str]:
    at = 0
    while at < len(pieces):
        kind, content = pieces[at]
        at += 1
        if kind == "text":
            yield content
        elif content.startswith("range "):
            end = _matching_end(pieces, at)
            for item in _select(content[6:].strip(), current, root):
                yield from _render(pieces[at:end], item, root)
            at = end + 1
        elif content[:1] in ("'", '"'):
            yield _literal(content)
        else:
            yield " ".join(text(value) for value in _select(content, current, root))


def _matching_end(pieces: list[tuple[str, str]], start: int) -> int:
    depth = 1
    for at in range(start, len(pieces)):
        kind, content = pieces[at]
        if kind == "expr" and content.startswith("range "):
            depth += 1
        if kind == "expr" and content == "end":
            depth -= 1
        if not depth:
            return at
    raise CliError("error parsing jsonpath, unclosed range")


def _select(path: str, current: Any, root: Any) -> list[Any]:
    """The values one path selects from the current node (`@`, `.a`) or the root (`$`)."""
    values = [root if path.startswith("$") else current]
    rest = path[1:] if path[:1] in ("$", "@") else path
    while rest:
        if rest[0] == "[":
            inner, rest = _bracket(rest, path)
            values = _subscript(inner, values, root)
            continue
        match = _FIELD.match(rest)
        if match is None:
            raise CliError(f"error parsing jsonpath {path}, unrecognized character {rest[0]!r}")
        rest = rest[match.end() :]
        if match.group() == "..":
            values = [deep for value in values for deep in _descend(value)]
        elif match.group(1) is not None:
            values = _child(re.sub(r"\\(.)", r"\1", match.group(1)), values)
    return values


def _bracket(rest: str, path: str) -> tuple[str, str]:
    """The inside of the leading `[…]`, and what follows; quotes and nested brackets are respected."""
    depth, quote = 0, ""
    for at, char in enumerate(rest):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if not depth:
                return rest[1:at].strip(), rest[at + 1 :]
    raise CliError(f"error parsing jsonpath {path}, unterminated array")


def _subscript(inner: str, values: list[Any], root: Any) -> list[Any]:
    if inner.startswith("?"):
        return [
            item for value in values if isinstance(value, list) for item in value if _keeps(inner, item, root)
        ]
    chosen: list[Any] = []
    for part in re.findall(r"'[^']*'|\"[^\"]*\"|[^,\s]+", inner):
        if part[0] in "'\"":
            chosen += _child(_literal(part), values)
        elif part == "*":
            chosen += _child("*", values)
        else:
            chosen += [item for value in values if isinstance(value, list) for item in _index(part, value)]
    return chosen


def _index(part: str, items: list[Any]) -> list[Any]:
    try:
        bounds = [int(bound) if bound else None for bound in part.split(":")]
    except ValueError:
        raise CliError(f"error parsing jsonpath, invalid array index {part}") from None
    if len(bounds) > 1:
        return items[slice(*bounds)]
    at = bounds[0] or 0
    if not -len(items) <= at < len(items):
        raise CliError(f"array index out of bounds: index {at}, length {len(items)}")
    return [items[at]]


def _keeps(inner: str, item: Any, root: Any) -> bool:
    match = _FILTER.match(inner)
    if match is None:
        raise CliError(f"error parsing jsonpath, cannot read the filter [{inner}]")
    left, operator, right = match.groups()
    found = _operand(left, item, root)
    if operator is None:
        return bool(found)
    wanted = _operand(right, item, root)
    try:
        return any(_COMPARE[operator](a, b) for a in found for b in wanted)
    except TypeError:
        return False


def _operand(word: str, item: Any, root: Any) -> list[Any]:
    if word[0] in "'\"":
        return [_literal(word)]
    if word[0] in "@$.":
        return _select(word, item, root)
    try:
        return [json.loads(word)]
    except ValueError:
        raise CliError(f"error parsing jsonpath, cannot read {word} in a filter") from None


def _child(name: str, values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if name == "*" and isinstance(value, dict | list):
            found += value.values() if isinstance(value, dict) else value
        elif isinstance(value, dict) and name in value:
            found.append(value[name])
    return found


def _descend(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _descend(item)


def _literal(quoted: str) -> str:
    body = quoted[1:-1]
    if quoted[0] == "'":
        body = body.replace("\\'", "'").replace('"', '\\"')
    try:
        return str(json.loads(f'"{body}"'))
    except ValueError:
        raise CliError(f"error parsing jsonpath, cannot read the text {quoted}") from None
