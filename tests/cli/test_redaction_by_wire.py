"""What a contract redacts, through the wire: it stands in no log, no error, no table, on whichever way it came."""

from __future__ import annotations

import http.client
import io
import json
import signal
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

from filiera.core.redaction import SECRET_VARIABLE, hashed
from filiera.project.project import Project
from filiera.project.serving.predictions import Predictions
from tests.cli.command import done, started
from tests.cli.shop import MODEL, make_shop
from tests.cli.test_serve_functions import said_first

SECRET = "0123456789abcdef"
ROWS: list[dict[str, Any]] = [{"pieces": 730_119_551 + n, "price": 91.70135 + n} for n in range(3)]
GRAPH = """
import polars as pl

from filiera import Model, graphs


def picky(rows: pl.DataFrame) -> pl.DataFrame:
    if rows["price"].max() > 1000:
        raise ValueError(f"cannot take {rows.to_dicts()}")
    return rows


around = graphs.graph("around", graphs.before(picky, Model("spender")))
"""


def traces() -> list[bytes]:
    """Return what the values look like in files of text or numbers."""
    found = []
    for row in [*ROWS, dear(ROWS[0])]:
        found += [str(row["pieces"]).encode(), f"{row['price']:.5f}".encode(), struct.pack("<d", row["price"])]
        found += [struct.pack("<q", row["pieces"]), struct.pack("<d", float(row["pieces"]))]
    return found


def dear(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row on which the graph's function fails."""
    return {**row, "price": row["price"] + 5000}


def requests_to(name: str) -> list[tuple[str, str, bytes, int]]:
    """Return requests by every surface, good and bad: path, type, body, and the status of the answer."""
    path = f"/v1/models/{name}:predict"
    frame, stream = pl.DataFrame(ROWS), io.BytesIO()
    frame.write_ipc_stream(stream, compression="uncompressed")
    tensors = {
        "inputs": [
            {"name": "pieces", "datatype": "INT64", "shape": [3], "data": frame["pieces"].to_list()},
            {"name": "price", "datatype": "FP64", "shape": [3], "data": frame["price"].to_list()},
        ]
    }
    wrong = [
        {**ROWS[0], "pieces": -ROWS[0]["pieces"]},
        {**ROWS[1], "price": str(ROWS[1]["price"])},
        {**ROWS[2], f"{ROWS[2]['price']:.5f}"[:3]: 1},
    ]
    json_type = "application/json"
    return [
        (path, json_type, json.dumps({"instances": ROWS}).encode(), 200),
        (path, "application/vnd.apache.arrow.stream", stream.getvalue(), 200),
        (f"/v2/models/{name}/infer", json_type, json.dumps(tensors).encode(), 200),
        *((path, json_type, json.dumps({"instances": [row]}).encode(), 422) for row in wrong),
        (path, json_type, json.dumps({"instances": ROWS}).encode()[:-5], 400),
        (f"{path}?price={ROWS[0]['price']:.5f}", json_type, json.dumps({"instances": ROWS}).encode(), 200),
    ]


def test_what_is_redacted_is_nowhere(tmp_path: Path) -> None:
    """One column is dropped, one hashed; served as a model, and as the input of a graph whose function fails aloud."""
    folder = make_shop(tmp_path / "shop")
    said = 'Model("spender", contract=Contract(redact={"price": "drop", "pieces": "hash"}), '
    code = MODEL.replace('Model("spender", ', said).replace("import Dataset", "import Contract, Dataset")
    (folder / "shopflows" / "model.py").write_text(code)
    (folder / "shopflows" / "serving.py").write_text(GRAPH)
    done("run", "orders", cwd=folder)
    done("run", "train", cwd=folder)
    answers = []
    with started(
        *("serve", "spender", "around", "--port", "0", "--access-log", "access.jsonl"),
        cwd=folder,
        env={SECRET_VARIABLE: SECRET},
    ) as process:
        address = said_first(process)[0].rsplit("http://", 1)[1]
        asked = [*requests_to("spender"), *requests_to("around")]
        asked.append(("/v1/models/around:predict", "application/json", failing(), 500))
        for path, kind, body, status in asked:
            with closing(http.client.HTTPConnection(address)) as connection:
                connection.request("POST", path, body, {"Content-Type": kind})
                answer = connection.getresponse()
                answers.append(answer.read())
                assert answer.status == status, (path, body, answers[-1])
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert "picky" in err  # where it failed is told, but not with what
    assert "ValueError: cannot take" not in err
    assert len((folder / "access.jsonl").read_text().splitlines()) == len(asked)
    hidden = [out.encode(), err.encode(), *answers, files_of(folder)]
    assert not [trace for trace in traces() for text in hidden if trace in text]
    done("predictions", "pack", cwd=folder)
    for name, count in {"spender": 24, "around": 12}.items():  # the model by itself, and inside the graph
        with closing(Project.open(folder)) as project:
            scanned = Predictions(project, name).scan()
        assert scanned is not None
        table = scanned.collect()
        kept = json.dumps(table.to_dicts(), default=str)
        assert (table.height, "inputs.price" in table.columns) == (count, False)
        assert all(hashed("pieces", row["pieces"], SECRET) in kept for row in ROWS)
        assert not [trace for trace in traces() if trace in kept.encode()]
    assert not [trace for trace in traces() if trace in files_of(folder)]


def failing() -> bytes:
    return json.dumps({"instances": [dear(ROWS[0])]}).encode()


def files_of(folder: Path) -> bytes:
    """Return all bytes that lie in a project."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
