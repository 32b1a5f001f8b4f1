"""Plain values as YAML and TOML: a small part of both, enough for what we write, and nothing that could be misread."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE_YAML = re.compile(r"[A-Za-z][A-Za-z0-9_./@-]*( [A-Za-z0-9_./@-]+)*")
_TWO = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")
_BARE_TOML = re.compile(r"[A-Za-z0-9_-]+")
_MEANT_OTHERWISE = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""What a text without quotes would not be a text as, in YAML 1.1 or 1.2."""


def yaml_text(*documents: Mapping[str, Any], about: Sequence[str] = ()) -> str:
    """Return documents of mappings, lists, texts, whole numbers and truth values, below comments.

    >>> print(yaml_text({"a": {"b": [1, "no"], "c": "x"}}, about=["Made."]), end="")
    # Made.
    a:
      b:
        - 1
        - "no"
      c: x
    """
    head = "".join(f"# {line}\n" for line in about)
    return head + "---\n".join("".join(f"{line}\n" for line in _yaml(document)) for document in documents)


def toml_text(tables: Mapping[str, Mapping[str, Any]], about: Sequence[str] = ()) -> str:
    """Return tables by their dotted names, below comments; tables inside of them are inline.

    >>> print(toml_text({"service.count": {"port": 1, "workers": {"min": 0}}}), end="")
    [service.count]
    port = 1
    workers = {min = 0}
    """
    head = "".join(f"# {line}\n" for line in about)
    texts = []
    for name, table in tables.items():
        lines = [f"[{name}]", *(f"{_toml_key(key)} = {_toml(value)}" for key, value in table.items())]
        texts.append("".join(f"{line}\n" for line in lines))
    return "\n".join([*([head] if head else []), *texts])


def toml_path(*names: str) -> str:
    """Return the name of a table inside of tables.

    >>> toml_path("service", "count words")
    'service."count words"'
    """
    return ".".join(map(_toml_key, names))


def _yaml(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _labelled(f"{_yaml_scalar(key)}:", item)
    else:
        for item in value:
            lines = list(_yaml(item)) if _is_nested(item) else [_yaml_scalar(item)]
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])


def _labelled(label: str, item: Any) -> Iterator[str]:
    if _is_nested(item):
        yield label
        yield from (f"  {line}" for line in _yaml(item))
    else:
        yield f"{label} {_yaml_scalar(item)}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _yaml_scalar(value: Any) -> str:
    if isinstance(value, str) and _BARE_YAML.fullmatch(value) and value.lower() not in _MEANT_OTHERWISE:
        return value
    # What JSON says is YAML, too, but for characters that it writes as two.
    return _TWO.sub(_as_one, json.dumps(value))


def _as_one(pair: re.Match[str]) -> str:
    character: str = json.loads(f'"{pair[0]}"')
    return f"\\U{ord(character):08x}"


def _toml_key(key: str) -> str:
    return key if _BARE_TOML.fullmatch(key) else _toml(key)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):  # TOML knows no pairs of surrogates, and no character 127
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
