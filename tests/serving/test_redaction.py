"""What is sensitive reaches no disk as it is: not from rows, not from columns, not from functions, not into tables."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera import Sensitive
from filiera.adapters.prediction_parts import encoded
from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.contract import Contract
from filiera.core.redaction import SECRET_VARIABLE, Redaction, hashed
from filiera.core.signature import Field, Output, Signature
from filiera.errors import ProjectError
from filiera.serving.batch import Batch
from filiera.serving.redaction import Redactor
from filiera.serving.served_model import ServedModel, request_body
from tests.serving.functions import app_of, call

SECRET = "0123456789abcdef"
EDGES = (18.0, 65.0)
SIGNATURE = Signature(
    task="classification",
    inputs=(
        Field(name="name", type="string", sensitive=True),
        Field(name="client", type="string", sensitive=True, redaction=Redaction.said("hash")),
        Field(name="account", type="int64", sensitive=True, redaction=Redaction.said("hash")),
        Field(name="age", type="float64", nullable=True, sensitive=True, redaction=Redaction.said(EDGES)),
        Field(name="size", type="float64"),
    ),
    outputs=(Output(name="label", type="string", semantics="label", labels=("a", "b")),),
)
TEXTS = st.text("bcdfghjklmnpqrstvwxyz", min_size=12, max_size=16)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": TEXTS,
            "client": TEXTS,
            "account": st.integers(10**14, 10**15),
            "age": st.none() | st.floats(1, 120).map(lambda age: age + math.pi / 1e4),
            "size": st.floats(0, 1),
        }
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)


class One:
    """A model that knows one answer."""

    is_brief = True

    def predict(self, batch: Batch) -> Any:
        return (np.array(["a"] * batch.height),)


def traces(row: dict[str, Any]) -> list[bytes]:
    """Return what the sensitive values of a row look like in files of text or numbers."""
    found = [
        row["name"].encode(),
        row["client"].encode(),
        str(row["account"]).encode(),
        struct.pack("<q", row["account"]),
    ]
    found += [struct.pack("<d", float(row["account"]))]
    return found + ([] if row["age"] is None else [repr(row["age"]).encode(), struct.pack("<d", row["age"])])


@given(rows=ROWS, is_columnar=st.booleans())
def test_no_sensitive_value_reaches_a_disk(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], is_columnar: bool
) -> None:
    """Neither segments nor tables have its bytes; what stands for it is the same for the same value."""
    folder = tmp_path_factory.mktemp("log")
    log = SegmentLog(folder)
    model = ServedModel("m", One(), version=1, signature=SIGNATURE, log=log)
    if is_columnar:
        frame = pl.DataFrame(
            rows,
            schema={"name": pl.String, "client": pl.String, "account": pl.Int64, "age": pl.Float64, "size": pl.Float64},
        )
        columns = [
            frame[f.name].to_list() if f.type == "string" else frame[f.name].to_numpy() for f in SIGNATURE.inputs
        ]
        model.predict(Batch(fields=SIGNATURE.inputs, columns=columns, height=len(rows)))
    else:
        model.answer(request_body(rows))
    log.close()
    records = list(log.read())
    kept = b"".join(file.read_bytes() for file in folder.iterdir())
    table = pl.read_parquet(encoded(records)[0])
    kept += json.dumps(table.to_dicts()).encode()
    assert not [trace for row in rows for trace in traces(row) if trace in kept]
    for row, record in zip(rows, records, strict=True):
        assert record["inputs"] == {
            "client": hashed("client", row["client"], SECRET),
            "account": hashed("account", row["account"], SECRET),
            "age": Redaction.said(EDGES).binned(row["age"]),
            "size": row["size"],
        }


def test_parameters_of_functions_are_redacted_alike(tmp_path: Path) -> None:
    """By the same rules: dropped, hashed or put into bins; an answer is dropped."""

    def greet(
        name: Annotated[str, Sensitive],
        client: Annotated[str, Sensitive("hash")],
        age: Annotated[float, Sensitive(EDGES)],
        size: int = 1,
    ) -> Annotated[str, Sensitive]:
        return f"Hello {name}"

    log = SegmentLog(tmp_path)
    app = app_of(greet, log=log)
    assert call(app, "greet", name="Ada", client="Ada", age=36).json()["result"] == "Hello Ada"
    (record,) = log.read()
    assert record["inputs"] == {"client": hashed("client", "Ada", SECRET), "age": "18 to below 65"}
    assert record["outputs"] == {}
    log.close()
    assert b"Ada" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("secret", ["", "too short"])
def test_without_a_secret_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """A service that would have to hash does not begin; one that logs nothing needs no secret."""
    monkeypatch.setenv(SECRET_VARIABLE, secret)
    with pytest.raises(ProjectError, match="no secret to hash"):
        ServedModel("m", One(), version=1, signature=SIGNATURE, log=SegmentLog(tmp_path))
    ServedModel("m", One(), version=1, signature=SIGNATURE)
    Redactor({"age": Redaction.said(EDGES), "name": Redaction.said("drop")})


def test_hashes_tell_only_whether_values_are_equal() -> None:
    """One value has another hash in another column or under another secret; 3 and 3.0 are one value."""
    made = [hashed("a", 3, SECRET), hashed("b", 3, SECRET), hashed("a", 3, SECRET + "x"), hashed("a", "3", SECRET)]
    assert len(set(made)) == 4
    redactor = Redactor({"a": Redaction.said("hash")})
    assert redactor.column("a", [3, 3.0, None, math.nan]) == [made[0], made[0], None, None]


def test_a_contract_says_what_is_logged() -> None:
    """Inputs that it redacts are sensitive, and what cannot be is told with the name."""
    plain = Signature(
        task="regression",
        inputs=(Field(name="x", type="float64"), Field(name="who", type="string")),
        outputs=(Output(name="value", type="float64", semantics="value"),),
    )
    said = Contract(redact={"x": (0, 1), "who": "hash"}).applied(plain).inputs
    assert [field.sensitive for field in said] == [True, True]
    assert [field.redaction for field in said] == [Redaction(how="bins", edges=(0.0, 1.0)), Redaction(how="hash")]
    for wrong in ({"who": (1, 2)}, {"x": "blur"}, {"x": (2, 1)}, {"x": ()}, {"value": "hash"}, {"x": 3}):
        with pytest.raises(ProjectError, match=next(iter(wrong))):
            Contract(redact=wrong).applied(plain)  # type: ignore[arg-type]


@given(value=st.floats(allow_nan=False), edges=st.lists(st.floats(-1e6, 1e6), min_size=1, unique=True).map(sorted))
def test_a_bin_holds_its_values(value: float, edges: list[float]) -> None:
    """Equal bins are between equal edges: as many of them lie at or below the value."""
    words = Redaction.said(edges).binned(value)
    below = sum(edge <= value for edge in edges)
    other = Redaction.said(edges).binned(edges[below - 1] if below else math.nextafter(edges[0], -math.inf))
    assert words == other
