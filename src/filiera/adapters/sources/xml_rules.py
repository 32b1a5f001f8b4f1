"""What a catalog entry says about XML: where records are, and which column is where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from filiera.adapters.sources.xml_paths import Place, ValuePath, place, value_path
from filiera.core.task import Entry
from filiera.core.value import dataclass
from filiera.errors import ProjectError

Many = Literal["refuse", "first", "join", "count", "list"]
MANY: tuple[str, ...] = get_args(Many)
_FIELD_KEYS = ("path", "many", "separator", "optional")
_UNREADABLE = ("duration",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A column: where its values stand, and what becomes of several in one row."""

    name: str
    path: str  #: as it was written
    where: ValuePath
    many: str = "refuse"  #: one of ``MANY``
    separator: str = ", "  #: of "join"
    is_optional: bool = False  #: it may be nowhere in a source


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """An entry of the catalog, understood."""

    records: Place  #: tags from the root to a record, which is read whole
    rows: Place  #: tags from a record to the elements that are rows; (): the record is one
    fields: tuple[Field, ...]
    types: Mapping[str, str]  #: by column, those declared
    namespaces: Mapping[str, str]  #: by prefix
    encoding: str  #: in which the files are, whatever they declare; "": the one they declare
    records_path: str  #: ``records`` as it was written
    rows_path: str  #: ``rows`` as it was written

    @property
    def row_path(self) -> str:
        """Return the XPath of all rows of a file."""
        return "/".join((self.records_path, *self.row_steps))

    @property
    def row_steps(self) -> tuple[str, ...]:
        """Return the steps from a record to the elements that are rows, as they were written."""
        return tuple(self.rows_path.split("/")) if self.rows_path else ()


def is_fields(value: Any) -> str:
    """Say that a value is not a table of columns and paths."""
    if not isinstance(value, Mapping) or not value:
        return 'needs a table of columns and paths, such as {price = "item/@price"}'
    for name, rule in value.items():
        if problem := _rule_problem({"path": rule} if isinstance(rule, str) else rule):
            return f"has the column {name!r} which {problem}"
    return ""


def _rule_problem(rule: Any) -> str:
    if not isinstance(rule, Mapping) or not isinstance(rule.get("path"), str):
        return 'needs a path, or a table such as {path = "item/@sku", many = "list"}'
    if unknown := [key for key in rule if key not in _FIELD_KEYS]:
        return f"has the key {unknown[0]!r}; known are: {', '.join(_FIELD_KEYS)}"
    if rule.get("many", "refuse") not in MANY:
        return f"has many = {rule['many']!r}; known are: {', '.join(MANY)}"
    if not isinstance(rule.get("separator", ""), str) or ("separator" in rule and rule.get("many") != "join"):
        return 'has a separator, a text that needs many = "join"'
    return "" if isinstance(rule.get("optional", False), bool) else "needs optional = true or false"


def is_namespaces(value: Any) -> str:
    """Say that a value is not a table of prefixes and namespaces."""
    is_good = isinstance(value, Mapping) and all(isinstance(name, str) and name for name in value.values())
    return "" if is_good else 'needs a table of prefixes and namespaces, such as {atom = "http://www.w3.org/2005/Atom"}'


def rules_of(entry: Entry) -> Rules:
    """Return what an entry with options of the right kinds says. Raises ProjectError when a path cannot be followed."""
    for name in ("records", "fields"):
        if name not in entry:
            raise ProjectError(
                f"An xml source needs the option {name!r}.",
                why="Nothing else says which elements are rows and columns of the table.",
                do='Write, for example, records = "/orders/order" and fields = {id = "@id", city = "customer/city"}.',
            )
    spaces = entry.get("namespaces", {})
    records, rows = str(entry["records"]), str(entry.get("rows", ""))
    if not records.startswith("/") or records.startswith("//"):
        raise _bad("records", records, "it must lead from the root of the file, as /orders/order does")
    if rows.startswith("/"):
        raise _bad("rows", rows, "it leads from a record to the elements in it that are rows, as ports/port does")
    record_place, row_place = _place("records", records, spaces), _place("rows", rows, spaces) if rows else ()
    fields = tuple(_field(name, rule, spaces) for name, rule in entry["fields"].items())
    for field in fields:
        _refuse_lost(field, depth=len(record_place), rows=len(row_place))
    return Rules(
        records=record_place,
        rows=row_place,
        fields=fields,
        types=_types(entry.get("columns", {}), {field.name: field for field in fields}),
        namespaces=spaces,
        encoding=str(entry.get("encoding", "")),
        records_path=records,
        rows_path=rows,
    )


def _place(option: str, path: str, namespaces: Mapping[str, str]) -> Place:
    try:
        return place(path, namespaces)
    except ValueError as error:
        raise _bad(option, path, str(error)) from error


def _field(name: str, rule: str | Mapping[str, Any], namespaces: Mapping[str, str]) -> Field:
    said: Mapping[str, Any] = {"path": rule} if isinstance(rule, str) else rule
    try:
        where = value_path(said["path"], namespaces)
    except ValueError as error:
        raise _bad(f"fields.{name}", said["path"], str(error)) from error
    return Field(
        name=name,
        path=said["path"],
        where=where,
        many=said.get("many", "refuse"),
        separator=said.get("separator", ", "),
        is_optional=said.get("optional", False),
    )


def _refuse_lost(field: Field, *, depth: int, rows: int) -> None:
    """Refuse paths to what is gone when a record is read."""
    if field.where.ups >= depth + rows:
        raise _bad(f"fields.{field.name}", field.path, "it leads above the root")
    is_own_attribute = field.where.steps == () and field.where.attribute
    if field.where.ups > rows and not is_own_attribute:
        raise _bad(
            f"fields.{field.name}",
            field.path,
            "it leads out of the record, and of what is around a record only attributes are kept, as ../@currency",
            do="Let 'records' name the element that holds all of it, and 'rows' those in it that become rows.",
        )


def _types(columns: Mapping[str, str], fields: Mapping[str, Field]) -> Mapping[str, str]:
    for name, kind in columns.items():
        if name not in fields:
            why = f"'columns' gives types to the columns of 'fields', which are: {', '.join(fields)}"
            raise _bad("columns", name, why)
        if kind in _UNREADABLE:
            raise _bad(
                "columns", name, f"texts cannot be read as {kind}", do="Read it as string, and convert it in a step."
            )
        if fields[name].many == "count":
            raise _bad("columns", name, "a count has the type int64")
        if fields[name].many == "join" and kind != "string":
            raise _bad("columns", name, "joined texts have the type string")
    return columns


def _bad(option: str, value: str, why: str, *, do: str = "Correct it in the catalog of filiera.toml.") -> ProjectError:
    return ProjectError(f"Option {option!r} of an xml source is {value!r}.", why=f"{why[:1].upper()}{why[1:]}.", do=do)
