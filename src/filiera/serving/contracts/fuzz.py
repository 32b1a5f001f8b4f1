"""Requests that nobody wrote: a service answers those that its schema allows, and refuses the others as it promises."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice

from filiera.serving.contract import ModelContract
from filiera.serving.contracts.made_rows import SECRET, MadeRows
from filiera.serving.contracts.part import Part
from filiera.serving.contracts.promised import faults_of
from filiera.serving.exchanges import Asked
from filiera.serving.plain_caller import Reply
from filiera.serving.problem import MEDIA_TYPE
from filiera.serving.served_model import request_body

Post = Callable[[bytes], Reply]
NAME = "fuzzing"
_ROWS, _EXTREMES = 60, 40
_SIZES = (1, 2, 7)
_BODIES: Mapping[bytes, int] = {
    b"": 400,
    b"{": 400,
    b"\xff\xfe": 400,
    b'{"instances": [': 400,
    b"[" * 2_000: 400,
    b"[]": 422,
    b"null": 422,
    b"{}": 422,
    b'{"instances": []}': 422,
    b'{"instances": {}}': 422,
    b'{"instances": [1]}': 422,
    b'{"instances": [null]}': 422,
}
"""Bodies that are no request of any model, and the status that each must get."""
_SHOWN = 8
_SHOWN_NAME = 64


def check_fuzz(service: Asked, contract: ModelContract, path: str, *, seed: int = 0) -> Part:
    """Return whether the service at *path* does with made-up requests what its contract says.

    That the model fails on rows at the ends of its domains is a warning: the domains promise more than it can.
    """
    asked = 0

    def post(body: bytes) -> Reply:
        nonlocal asked
        asked += 1
        return service.post(path, body)

    rows = MadeRows(contract.signature, seed=seed)
    faults = Counter(_faults(post, contract, rows))
    weak = sum(post(request_body([row])).status != 200 for row in rows.extreme(_EXTREMES))
    lines = [f"{fault} ({count} times)" if count > 1 else fault for fault, count in faults.most_common(_SHOWN)]
    if lines:
        return Part(name=NAME, state="failed", reason=lines[0], details=tuple(lines[1:]))
    if weak:
        reason = f"the model fails on {weak} of {_EXTREMES} rows at the ends of its domains"
        return Part(name=NAME, state="warned", reason=reason, details=("let checks of the dataset say what it takes",))
    reason = f"{asked} made-up requests were answered or refused as promised"
    return Part(name=NAME, state="passed", reason=reason)


def _faults(post: Post, contract: ModelContract, rows: MadeRows) -> Iterator[str]:
    rest, sizes = iter(rows.ordinary(_ROWS)), cycle(_SIZES)
    while chunk := list(islice(rest, min(next(sizes), contract.signature.max_rows))):
        yield from _wrong_answer(post(request_body(chunk)), contract, len(chunk))
    for wrong in rows.wrong():
        answered = post(json.dumps({"instances": [wrong.row]}).encode())
        yield from _wrong_refusal(answered, 422, f"a wrong {wrong.name}")
        is_plain = wrong.name.isidentifier() and len(wrong.name) <= _SHOWN_NAME  # others are cut or escaped
        if is_plain and answered.status == 422 and wrong.name.encode() not in answered.body:
            yield f"the refusal of a wrong {wrong.name} does not name it"
    for body, status in _BODIES.items():
        yield from _wrong_refusal(post(body), status, "a body that is no request")
    many = request_body(rows.ordinary(1) * (contract.signature.max_rows + 1))
    yield from _wrong_refusal(post(many), 413, "too many rows")


def _wrong_answer(answered: Reply, contract: ModelContract, rows: int) -> Iterator[str]:
    if answered.status != 200:
        yield f"rows that the contract takes are answered with status {answered.status}"
        return
    predictions = json.loads(answered.body)["predictions"]
    if len(predictions) != rows:
        yield f"{len(predictions)} predictions for {rows} rows"
    for prediction in predictions:
        yield from faults_of(contract.signature.outputs, prediction)


def _wrong_refusal(answered: Reply, status: int, what: str) -> Iterator[str]:
    if answered.status != status:
        yield f"{what} is answered with status {answered.status}, not {status}"
    elif answered.headers.get("content-type") != MEDIA_TYPE:
        yield f"the refusal of {what} is no problem document"
    elif SECRET.encode() in answered.body or b"739184652301" in answered.body:
        yield f"the refusal of {what} repeats values of the caller"
