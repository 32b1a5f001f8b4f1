"""Every place that makes values, or code, of bytes is in a list: a new one is a decision about trust."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache

from tests.architecture.tree import MODULES, short

CODE = {
    "importlib.import_module": {
        "adapters/codecs/refusal.py": "libraries of our own list",
        "adapters/codecs/sklearn_models.py": "types that skops names, looked up in a list first",
        "adapters/sql/connection.py": "drivers of our own list",
        "adapters/sqlite_records.py": "of the standard library",
        "cli/groups.py": "our verbs",
        "cli/main.py": "our verbs",
        "core/_closure_modules.py": "what the project's own modules import",
        "core/plain.py": "our own values",
        "core/subgraph.py": "the module of a step of the project, named by its own worker",
        "project/index.py": "modules of the project's own folder",
        "project/packed_code.py": "of a service's version, see require_trust",
        "project/plugins.py": "adapters of our own list, or of installed entry points",
        "project/serving/graphs.py": "of a service's version, see require_trust",
        "project/serving/spares.py": "libraries of the list that runtimes.py has for each codec",
    },
    "import_module": {
        "__init__.py": "our own modules",
        "transforms/__init__.py": "our own modules",
        "project/upkeep/health.py": "modules of the project's own folder",
        "project/index.py": "modules of the project's own folder",
        "project/launch.py": "modules of the project's own folder",
        "project/several.py": "modules of the project's own folder",
    },
    "__import__": {"engine/execute.py": "modules of the project's steps, named by the driver through a pipe"},
    "builtins.__import__": {"project/packed_code.py": "as the code of a service's version does"},
    "eval": {"core/types.py": "annotations of the project's own functions"},
    "exec": {
        "core/value.py": "text made of names of fields",
        "project/packed_code.py": "of a service's version, see require_trust",
    },
    "marshal.loads": {
        "core/wire.py": "between a driver and its own workers, through pipes; it makes plain values only"
    },
}
"""What can make code run, where, and whose it is. The rest of the package reads data."""

READERS = {
    "duckdb.read_parquet": {"adapters/codecs"},
    "etree.fromstring": {"adapters/sources"},
    "lightgbm.Booster": {"adapters/codecs"},
    "np.lib.format.read_array": {"adapters/codecs"},
    "onnx.ModelProto.FromString": {"adapters/codecs"},
    "onnxruntime.InferenceSession": {"model/onnx.py", "serving/onnx_predictor.py"},
    "pa.ipc.open_file": {"adapters/codecs"},
    "pl.Expr.deserialize": {"transforms/expressions.py"},
    "pl.read_ipc": {"adapters/codecs"},
    "pl.read_parquet": {"adapters/codecs"},
    "pl.scan_ipc": {"adapters/codecs", "adapters/sources", "serving/table_mode.py"},
    "pl.scan_parquet": {"adapters/codecs", "adapters/sources", "adapters/prediction_parts.py"},
    "pyarrow.ipc.open_stream": {"serving/arrow_tables.py", "serving/arrow_bodies.py"},
    "safetensors.load": {"adapters/codecs"},
    "skops.io.loads": {"adapters/codecs"},
    "tarfile.open": {"adapters/sources"},
    "tomllib.loads": {"project/config.py", "serving/contracts/approval.py"},
    "xgboost.Booster": {"adapters/codecs"},
    "zipfile.ZipFile": {"adapters/codecs/sklearn_models.py", "adapters/run_archive.py", "adapters/sources/archives.py"},
}
"""What reads formats of others, and where: each place has its own tests of hostile bytes."""

FORBIDDEN = {
    "torch.load", "np.load", "numpy.load", "joblib.load", "pickle.load", "pickle.loads", "pandas.read_pickle",
    "pd.read_pickle", "yaml.load", "shelve.open", "runpy.run_path", "runpy.run_module", "logging.config.dictConfig",
    "tarfile.extractall", "extractall", "shutil.unpack_archive", "dill.loads", "cloudpickle.loads",
}  # fmt: skip


LOOKED_FOR = {name.rpartition(".")[2] for name in (*CODE, *READERS, *FORBIDDEN, "decode", "read_pickle", "dictConfig")}


@cache
def calls() -> dict[str, set[str]]:
    """Return what is called, by its name as it is written, and where; templates are projects of users."""
    found = defaultdict(set)
    for path in MODULES:
        place = short(path)
        if place.startswith("templates/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _last(node.func) in LOOKED_FOR:
                found[ast.unparse(node.func)].add(place)
    return found


def _last(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_code_is_made_where_it_is_known_whose_it_is() -> None:
    """Nothing that a request, an artifact, a contract or a message says becomes code: these are all such places."""
    found = calls()
    for name, places in CODE.items():
        assert found[name] == set(places), name


def test_nothing_that_unpickles_or_unpacks_is_called() -> None:
    """Neither by name nor as a method."""
    found = calls()
    assert {name: places for name in FORBIDDEN if (places := found.get(name))} == {}
    assert {name for name in found if name.rpartition(".")[2] in ("extractall", "read_pickle", "dictConfig")} == set()


def test_formats_are_read_in_their_place() -> None:
    """A reader in a new place is a new way for hostile bytes to come in."""
    found = calls()
    strays = {
        (name, place)
        for name, allowed in READERS.items()
        for place in found.get(name, ())
        if not any(place == each or place.startswith(f"{each}/") for each in allowed)
    }
    assert strays == set()


def test_all_artifacts_come_through_one_gate() -> None:
    """Codecs are asked to decode by one module, which takes bytes that were verified, and by no other loader."""
    decoders = {name for name in calls() if name.endswith(".decode")}
    gate = {"chosen.decode", "self.codec.decode", "codec.decode"}
    places = {place for name in decoders & gate for place in calls()[name] if not place.startswith("testing/")}
    assert places == {"engine/artifacts.py"}
