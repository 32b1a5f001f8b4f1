"""NumPy arrays and scalars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from filiera.adapters.codecs.mapping import MAPPED_FROM_BYTES
from filiera.adapters.codecs.numpy_arrays import NumpyArrayCodec, NumpyScalarCodec
from filiera.errors import CodecError
from filiera.testing.codec import CodecContract, MemoryArtifact

PADDED = np.dtype([("flag", "i1"), ("pair", [("a", "i1"), ("b", "f8")], (2,))], align=True)


def same_array(decoded: Any, original: Any) -> None:
    assert type(decoded) is np.ndarray
    assert decoded.dtype == original.dtype
    assert decoded.flags.f_contiguous == np.asarray(original).flags.f_contiguous or not original.flags.c_contiguous
    assert same_content(decoded, original)


def same_content(decoded: Any, original: Any) -> bool:
    """Compare field by field: what lies between the fields of a copy is whatever lay in memory."""
    names = original.dtype.names
    if names:
        return all(same_content(decoded[name], original[name]) for name in names)
    return bool(decoded.tobytes() == original.tobytes())


class TestNumpyArrayCodec(CodecContract):
    def make_codec(self) -> NumpyArrayCodec:
        return NumpyArrayCodec()

    def make_values(self) -> Sequence[Any]:
        grid = np.arange(12.0).reshape(3, 4)
        return [
            np.array(3.5),
            grid,
            np.asfortranarray(grid),
            grid[::-2, ::3],
            grid.astype(">f4"),
            np.zeros((0, 3)),
            np.array([np.nan, -0.0, np.inf]),
            np.array([True, False]),
            np.array(["così", "è"]),
            np.array([b"a", b"bc"]),
            np.array(["2024-02-29", "NaT"], dtype="datetime64[ns]"),
            np.array([1, -1], dtype="timedelta64[s]"),
            np.array([(1, 2.0), (3, np.nan)], dtype=[("id", "i4"), ("è", "f8")]),
            np.zeros(2, dtype=PADDED),
            np.arange(MAPPED_FROM_BYTES, dtype=np.uint8).reshape(-1, 64),
        ]

    def assert_same(self, decoded: Any, original: Any) -> None:
        same_array(decoded, original)

    def test_large_arrays_are_mapped_and_all_are_read_only(self, tmp_path: Path) -> None:
        """A large array costs no memory to load; writing into a stored value fails whatever its size."""
        for size, mapped in ((8, False), (MAPPED_FROM_BYTES, True)):
            artifact = MemoryArtifact(tmp_path)
            self.make_codec().encode(np.zeros(size), artifact)
            array = self.make_codec().decode(artifact)
            assert _is_mapped(array) is mapped
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1

    def test_gaps_between_fields_do_not_count(self) -> None:
        """What the memory held before leaks neither into the bytes nor into the digest."""
        clean = np.zeros(3, dtype=PADDED)
        dirty = np.frombuffer(b"\xaa" * clean.nbytes, dtype=PADDED).copy()
        for name in ("flag", "pair"):
            dirty[name] = clean[name]
        dirty["pair"]["a"], dirty["pair"]["b"] = 0, 0
        assert self.digest_of(dirty) == self.digest_of(clean)

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (np.array([object()]), "Python objects"),
            (np.zeros(1, dtype=[("a", "O")]), "Python objects"),
            (np.zeros(1, dtype=np.longdouble), "differs between machines"),
            (np.zeros(1, dtype=[("a", np.clongdouble, (2,))]), "differs between machines"),
            (np.array(["a"], dtype=np.dtypes.StringDType()), "no fixed size"),
            (np.ma.masked_array([1, 2], [True, False]), "subclass"),
            (np.array([(1,)], dtype=[("a", "i4")]).view(np.recarray), "subclass"),
        ],
        ids=["object", "object field", "longdouble", "longdouble field", "string", "masked", "record"],
    )
    def test_arrays_without_portable_bytes_are_refused(self, value: Any, reason: str) -> None:
        """What would need pickle, or differ on another machine, is refused with the conversion to make."""
        with pytest.raises(CodecError, match=reason) as caught:
            self.make_codec().encode(value, MemoryArtifact(Path()))
        assert caught.value.do

    def test_a_pickle_is_refused(self, tmp_path: Path) -> None:
        """An .npy file that holds pickled objects is never loaded."""
        np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        with pytest.raises(CodecError):
            self.make_codec().decode(MemoryArtifact(tmp_path, (tmp_path / "evil.npy").read_bytes()))

    @pytest.mark.parametrize("rows", [10**6, 10**12, 10**18], ids=str)
    def test_a_header_that_promises_too_much_is_refused(self, rows: int, tmp_path: Path) -> None:
        """A few bytes cannot make us ask for the memory of a huge array."""
        artifact = MemoryArtifact(tmp_path)
        np.lib.format.write_array_header_1_0(
            artifact.stream, {"descr": "<f8", "fortran_order": False, "shape": (rows, 1)}
        )
        with pytest.raises(CodecError):
            self.make_codec().decode(artifact)

    @given(hnp.arrays(hnp.scalar_dtypes() | hnp.array_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
    def test_any_array_comes_back(self, array: Any) -> None:
        """Encoding, then decoding, is the identity, whatever the dtype and shape."""
        decoded = _through(self.make_codec(), array) if _portable(array.dtype) else array
        assert decoded.dtype == array.dtype
        assert decoded.tobytes() == array.tobytes()


class TestNumpyScalarCodec(CodecContract):
    def make_codec(self) -> NumpyScalarCodec:
        return NumpyScalarCodec()

    def make_values(self) -> Sequence[Any]:
        return [
            np.float64(0.9),
            np.int8(-1),
            np.bool_(True),
            np.str_("così"),
            np.bytes_(b"raw"),
            np.datetime64("2024-02-29", "s"),
            np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
        ]

    def test_an_array_is_not_a_scalar(self, tmp_path: Path) -> None:
        """Bytes of an array are refused here, and the other way round nothing is lost."""
        artifact = MemoryArtifact(tmp_path)
        NumpyArrayCodec().encode(np.zeros(3), artifact)
        with pytest.raises(CodecError, match="instead of a scalar"):
            self.make_codec().decode(artifact)


def _is_mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def _portable(dtype: np.dtype[Any]) -> bool:
    names = dtype.names or ()
    return all(_portable(dtype[n]) for n in names) and dtype.base.char.lower() != "g"


def _through(codec: NumpyArrayCodec, array: Any) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        artifact = MemoryArtifact(Path(folder))
        codec.encode(array, artifact)
        return codec.decode(artifact)
