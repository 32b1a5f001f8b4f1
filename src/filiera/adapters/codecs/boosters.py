"""Boosters of XGBoost and LightGBM in their own formats, checked before these libraries read them.

Their estimators are stored by ``sklearn_models``, which takes the boosters inside them to these formats and back.
"""

from __future__ import annotations

from typing import Any

from filiera.adapters.codecs import lightgbm_text, ubjson, xgboost_trees
from filiera.adapters.codecs.refusal import is_loaded, needs, reading, unstorable
from filiera.errors import CodecError
from filiera.ports import ArtifactReader, ArtifactWriter


class XGBoostCodec:
    """An ``xgboost.Booster`` as UBJSON, the format that later versions of XGBoost read, too."""

    name = "xgboost/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "xgboost.core", "Booster")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        import xgboost

        if type(value) is not xgboost.Booster:
            raise unstorable(value, why="A subclass would come back as a Booster.", do="Return an xgboost.Booster.")
        writer.stream.write(_model_of(value))

    def decode(self, reader: ArtifactReader) -> Any:
        needs("xgboost")
        content = reader.bytes()
        with reading(self.name):
            return _booster_of(content)


class LightGBMCodec:
    """A ``lightgbm.Booster`` as text, up to its best iteration, and without the number of threads that learnt it."""

    name = "lightgbm/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "lightgbm.basic", "Booster")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        import lightgbm

        if type(value) is not lightgbm.Booster:
            raise unstorable(value, why="A subclass would come back as a Booster.", do="Return a lightgbm.Booster.")
        writer.stream.write(sound_text(value.model_to_string()).encode())

    def decode(self, reader: ArtifactReader) -> Any:
        lightgbm = needs("lightgbm")
        content = reader.bytes()
        with reading(self.name):
            text = content.decode()
            lightgbm_text.check(text)
            return lightgbm.Booster(model_str=text)


def model_of_snapshot(snapshot: bytes) -> bytes:
    """Return the model in the format that lasts, from the one that only the version that wrote it promises to read.

    Raises:
        CodecError: It is a kind of model that we do not know.
    """
    import xgboost

    booster = xgboost.Booster()
    booster.__setstate__({"handle": bytearray(snapshot)})
    return _model_of(booster)


def snapshot_of_model(content: bytes) -> bytes:
    """Return what ``model_of_snapshot`` was given, but for settings of the training. Raises ValueError, KeyError."""
    return bytes(_booster_of(content).__getstate__()["handle"])


def sound_text(text: str) -> str:
    """Return the text of a LightGBM model as it is stored. Raises CodecError for a kind of model we do not know."""
    found = lightgbm_text.canonical(text)
    try:
        lightgbm_text.check(found)
    except (ValueError, KeyError) as error:
        raise _unknown_kind("LightGBM", error) from error
    return found


def _model_of(booster: Any) -> bytes:
    content = bytes(booster.save_raw("ubj"))
    try:
        xgboost_trees.check(ubjson.read(content))
    except (ValueError, KeyError, TypeError) as error:
        raise _unknown_kind("XGBoost", error) from error
    return content


def _booster_of(content: bytes) -> Any:
    xgboost_trees.check(ubjson.read(content))
    import xgboost

    return xgboost.Booster(model_file=bytearray(content))


def _unknown_kind(library: str, error: Exception) -> CodecError:
    return CodecError(
        f"This {library} model cannot be stored.",
        why=f"It is of a kind whose file could not be checked when it is loaded: {error}.",
        do="Train trees with one value per leaf, with gbtree, dart or gblinear.",
    )
