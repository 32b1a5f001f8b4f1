"""NumPy arrays and scalars as ``.npy`` files, memory-mapped when they are large."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.mapping import content
from filiera.adapters.codecs.refusal import is_loaded, reading, unreadable, unstorable
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 16 * 1024 * 1024
_NATIVE_FLOAT_BYTES = {"f": 8, "c": 16}


class NumpyArrayCodec:
    """Arrays of fixed-size items, in C or Fortran order as they are. They come back read-only, small or large."""

    name = "npy/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "numpy", "ndarray")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        import numpy as np

        if type(value) not in (np.ndarray, np.memmap):
            raise unstorable(
                value,
                why="Only plain arrays are stored; a subclass would come back as one.",
                do="Return np.asarray(value), and a mask as an output of its own.",
            )
        _write(np.asarray(value), writer)

    def decode(self, reader: ArtifactReader) -> Array:
        found = content(reader)
        with reading(self.name):
            array = _read(found, self.name) if isinstance(found, bytes) else _mapped(found)
        array.flags.writeable = False
        return array


class NumpyScalarCodec:
    """NumPy scalars such as ``np.float64(0.9)``: what ``array.mean()`` returns."""

    name = "npy-scalar/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "numpy", "generic")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        import numpy as np

        _write(np.asarray(value), writer)

    def decode(self, reader: ArtifactReader) -> Any:
        found = reader.bytes()
        with reading(self.name):
            array = _read(found, self.name)
        if array.ndim:
            raise unreadable(self.name, f"an array of shape {array.shape} instead of a scalar")
        return array[()]


def without_gaps(content: bytes) -> bytes:
    """Return an ``.npy`` file's *content* with zeros in the gaps between the fields of structured items."""
    import numpy as np

    array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if not _has_gaps(array.dtype):
        return content
    stream = io.BytesIO()
    np.lib.format.write_array(stream, _without_garbage(array), allow_pickle=False)
    return stream.getvalue()


def _write(array: Array, writer: ArtifactWriter) -> None:
    import numpy as np

    reason = _unportable(array.dtype)
    if reason:
        raise unstorable(array, why=f"Its dtype {array.dtype} {reason}.", do=_REMEDY[reason])
    if _has_gaps(array.dtype):
        array = _without_garbage(array)
    try:
        np.lib.format.write_array_header_1_0(writer.stream, np.lib.format.header_data_from_array_1_0(array))
    except (ValueError, UnicodeEncodeError):
        if writer.stream.tell():
            raise
        np.lib.format.write_array(writer.stream, array, version=(3, 0), allow_pickle=False)
    else:
        for block in _blocks(array):
            writer.stream.write(block.reshape(-1).view(np.uint8).data)


def _blocks(array: Array) -> Iterator[Array]:
    """Yield contiguous pieces of *array* in the order in which ``.npy`` keeps them; the array itself if it is one."""
    import numpy as np

    if array.size == 0 or array.itemsize == 0:
        return
    if array.flags.c_contiguous or array.flags.f_contiguous:
        yield array if array.flags.c_contiguous else array.T
        return
    rows = max(1, _BLOCK_BYTES * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield np.ascontiguousarray(array[start : start + rows])


_REMEDY = {
    "holds Python objects": "Convert it: values.astype(float), values.astype(str), or return a table.",
    "has a layout that differs between machines": "Convert it: values.astype(np.float64) or np.complex128.",
    "has items of no fixed size": "Convert it: values.astype(str), or return a table.",
}


def _unportable(dtype: np.dtype[Any]) -> str:
    """Return why values of *dtype* have no portable bytes, or ''."""
    if dtype.names is not None:
        parts = [_unportable(dtype[name]) for name in dtype.names]
        return next(filter(None, parts), "")
    if dtype.subdtype is not None:
        return _unportable(dtype.subdtype[0])
    if dtype.kind == "T":
        return "has items of no fixed size"
    if dtype.hasobject:
        return "holds Python objects"
    if dtype.itemsize > _NATIVE_FLOAT_BYTES.get(dtype.kind, dtype.itemsize):
        return "has a layout that differs between machines"
    return ""


def _has_gaps(dtype: np.dtype[Any]) -> bool:
    return dtype.names is not None and _packed_bytes(dtype) != dtype.itemsize


def _packed_bytes(dtype: np.dtype[Any]) -> int:
    """Return the bytes one item's fields need, without the gaps between them."""
    if dtype.names is not None:
        return sum(_packed_bytes(dtype[name]) for name in dtype.names)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        count = 1
        for length in shape:
            count *= length
        return count * _packed_bytes(base)
    return dtype.itemsize


def _without_garbage(array: Array) -> Array:
    """Return a copy whose gaps between fields are zero: NumPy leaves there what the memory held before."""
    import numpy as np

    clean = np.zeros(array.shape, dtype=array.dtype)
    _copy_fields(array, clean)
    return clean


def _copy_fields(source: Array, target: Array) -> None:
    if source.dtype.names is None:
        target[...] = source
        return
    for name in source.dtype.names:
        _copy_fields(source[name], target[name])


def _mapped(path: Path) -> Array:
    import numpy as np

    mapped = np.lib.format.open_memmap(path, mode="r")
    header_bytes = int(mapped.offset)
    if header_bytes + mapped.nbytes != path.stat().st_size:
        raise ValueError("more bytes than the array needs")
    return np.asarray(mapped)


def _read(content: bytes, codec: str) -> Array:
    import numpy as np

    stream = io.BytesIO(content)
    try:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    except MemoryError as error:
        raise unreadable(codec, "its header promises more items than there are bytes") from error
    if stream.read(1):
        raise ValueError("more bytes than the array needs")
    return array
