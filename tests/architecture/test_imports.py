"""Who may import what: the rings, outside libraries, and no pickle."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tree import ABILITIES, MODULES, ROOT, SRC, imported, short

LIBRARIES = {
    "blake3": {"core", "engine", "adapters"},
    "polars": {
        "data",
        "transforms",
        "model",
        "serving",
        "monitoring",
        "adapters",
        "project/builtin.py",
        "project/tables.py",
        "project/collecting.py",
        "project/metrics.py",
        "project/serving/predictions.py",
        "cli/demo_command.py",
    },
    "PIL": {"data/pixels.py", "data/likeness.py", "adapters/sources/image_facts.py"},
    "numpy": {
        "data/pixels.py",
        "data/images.py",
        "data/near_images.py",
        "model",
        "monitoring",
        "serving",
        "adapters/codecs",
    },
    "scipy": {"model", "monitoring"},
    "sklearn": {"model"},
    "skops": {"adapters/codecs"},
    "xgboost": {"adapters/codecs", "model/booster.py", "model/contributions.py", "model/onnx_export.py"},
    "torch": {"adapters/codecs", "model/torch.py"},
    "safetensors": {"adapters/codecs"},
    "onnx": {"adapters/codecs"},
    "onnxruntime": {"model/onnx.py", "serving/onnx_predictor.py"},
    "skl2onnx": {"model/onnx_export.py"},
    "onnxmltools": {"model/onnx_export.py"},
    "lightgbm": {"adapters/codecs", "model/onnx_export.py"},
    "optuna": {"model/samplers.py", "model/study_report.py"},
    "pandas": {"adapters/codecs"},
    "pyarrow": {"adapters/codecs", "adapters/sql", "serving/arrow_bodies.py", "serving/arrow_tables.py"},
    "adbc_driver_manager": {"adapters/sql"},
    "matplotlib": {"adapters/codecs"},
    "markdown_it": {"adapters/markdown_page.py"},
    "opentelemetry": {"serving/tracing.py"},
    "grpc": {"serving/oip_grpc.py"},
    "google": {"serving/oip_messages.py"},
    "cryptography": {"adapters/ed25519_keys.py"},
    "msgspec": {
        "serving",
        "adapters/prediction_segments.py",
        "adapters/_logged_records.py",
        "adapters/prediction_parts.py",
    },
    "zstandard": {"adapters/sources/unpacking.py"},
    "kedro": {"adapters/sources/kedro_dataset.py"},
    "duckdb": {"adapters/codecs/duckdb_relations.py"},
    "obstore": {"adapters/sources/remote_files.py", "adapters/shared_place.py"},
    "redis": {"adapters/brokers/redis_stream.py"},
    "pika": {"adapters/brokers/amqp_queue.py"},
    "confluent_kafka": {"adapters/brokers/kafka_topic.py"},
    "sqlite3": {"adapters/sqlite_records.py"},
    "cronsim": {"supervision/schedule.py"},
    "packaging": {"project/shipping/locks.py"},
    "lxml": {"adapters/sources"},
    "keyring": {"adapters/credentials.py"},
    "httpx": {"serving/async_client.py", "serving/contracts/recorder.py"},
    "pytest": {"testing"},
}
"""The outside libraries (and databases) and where each may be imported. A library in a new place is a decision."""

OURS = {"filiera"}
UNSAFE = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}


def outside(path: Path) -> set[str]:
    """Return the top-level names that a module imports, without the standard library and ourselves."""
    roots = {name.partition(".")[0] for name in imported(path)}
    return {name for name in roots if name in LIBRARIES or name not in (sys.stdlib_module_names | OURS)}


SOURCES = [path for path in MODULES if not short(path).startswith("templates/")]
"""Without the templates, which are projects of users and import what users import."""


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_libraries_stay_in_their_place(path: Path) -> None:
    """An outside library is imported only in the folders and files that the table names."""
    place = short(path)
    strays = {
        name
        for name in outside(path)
        if not any(place == allowed or place.startswith(f"{allowed}/") for allowed in LIBRARIES.get(name, ()))
    }
    assert strays == set()


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_nothing_is_pickled(path: Path) -> None:
    """No module imports pickle or what pickles for it: a stored or received byte never becomes code."""
    assert UNSAFE.isdisjoint(name.partition(".")[0] for name in imported(path))


def test_rings_hold() -> None:
    """The import contract of ``pyproject.toml`` is kept."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_rings_have_no_exceptions() -> None:
    """The import contract ignores no import."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert [c["name"] for c in settings["contracts"] if any("ignore" in key for key in c)] == []
    assert not any("ignore" in key for key in settings)


@pytest.mark.parametrize("gone", ABILITIES)
def test_an_ability_can_be_deleted(gone: str, tmp_path: Path) -> None:
    """Without an ability's folder, the core, the engine, the adapters and all other abilities still import."""
    copy = tmp_path / "filiera"
    shutil.copytree(SRC, copy, ignore=shutil.ignore_patterns("__pycache__", "templates"))
    shutil.rmtree(copy / gone)
    rings = ("core", "engine", "adapters", *(ability for ability in ABILITIES if ability != gone))
    names = [".".join(path.relative_to(tmp_path).with_suffix("").parts) for path in sorted(copy.rglob("*.py"))]
    wanted = [name for name in names if name.split(".")[1:2] and name.split(".")[1] in rings]
    code = f"import importlib\nfor name in {wanted!r}: importlib.import_module(name)\nimport filiera; print(filiera)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, str(copy) in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("ability", ABILITIES)
def test_an_ability_is_tested_alone(ability: str) -> None:
    """The tests of an ability import no other ability, so that they stay green when another is deleted."""
    others = {f"filiera.{other}" for other in ABILITIES if other != ability}
    strays = {
        f"{path.name}: {name}"
        for path in (ROOT / "tests" / ability).rglob("*.py")
        for name in imported(path)
        if ".".join(name.split(".")[:2]) in others
    }
    assert strays == set()
