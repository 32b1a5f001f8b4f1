"""Values as the text that the records keep, and back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.events import Event
from filiera.core.key import KeyParts
from filiera.engine.rows import (
    read_arguments,
    read_event,
    read_key_parts,
    read_refs,
    to_json,
    to_text,
    write_arguments,
    write_event,
    write_inputs,
    write_refs,
)
from tests.core.plain_values import any_text, values
from tests.core.run_events import events, refs


@given(st.lists(refs, max_size=4))
def test_artifacts_come_back_with_their_bytes(made: list[ArtifactRef]) -> None:
    """References are one line of text; the bytes of small ones are looked up again."""
    found = {(ref.digest, ref.codec): ref.inline for ref in made}
    assert read_refs(write_refs(made), lambda digest, codec: found[digest, codec]) == tuple(made)
    assert read_refs("", lambda digest, codec: None) == ()


@given(st.dictionaries(any_text, values, max_size=4))
def test_arguments_come_back_to_the_byte(arguments: dict[str, Any]) -> None:
    """Encoded parameters are kept as one JSON object, and read again with the very bytes their key was made of."""
    encoded = {name: plain.encode(value) for name, value in arguments.items()}
    text = write_arguments(encoded)
    assert read_arguments(text) == encoded
    assert list(read_arguments(text)) == list(encoded)
    text.encode()


@given(st.lists(st.tuples(any_text, any_text), max_size=3), st.lists(st.text("ab/1", max_size=4), max_size=3))
def test_key_parts_come_back(inputs: list[tuple[str, str]], codecs: list[str]) -> None:
    """A recorded step has all that its key was made of, so that a later key can be compared with it."""
    parts = KeyParts(closure="c", arguments={"x": b"1"}, inputs=tuple(inputs), codecs=tuple(codecs))
    row = {"closure_digest": "c", "arguments": write_arguments(dict(parts.arguments)), "inputs": write_inputs(parts)}
    assert read_key_parts(row) == parts


def test_a_step_without_a_key_has_empty_parts() -> None:
    """A step that never began has a row without parts, which reads as such."""
    assert read_key_parts({"closure_digest": "", "arguments": "{}", "inputs": "{}"}).arguments == {}
    assert read_arguments("") == {}


@given(events)
def test_events_come_back(event: Event) -> None:
    """An event is text that any database takes, and comes back equal."""
    assert read_event(type(event).__name__, write_event(event)) == event
    write_event(event).encode()


@given(any_text)
def test_text_is_text(text: str) -> None:
    """Half a surrogate pair is escaped, in JSON where it reads as itself again; all else stays as it is."""
    for written in (to_text(plain.encode(text)), to_json(text)):
        written.encode()
        assert json.loads(written) == text


def test_json_for_people_is_sorted() -> None:
    """Columns that people and scripts read have one form."""
    assert to_json({"b": 1, "a": ["é"]}) == '{"a":["é"],"b":1}'
