"""What all codecs share: names of types, looking without importing, and streams that tell why they failed."""

from __future__ import annotations

import decimal
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from filiera.adapters.codecs.refusal import is_loaded, reading, type_name, watched
from filiera.errors import BlobMissing, CodecError

_HEAVY = ("numpy", "polars", "pandas", "pyarrow", "sklearn", "skops", "scipy", "matplotlib")
_LOOK = f"""
import importlib, pathlib, pkgutil, sys
import filiera.adapters.codecs as codecs
for module in pkgutil.iter_modules(codecs.__path__, codecs.__name__ + "."):
    found = importlib.import_module(module.name)
    for codec in [c() for n, c in vars(found).items() if n.endswith("Codec") and c.__module__ == module.name]:
        for value in (None, 1, "x", [1], object(), pathlib.Path()):
            codec.handles(value)
print(sorted(set({_HEAVY!r}) & set(sys.modules)))
"""


def test_choosing_a_codec_imports_no_library() -> None:
    """Importing every codec and asking each about values loads none of the libraries they serve."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", _LOOK], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_class_is_looked_up_where_it_is_loaded() -> None:
    """A value is recognised by its class, subclasses included; an absent module or name recognises nothing."""
    assert is_loaded(decimal.Decimal(1), "decimal", "Decimal", "NoSuchName")
    assert is_loaded(True, "builtins", "int")
    assert not is_loaded(1.5, "decimal", "Decimal")
    assert not is_loaded(1.5, "never.imported", "Thing")


def test_types_are_named_as_people_write_them() -> None:
    """Builtins go without their module, others with it."""
    assert type_name({}) == "dict"
    assert type_name(Path()).startswith("pathlib.")


def test_the_streams_own_error_wins() -> None:
    """A library that replaces the OSError of the stream by one of its own does not hide it."""

    class Full(io.RawIOBase):
        def write(self, content: object, /) -> int:
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full") as caught, watched(Full()) as stream:  # type: ignore[arg-type]
        try:
            stream.write(b"x")
        except OSError as error:
            raise ValueError("could not write") from error
    assert caught.value.errno == errno.ENOSPC


def test_an_error_of_the_library_travels_when_the_stream_is_well() -> None:
    """Only a failure of the stream replaces what was raised."""
    with pytest.raises(ZeroDivisionError), watched(io.BytesIO()) as stream:
        stream.write(b"x")
        raise ZeroDivisionError


def test_reading_turns_what_libraries_raise_into_a_codec_error() -> None:
    """The cause is kept; errors of ours, such as a missing blob, stay as they are."""
    with pytest.raises(CodecError, match="KeyError: 'x'") as caught, reading("any/1"):
        raise KeyError("x")
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(BlobMissing), reading("any/1"):
        raise BlobMissing("gone")
