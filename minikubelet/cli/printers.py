"""Objects as text: `-o yaml|json|name|jsonpath=…|custom-columns=…`, and the server's Tables.

The columns of `get` come from the server (a Table with ready-made cells), exactly as with kubectl; only
NAMESPACE, the label columns and the `pod/` in front of names are added here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from minikubelet.cli import jsonpath
from minikubelet.cli.errors import UsageError
from minikubelet.cli.tables import Columns, cell, layout

FORMATS = ("custom-columns=", "json", "jsonpath=", "name", "wide", "yaml")


def check_format(output: str) -> None:
    """Refuse an unknown -o before anything is asked or done."""
    known = output in ("", "wide", "json", "yaml", "name")
    if not known and output.partition("=")[0] not in ("jsonpath", "jsonpath-as-json", "custom-columns"):
        raise UsageError(
            f'unable to match a printer suitable for the output format "{output}", '
            f"allowed formats are: {','.join(FORMATS)}"
        )
    if "=" not in output and output.startswith(("jsonpath", "custom-columns")):
        raise UsageError(f"template format specified but no template given: -o {output}=…")


def print_object(item: dict[str, Any], output: str, *, headers: bool = True) -> None:
    """One object (or a List) in a machine-readable format; `headers` of custom columns."""
    form, _, template = output.partition("=")
    if form == "json":
        print(json.dumps(item, indent=4, sort_keys=True, ensure_ascii=False))
    elif form == "yaml":
        print(to_yaml(item), end="")
    elif form == "jsonpath":
        sys.stdout.write(jsonpath.render(template, item))
    elif form == "jsonpath-as-json":
        print(json.dumps(jsonpath.find(template, item), indent=4, ensure_ascii=False))
    elif form == "custom-columns":
        items = item["items"] if item.get("kind") == "List" else [item]
        print_custom_columns(template, items, headers=headers)
    sys.stdout.flush()


def as_list(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What `-o json` shows for several objects."""
    return {"apiVersion": "v1", "items": list(items), "kind": "List", "metadata": {"resourceVersion": ""}}


def to_yaml(item: Any) -> str:
    """YAML in kubectl's style: sorted keys, block texts, double quotes where quotes are needed."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        plain = yaml.SafeDumper.represent_str(dumper, text)
        if "\n" in text:
            plain.style = "|"
        elif _reads_differently(dumper, plain):
            plain.style = '"'
        return plain

    Dumper.add_representer(str, represent_text)
    return str(yaml.dump(item, Dumper=Dumper, sort_keys=True, allow_unicode=True))


def _reads_differently(dumper: Any, node: Any) -> bool:
    """`true`, `80`, `null`: a text that would come back as something else without quotes."""
    # go-yaml reads y and n as booleans, PyYAML does not; both read files that come from here.
    return node.value in ("y", "Y", "n", "N") or bool(
        dumper.resolve(type(node), node.value, (True, False)) != node.tag
    )


def print_custom_columns(template: str, items: Iterable[dict[str, Any]], *, headers: bool) -> None:
    """`NAME:.metadata.name,IP:.status.podIP`."""
    columns = [column.partition(":") for column in template.split(",")]
    if not all(head and path for head, _, path in columns):
        raise UsageError(f"unexpected custom-columns spec: {template}, expected <header>:<json-path-expr>")
    rows = [[head for head, _, _ in columns]] if headers else []
    for item in items:
        found = [jsonpath.find(path, item) for _, _, path in columns]
        rows.append([cell(",".join(map(jsonpath.text, values)) if values else "<none>") for values in found])
    for line in layout(rows):
        print(line)


class TablePrinter:
    """Prints Tables of one type as they come, with one header and remembered widths."""

    def __init__(
        self,
        *,
        wide: bool = False,
        headers: bool = True,
        namespace: bool = False,
        kind: str = "",
        show_labels: bool = False,
        label_columns: Sequence[str] = (),
        events: bool = False,
    ) -> None:
        self.wide = wide
        self.headers = headers
        self.namespace = namespace
        self.kind = kind
        self.show_labels = show_labels
        self.label_columns = label_columns
        self.events = events
        self.columns = Columns()
        self.shown: list[int] = []
        self.name_at = -1

    def print(self, table: dict[str, Any], event: str = "") -> None:
        """Print the rows; the first table with column definitions brings the header line."""
        lines = self.header(table)
        lines += [self._row(row, event) for row in table.get("rows") or ()]
        for line in self.columns.lines(lines):
            print(line)
        sys.stdout.flush()

    def header(self, table: dict[str, Any]) -> list[list[str]]:
        definitions = table.get("columnDefinitions")
        if not definitions or self.shown:
            return []
        self.shown = [at for at, column in enumerate(definitions) if self.wide or not column.get("priority")]
        self.name_at = next((at for at in self.shown if definitions[at].get("format") == "name"), -1)
        if not self.headers:
            return []
        names = [definitions[at]["name"].upper() for at in self.shown]
        labels = [key.rpartition("/")[2].upper() for key in self.label_columns]
        front = ["EVENT"] * self.events + ["NAMESPACE"] * self.namespace
        return [[*front, *names, *labels, *(["LABELS"] if self.show_labels else [])]]

    def _row(self, row: dict[str, Any], event: str) -> list[str]:
        metadata = (row.get("object") or {}).get("metadata") or {}
        labels = metadata.get("labels") or {}
        front = [event] * self.events + [metadata.get("namespace", "")] * self.namespace
        cells = [self._cell(row["cells"], at) for at in self.shown]
        extra = [cell(labels.get(key, "")) for key in self.label_columns]
        if self.show_labels:
            extra.append(cell(format_labels(labels)))
        return [*front, *cells, *extra]

    def _cell(self, cells: Sequence[Any], at: int) -> str:
        text = cell(cells[at]) if at < len(cells) else ""
        return f"{self.kind}/{text}" if self.kind and at == self.name_at else text


def format_labels(labels: dict[str, str] | None) -> str:
    """`a=b,c=d` or `<none>`."""
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) if labels else "<none>"


def hide_managed_fields(item: dict[str, Any]) -> dict[str, Any]:
    (item.get("metadata") or {}).pop("managedFields", None)
    return item
