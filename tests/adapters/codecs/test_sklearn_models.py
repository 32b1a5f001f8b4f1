"""Scikit-learn models."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs.sklearn_models import SkopsCodec
from filiera.errors import CodecError
from filiera.testing.codec import CodecContract, MemoryArtifact

np = pytest.importorskip("numpy")
pytest.importorskip("skops")
pytest.importorskip("sklearn")


def data() -> tuple[Any, Any]:
    features = np.round(np.random.default_rng(0).normal(size=(80, 3)), 1)
    return features, (features[:, 0] > 0).astype(int)


def mixed_pipeline() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [
            ("scale", StandardScaler(), [0]),
            ("log", FunctionTransformer(np.abs), [1]),
            ("codes", OneHotEncoder(handle_unknown="ignore", dtype=np.float32), [2]),
        ]
    )
    return make_pipeline(columns, FunctionTransformer(np.nan_to_num), LogisticRegression())


class TestSkopsCodec(CodecContract):
    def make_codec(self) -> SkopsCodec:
        return SkopsCodec()

    def make_values(self) -> Sequence[Any]:
        from sklearn.cluster import KMeans
        from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.feature_selection import SelectKBest, f_classif
        from sklearn.linear_model import SGDClassifier
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.svm import SVC
        from sklearn.tree import DecisionTreeRegressor

        features, labels = data()
        shared = np.random.RandomState(3)
        return [
            mixed_pipeline(),
            mixed_pipeline().fit(features, labels),
            RandomForestClassifier(3, random_state=0).fit(features, labels),
            GradientBoostingClassifier(n_estimators=3, random_state=0).fit(features, labels),
            HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(features, labels),
            DecisionTreeRegressor(random_state=shared),
            KMeans(2, random_state=0, n_init=1, max_iter=1).fit(features[:6]),
            KNeighborsClassifier(algorithm="kd_tree").fit(features, labels),
            SVC().fit(features, labels),
            SGDClassifier(random_state=0).fit(features, labels),
            SelectKBest(f_classif, k=2).fit(features, labels),
            TfidfVectorizer(stop_words=["the"]).fit(["a sentence here", "and the other there"]),
        ]

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert type(decoded) is type(original)
        assert str(decoded).partition(" at 0x")[0] == str(original).partition(" at 0x")[0]
        features, _ = data()
        for method in ("predict", "predict_proba"):
            if hasattr(original, method) and hasattr(original, "n_features_in_"):
                expected = getattr(copy.deepcopy(original), method)(features)  # a k-d tree counts its queries
                np.testing.assert_array_equal(getattr(decoded, method)(features), expected)

    def test_an_object_held_twice_is_held_twice_again(self) -> None:
        """Two places that share one object share it after decoding, and equal objects stay apart."""
        from sklearn.pipeline import Pipeline
        from sklearn.tree import DecisionTreeRegressor

        random = np.random.RandomState(3)
        for second, is_shared in ((random, True), (np.random.RandomState(3), False)):
            steps = [
                ("a", DecisionTreeRegressor(random_state=random)),
                ("b", DecisionTreeRegressor(random_state=second)),
            ]
            decoded = _decoded(_encoded(Pipeline(steps)))
            one, two = (step.random_state for _, step in decoded.steps)
            assert (one is two) is is_shared

    def test_nothing_in_the_bytes_tells_when_or_by_which_version(self) -> None:
        """The archive has one date for all files, is not compressed, and names no version of skops."""
        with zipfile.ZipFile(io.BytesIO(_encoded(mixed_pipeline()))) as archive:
            entries = archive.infolist()
            schema = archive.read("schema.json")
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        assert b"_skops_version" not in schema

    def test_a_function_of_the_project_is_refused(self) -> None:
        """A model that would need the project's own code to load is refused when it is stored, with its name."""
        from sklearn.preprocessing import FunctionTransformer

        with pytest.raises(CodecError, match=r"test_sklearn_models\.data") as caught:
            _encoded(FunctionTransformer(data))
        assert "scikit-learn's own classes" in caught.value.do

    def test_an_estimator_of_another_package_is_refused(self) -> None:
        """A subclass from elsewhere is refused by the name of its class."""
        with pytest.raises(CodecError, match=r"test_sklearn_models\.Stranger"):
            _encoded(_stranger()())

    def test_a_lambda_is_refused(self) -> None:
        """A model that holds a lambda has no bytes."""
        from sklearn.preprocessing import FunctionTransformer

        with pytest.raises(CodecError, match="FunctionTransformer"):
            _encoded(FunctionTransformer(lambda x: x))

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("os", "system"),
            ("builtins", "eval"),
            ("subprocess", "Popen"),
            ("sklearn.utils._testing", "check_output"),
            ("sklearn.utils._testing", "TempMemmap"),
            ("sklearn.datasets._base", "load_files"),
            ("sklearn.tree._export", "export_graphviz"),
            ("sklearn.metrics", "accuracy_score"),
            ("sklearn.ensemble._base", "Parallel"),
            ("joblib.numpy_pickle", "load"),
            ("numpy", "load"),
            ("numpy", "save"),
            ("operator", "methodcaller"),
            ("functools", "partial"),
            ("sklearn.nowhere", "Thing"),
        ],
    )
    @pytest.mark.parametrize("loader", ["ConstructorFromReduceNode", "FunctionNode", "ObjectNode", "TypeNode"])
    def test_harmful_types_are_never_loaded(self, loader: str, module: str, name: str) -> None:
        """A crafted file cannot have anything called, built or looked up that is not on our list."""
        arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}
        harmful = {"__class__": name, "__module__": module, "__loader__": loader, "content": arguments}
        with pytest.raises(CodecError, match="it holds"):
            _decoded(_with_schema({**harmful, "protocol": 2}))

    def test_a_compressed_archive_is_refused(self) -> None:
        """We never write one, so it is from elsewhere, and a few bytes could unpack to many."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("schema.json", "{}" * 1000)
        with pytest.raises(CodecError, match="compressed"):
            _decoded(target.getvalue())

    @pytest.mark.parametrize("schema", [[], {}, {"__loader__": "No"}, {"__loader__": "JsonNode"}, 3], ids=repr)
    def test_a_malformed_schema_is_refused(self, schema: Any) -> None:
        """A schema that is none is told as such."""
        with pytest.raises(CodecError):
            _decoded(_with_schema(schema))


def _stranger() -> Any:
    from sklearn.base import BaseEstimator

    class Stranger(BaseEstimator):  # type: ignore[misc]
        pass

    Stranger.__qualname__ = "Stranger"
    return Stranger


def _encoded(value: Any) -> bytes:
    artifact = MemoryArtifact(Path())
    SkopsCodec().encode(value, artifact)
    return artifact.bytes()


def _decoded(content: bytes) -> Any:
    return SkopsCodec().decode(MemoryArtifact(Path(), content))


def _with_schema(schema: Any) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    return target.getvalue()
