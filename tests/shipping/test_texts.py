"""Values that are written come back when others read them."""

from __future__ import annotations

import tomllib
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.shipping.shipment import label_of
from filiera.shipping.texts import toml_path, toml_text, yaml_text

_TEXTS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=12),
    st.sampled_from(
        ["no", "ON", "y", "null", "1e3", "0x10", "012", "a: b", "a #b", "- a", "~", "2026-01-01", "=", "<<", ""]
    ),
)
_WHOLE = st.one_of(st.booleans(), st.integers(-(2**53), 2**53))
_NUMBERS = st.one_of(_WHOLE, st.floats(allow_nan=False, allow_infinity=False))


def _values(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=12
    )


@settings(max_examples=60)
@given(
    st.lists(
        st.dictionaries(_TEXTS, _values(_TEXTS | _WHOLE | st.none()), min_size=1, max_size=4), min_size=1, max_size=3
    )
)
def test_yaml_says_what_was_meant(documents: list[dict[str, Any]]) -> None:
    """Another reader, also one of YAML 1.1, finds the same values, texts as texts and numbers as numbers."""
    text = yaml_text(*documents, about=["made"])
    assert text.startswith("# made\n")
    assert list(yaml.safe_load_all(text)) == documents


@settings(max_examples=60)
@given(
    st.dictionaries(_TEXTS, st.dictionaries(_TEXTS, _values(_TEXTS | _NUMBERS), max_size=4), max_size=3),
)
def test_toml_says_what_was_meant(tables: dict[str, dict[str, Any]]) -> None:
    """The standard library reads the same tables."""
    text = toml_text({toml_path("all", name): table for name, table in tables.items()})
    assert tomllib.loads(text).get("all", {}) == tables


@given(st.text(max_size=80))
def test_labels_are_names_of_hosts(name: str) -> None:
    """Whatever a thing is called, Kubernetes takes what it is called there."""
    label = label_of(name)
    assert 0 < len(label) <= 63
    assert label.isascii() and label == label.lower() and label.replace("-", "").isalnum()
    assert label[0].isalpha() and label[-1] != "-"
