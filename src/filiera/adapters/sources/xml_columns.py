"""From texts to typed columns, and which types texts have."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from filiera.adapters.sources.xml_rows import FIELD, ROW, VALUE
from filiera.adapters.sources.xml_rules import Field
from filiera.core.check import TYPES

_WHOLE = r"^[+-]?(0|[1-9][0-9]{0,18})$"
_FRACTION = r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?INF$|^NaN$"
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_TIMESTAMPS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M")


class Several(Exception):
    """Several values where one was expected."""

    def __init__(self, row: int, values: tuple[str, ...]) -> None:
        super().__init__(row, values)
        self.row = row  #: from 0, in the rows given
        self.values = values


class Unfit(Exception):
    """A text that is not of the type that its column has."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(row, text)
        self.row = row  #: from 0, in the values given
        self.text = text


def dtype_of(type_name: str, *, is_list: bool) -> pl.DataType:
    """Return the Polars type of a column of this type.

    >>> dtype_of("int8", is_list=True)
    List(Int8)
    """
    inner = pl.Datetime("us") if type_name == "timestamp" else getattr(pl, TYPES[type_name])()
    return pl.List(inner) if is_list else inner


def columns_of(rows: bytes, names: Sequence[str]) -> pl.DataFrame:
    r"""Return the rows that ``RowReader`` made as a table of *names*, each field with all its values in one text.

    >>> columns_of(b"1\x1f\x1e\x1d\x1ea\x1fb\x1f\x1d", ["x", "y"]).rows()
    [('1\x1f', ''), ('', 'a\x1fb\x1f')]
    """
    lines = pl.Series("row", [rows.decode()]).str.split(ROW).explode().head(-1)
    return lines.str.split_exact(FIELD, len(names) - 1).struct.rename_fields(list(names)).struct.unnest()


def values_of(fields: pl.Series, field: Field) -> pl.Series:
    """Return what a field makes of its values: a text or null, a list, or a count. Of several it may want only one.

    Raises:
        Several: It says nothing of several values.
    """
    text = pl.col(fields.name)
    values = text.str.strip_suffix(VALUE)
    match field.many:
        case "count":
            made = text.str.count_matches(VALUE, literal=True).cast(pl.Int64)
        case "list":
            made = pl.when(text == "").then(pl.lit([], pl.List(pl.String))).otherwise(values.str.split(VALUE))
        case "first":
            made = pl.when(text != "").then(values.str.splitn(VALUE, 2).struct.field("field_0"))
        case "join":
            made = pl.when(text != "").then(values.str.replace_all(VALUE, field.separator, literal=True))
        case _:
            made = pl.when(text != "").then(values)
    found = fields.to_frame().select(made.alias(fields.name)).to_series()
    if field.many == "refuse":
        has_several = found.str.contains(VALUE, literal=True)
        if has_several.any():
            row = has_several.fill_null(value=False).arg_max() or 0
            raise Several(row, tuple(found[row].split(VALUE)))
    return found


def typed(found: pl.Series, type_name: str) -> pl.Series:
    """Return a column of *type_name* made of texts; blanks around them do not count, and an empty one is null.

    A string is taken as it is. Timestamps are ISO 8601; those with an offset become UTC. Binary is base64.

    Raises:
        Unfit: A text is not of that type.

    >>> typed(pl.Series(["1", " 2 ", ""]), "int64").to_list()
    [1, 2, None]
    """
    if type_name == "string":
        return found
    column = pl.col(found.name)
    is_list = isinstance(found.dtype, pl.List)
    element = pl.element() if is_list else column
    text = element.str.strip_chars().replace("", None)
    value = _value(text, type_name)
    is_bad = text.is_not_null() & value.is_null()
    if is_list:
        value, is_bad = column.list.eval(value), column.list.eval(is_bad).list.any()
    made = found.to_frame().select(value.alias("value"), is_bad.alias("is_bad"))
    if made["is_bad"].any():
        row = int(made["is_bad"].arg_max() or 0)
        raise Unfit(row, _first_bad(found[row], type_name) if is_list else found[row])
    return made["value"].alias(found.name)


def _value(text: pl.Expr, type_name: str) -> pl.Expr:
    match type_name:
        case "bool":
            return text.replace_strict(_TRUTHS, default=None, return_dtype=pl.Boolean)
        case "date":
            return text.str.to_date("%Y-%m-%d", strict=False)
        case "time":
            return text.str.to_time("%H:%M:%S%.f", strict=False)
        case "timestamp":
            as_utc = text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
            plain = (text.str.to_datetime(form, time_unit="us", strict=False) for form in _TIMESTAMPS)
            return pl.coalesce(*plain, as_utc.dt.replace_time_zone(None))
        case "binary":
            return text.str.decode("base64", strict=False)
    return text.cast(getattr(pl, TYPES[type_name]), strict=False)


def _first_bad(found: pl.Series, type_name: str) -> str:
    for text in found:
        try:
            typed(pl.Series("", [text], dtype=pl.String), type_name)
        except Unfit:
            return str(text)
    return ""


class TypeFinder:
    """Finds the narrowest type that all texts of a column have: bool, int64, float64, else string.

    A bool is ``true`` or ``false``. A whole number that begins with a needless 0 is a string: it is more likely a code.
    """

    def __init__(self) -> None:
        self._possible = ["bool", "int64", "float64"]
        self._has_values = False

    @property
    def found(self) -> str:
        """Return the type of all that was looked at; "string" when all of it was empty."""
        return self._possible[0] if self._possible and self._has_values else "string"

    def look(self, found: pl.Series) -> None:
        """Take further texts, or lists of texts, into account."""
        if not self._possible:
            return
        flat = found.explode() if isinstance(found.dtype, pl.List) else found
        flat = flat.str.strip_chars()
        flat = flat.filter(flat.is_not_null() & (flat != ""))
        self._has_values |= len(flat) > 0
        self._possible = [name for name in self._possible if _all_are(flat, name)]


def _all_are(flat: pl.Series, type_name: str) -> bool:
    if type_name == "bool":
        return bool(flat.is_in(["true", "false"]).all())
    if not flat.str.contains(_WHOLE if type_name == "int64" else _FRACTION).all():
        return False
    return type_name != "int64" or flat.cast(pl.Int64, strict=False).null_count() == 0
