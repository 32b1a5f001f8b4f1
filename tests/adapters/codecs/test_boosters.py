"""Models of XGBoost and LightGBM: boosters, estimators, and estimators inside of others."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs import lightgbm_text, ubjson, xgboost_trees
from filiera.adapters.codecs.boosters import LightGBMCodec, XGBoostCodec
from filiera.adapters.codecs.sklearn_models import SkopsCodec
from filiera.errors import CodecError
from filiera.ports import Codec
from filiera.testing.codec import CodecContract, MemoryArtifact

np = pytest.importorskip("numpy")
xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

QUIET: dict[str, Any] = {"n_estimators": 3, "verbose": -1, "n_jobs": 1}
ALONE: dict[str, Any] = {"n_jobs": 1}


def table() -> tuple[Any, Any]:
    import polars as pl

    random = np.random.default_rng(0)
    rows = pl.DataFrame({"a": random.normal(size=120), "b": random.integers(0, 5, size=120).astype(float)})
    return rows, (rows["a"].to_numpy() + random.normal(size=120) > 0).astype(int)


def pipeline_of(estimator: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = table()
    return make_pipeline(StandardScaler(), estimator).fit(rows, labels)


def xgboost_estimators() -> list[Any]:
    rows, labels = table()
    many = np.arange(120) % 3
    early = xgboost.XGBClassifier(**ALONE, n_estimators=30, early_stopping_rounds=2)
    return [
        xgboost.XGBClassifier(**ALONE),
        xgboost.XGBClassifier(**ALONE, n_estimators=3).fit(rows, labels),
        early.fit(rows, labels, eval_set=[(rows[:50], 1 - labels[:50])], verbose=False),
        xgboost.XGBClassifier(**ALONE, n_estimators=3, booster="dart", rate_drop=0.5).fit(rows, many),
        xgboost.XGBRegressor(**ALONE, n_estimators=3, booster="gblinear").fit(rows, labels),
        xgboost.XGBRegressor(**ALONE, n_estimators=3, tree_method="exact", gamma=3).fit(rows, labels),
        xgboost.XGBRFRegressor(**ALONE, n_estimators=3).fit(rows, labels),
        xgboost.XGBRanker(**ALONE, n_estimators=3).fit(rows, labels, qid=np.repeat(np.arange(12), 10)),
    ]


def lightgbm_estimators() -> list[Any]:
    rows, labels = table()
    codes = np.column_stack([np.arange(120) % 7, rows["a"].to_numpy()])
    groups = {"min_data_per_group": 1, "cat_smooth": 0.0}
    early = lightgbm.LGBMClassifier(**{**QUIET, "n_estimators": 30})
    stop = [lightgbm.early_stopping(2, verbose=False)]
    return [
        lightgbm.LGBMClassifier(),
        lightgbm.LGBMClassifier(**QUIET).fit(rows, labels),
        early.fit(rows, labels, eval_X=rows[:50], eval_y=1 - labels[:50], callbacks=stop),
        lightgbm.LGBMClassifier(**QUIET).fit(rows, np.arange(120) % 3),
        lightgbm.LGBMClassifier(**QUIET, **groups).fit(codes, labels, categorical_feature=[0]),
        lightgbm.LGBMRegressor(**QUIET, linear_tree=True).fit(rows, labels),
        lightgbm.LGBMRegressor(**QUIET).fit(rows[:10], labels[:10]),
        lightgbm.LGBMRanker(**QUIET).fit(rows, labels, group=[10] * 12),
    ]


def answers(model: Any) -> Any:
    rows, _ = table()
    if isinstance(model, xgboost.Booster):
        return model.predict(xgboost.DMatrix(rows.to_numpy(), feature_names=model.feature_names))
    method = getattr(model, "predict_proba", model.predict)
    return method(
        rows if hasattr(model, "feature_names_in_") and list(model.feature_names_in_) == ["a", "b"] else rows.to_numpy()
    )


def is_fitted(model: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError):
        return not hasattr(model, "get_params")
    return True


class BoosterContract(CodecContract):
    def assert_same(self, decoded: Any, original: Any) -> None:
        assert type(decoded) is type(original)
        if hasattr(original, "get_params"):
            assert str(decoded.get_params()) == str(original.get_params())
            assert getattr(decoded, "evals_result_", None) == getattr(original, "evals_result_", None)
        if is_fitted(original):
            np.testing.assert_array_equal(answers(decoded), answers(original))


class TestXGBoostCodec(BoosterContract):
    def make_codec(self) -> XGBoostCodec:
        return XGBoostCodec()

    def make_values(self) -> Sequence[Any]:
        return [estimator.get_booster() for estimator in xgboost_estimators()[1:]]


class TestLightGBMCodec(BoosterContract):
    def make_codec(self) -> LightGBMCodec:
        return LightGBMCodec()

    def make_values(self) -> Sequence[Any]:
        return [estimator.booster_ for estimator in lightgbm_estimators()[1:]]


class TestEstimators(BoosterContract):
    def make_codec(self) -> SkopsCodec:
        return SkopsCodec()

    def make_values(self) -> Sequence[Any]:
        from sklearn.ensemble import VotingClassifier

        rows, labels = table()
        two = VotingClassifier(
            [("x", xgboost.XGBClassifier(**ALONE, n_estimators=2)), ("l", lightgbm.LGBMClassifier(**QUIET))]
        )
        return [
            *xgboost_estimators(),
            *lightgbm_estimators(),
            pipeline_of(xgboost.XGBClassifier(**ALONE, n_estimators=2)),
            pipeline_of(lightgbm.LGBMClassifier(**QUIET)),
            two.fit(rows.to_numpy(), labels),
        ]


def test_estimators_hold_their_booster_in_its_own_format() -> None:
    """What is in an estimator's archive is the file that XGBoost, or LightGBM, would write of its booster."""
    one, two = xgboost_estimators()[1], lightgbm_estimators()[1]
    with zipfile.ZipFile(io.BytesIO(encoded(SkopsCodec(), one))) as archive:
        files = [archive.read(name) for name in archive.namelist() if name.endswith(".bin")]
    assert files == [bytes(one.get_booster().save_raw("ubj"))]
    model = json.loads(lightgbm_node(encoded(SkopsCodec(), two))["_handle"]["content"])
    assert model == lightgbm_text.canonical(two.booster_.model_to_string(num_iteration=-1))


@pytest.mark.parametrize("threads", [1, 2])
def test_how_many_threads_learnt_it_leaves_no_trace(threads: int) -> None:
    """Machines with more or fewer cores give one model the same bytes."""
    rows, labels = table()
    alone = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows.to_numpy(), labels), 3)
    many = lightgbm.train({"verbose": -1, "num_threads": threads}, lightgbm.Dataset(rows.to_numpy(), labels), 3)
    assert encoded(LightGBMCodec(), many) == encoded(LightGBMCodec(), alone)


def test_a_kind_of_model_that_cannot_be_checked_is_refused_when_it_is_stored() -> None:
    """Leaves with several values would be loaded unchecked, so they are not stored, and the message says what is."""
    rows, labels = table()
    model = xgboost.XGBRegressor(**ALONE, n_estimators=1, multi_strategy="multi_output_tree")
    model.fit(rows, np.column_stack([labels, labels]))
    for codec, value in ((XGBoostCodec(), model.get_booster()), (SkopsCodec(), model)):
        with pytest.raises(CodecError, match="cannot be stored") as caught:
            encoded(codec, value)
        assert "leaf" in caught.value.do


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_library_that_is_not_installed_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its library a model is not loaded, and the message says what to install."""
    estimator = {"xgboost": xgboost_estimators, "lightgbm": lightgbm_estimators}[library]()[1]
    booster = estimator.get_booster() if library == "xgboost" else estimator.booster_
    codec: Codec = XGBoostCodec() if library == "xgboost" else LightGBMCodec()
    stored = [(codec, encoded(codec, booster)), (SkopsCodec(), encoded(SkopsCodec(), estimator))]
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.sklearn", None)
    for chosen, content in stored:
        with pytest.raises(CodecError, match=f"needs {library}") as caught:
            chosen.decode(MemoryArtifact(Path(), content))
        assert caught.value.do == f"pip install 'filiera[{library}]'"


def broken_tree(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
        tree[name] = tree[name].copy()
        tree[name][1] = value

    return change


def broken_size(part: str, value: str) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        model["learner"]["learner_model_param"][part] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        broken_tree("left_children", 1_000_000),
        broken_tree("left_children", 0),
        broken_tree("right_children", -2),
        broken_tree("split_indices", 99),
        broken_tree("split_type", 1),
        broken_tree("parents", 77),
        broken_size("num_feature", "1"),
        broken_size("num_feature", "-5"),
        broken_size("num_class", "9999999"),
        lambda model: model["learner"].pop("objective"),
        lambda model: model["learner"]["gradient_booster"]["model"].update(tree_info=[5, 0, 0]),
        lambda model: model["learner"]["gradient_booster"].update(name="other"),
    ],
)
def test_a_model_that_leads_outside_is_never_given_to_xgboost(change: Callable[[dict[str, Any]], None]) -> None:
    """A child, parent, feature, category or class that is not there is found before XGBoost would follow it."""
    model = ubjson.read(encoded(XGBoostCodec(), xgboost_estimators()[1].get_booster()))
    xgboost_trees.check(model)
    change(model)
    with pytest.raises((ValueError, KeyError)):
        xgboost_trees.check(model)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("left_child=1", "left_child=0"),
        ("left_child=1", "left_child=99"),
        ("split_feature=0", "split_feature=7"),
        ("num_leaves=", "num_leaves=1"),
        ("tree_sizes=", "tree_sizes=1"),
        ("max_feature_idx=1", "max_feature_idx=0"),
        ("num_class=1", "num_class=3"),
        ("shrinkage=0.1", "shrinkage=T.1"),
        ("decision_type=2", "decision_type=1"),
        ("is_linear=0", "is_linear=1"),
        ("end of trees", "end of tree"),
        ("feature_infos=[", "feature_infos=(["),
        ("Tree=1", "Tree=2"),
        ("version=v4", "version=v4\nversion=v4"),
        ("version=v4", "unknown=v4"),
        ("end of parameters", ""),
    ],
)
def test_a_text_that_leads_outside_is_never_given_to_lightgbm(line: str, other: str) -> None:
    """A child, feature, leaf or tree that is not there is found before LightGBM would follow it."""
    text = encoded(LightGBMCodec(), lightgbm_estimators()[1].booster_).decode()
    lightgbm_text.check(text)
    assert line in text
    with pytest.raises((ValueError, KeyError)):
        lightgbm_text.check(text.replace(line, other, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda node: node["handle"].update(__id__=1),
        lambda node: node["handle"].update(__loader__="BytesNode"),
        lambda node: node.update(_handle=node.pop("handle")),
    ],
    ids=["another object", "another loader", "another name"],
)
def test_a_booster_is_built_from_nothing_but_its_checked_model(change: Callable[[dict[str, Any]], Any]) -> None:
    """A crafted archive cannot have a booster built from bytes that were not checked."""
    content = encoded(SkopsCodec(), xgboost_estimators()[1])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files["schema.json"])
    change(schema["content"]["content"]["_Booster"]["content"]["content"])
    with pytest.raises(CodecError):
        decoded(SkopsCodec(), zipped({**files, "schema.json": json.dumps(schema).encode()}))


def test_a_snapshot_in_place_of_the_model_is_refused() -> None:
    """The format that XGBoost pickles, which is not checked, is not loaded."""
    estimator = xgboost_estimators()[1]
    content = encoded(SkopsCodec(), estimator)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (name,) = [name for name in files if name.endswith(".bin")]
    files[name] = bytes(estimator.get_booster().__getstate__()["handle"])
    with pytest.raises(CodecError):
        decoded(SkopsCodec(), zipped(files))


_CHANGED = """
import random, sys
from tests.adapters.codecs import test_boosters as cases
seeds = range(*map(int, sys.argv[2:4]))
codec, model = cases.to_damage(sys.argv[1])
content = cases.encoded(codec, model)
for seed in seeds:
    chosen = random.Random(seed)
    changed = bytearray(content)
    if seed % 4:
        for _ in range(chosen.choice((1, 1, 3))):
            changed[chosen.randrange(len(changed))] = chosen.choice((chosen.randrange(256), *b"0123456789- .="))
    else:
        del changed[chosen.randrange(len(changed)):]
    print(seed, file=sys.stderr, flush=True)
    try:
        cases.answers(cases.decoded(codec, bytes(changed)))
    except Exception as error:
        print(type(error).__name__)
    else:
        print("answered")
"""


def to_damage(library: str) -> tuple[Codec, Any]:
    rows, labels = table()
    if library == "xgboost":
        return XGBoostCodec(), xgboost.XGBClassifier(**ALONE, n_estimators=3, max_depth=3).fit(
            rows, labels
        ).get_booster()
    return LightGBMCodec(), lightgbm.LGBMClassifier(**QUIET).fit(rows, labels).booster_


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("seeds", [(0, 200), pytest.param((0, 5000), marks=pytest.mark.campaign)], ids=["some", "many"])
def test_damaged_models_never_crash_the_process(library: str, seeds: tuple[int, int]) -> None:
    """Of changed and cut files each is refused, or is a model that answers; libraries alone crash on one in ten."""
    command = [sys.executable, "-c", _CHANGED, library, *map(str, seeds)]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {done.stderr.splitlines()[-3:]}"
    ends = [line for line in done.stdout.splitlines() if not line.startswith("[LightGBM]")]
    assert len(ends) == seeds[1]
    assert ends.count("CodecError") > len(ends) / 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[",
        b"{L\0\0\0\0\0\0\0\1",
        b"i",
        b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[#L\0\0\0\0\0\0\xff\xff",
        b"Zi",
        b"q",
        b"[#L\0\0\0\0\0\0\0\1" * 40,
        b"S" + b"L" + b"\xff" * 8,
        b"[$S#L\0\0\0\0\0\0\0\0",
    ],
)
def test_malformed_ubjson_is_a_value_error(content: bytes) -> None:
    """Cut, padded, nested too deep or too long: nothing else than ValueError is raised, and nothing is allocated."""
    with pytest.raises(ValueError):
        ubjson.read(content)


def encoded(codec: Codec, value: Any) -> bytes:
    artifact = MemoryArtifact(Path())
    codec.encode(value, artifact)
    return artifact.bytes()


def decoded(codec: Codec, content: bytes) -> Any:
    return codec.decode(MemoryArtifact(Path(), content))


def zipped(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def lightgbm_node(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read("schema.json"))
    found: dict[str, Any] = schema["content"]["content"]["_Booster"]["content"]["content"]
    return found
