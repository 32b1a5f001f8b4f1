"""What is asked of a service that runs somewhere: does it keep the contract of a version, as callers meet it?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from filiera.core.signature import Signature
from filiera.errors import FilieraError
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.batch import Outputs
from filiera.serving.client import ServiceClient
from filiera.serving.contract import ModelContract
from filiera.serving.contracts import fuzz, meaning, replay, speed
from filiera.serving.contracts.made_rows import MadeRows
from filiera.serving.contracts.pact import Recorded
from filiera.serving.contracts.part import Part, part_of
from filiera.serving.contracts.signature_file import contract_in
from filiera.serving.contracts.verification import Known, Verification, diff_part, findings_of
from filiera.serving.known_answers import other_answers
from filiera.serving.served_model import request_body

_ROWS = 64
_SHOWN = 8


def verify_running(service: ServiceClient, contract: ModelContract, recorded: Sequence[Recorded]) -> Verification:
    """Return what asking a service found; it answers, and logs, these requests like any others.

    Args:
        service: Where it is.
        contract: What it must keep: that of a version.
        recorded: What applications need.

    Raises:
        UsageError: The service has no such model.
        FilieraError: It cannot be reached.
    """
    found = contract_in(service.describe(contract.address))
    known = Known(deployed=contract, recorded=recorded)
    findings, signature = findings_of(found, known), contract.signature
    rows = MadeRows(signature).ordinary(min(_ROWS, signature.max_rows))
    parts = (
        diff_part(findings, known),
        _examples_part(service, contract, found.version),
        replay.check_replay(service, recorded, [contract.address]),
        fuzz.check_fuzz(service, contract, contract.predict_path),
        meaning.check_meaning(lambda some: _predict(service, contract, some), signature, rows),
        speed.check_speed(service, contract, contract.predict_path),
    )
    ref = f"{contract.name}@{contract.version}"
    return Verification(candidate=service.url, deployed=ref, findings=findings, parts=parts)


def _examples_part(service: ServiceClient, contract: ModelContract, version: int) -> Part:
    """Return whether examples get the answers that they got when the version was published."""
    signature = contract.signature
    kept = min(len(signature.answers), signature.max_rows)
    if version != contract.version:
        return Part(name="examples", state="skipped", reason=f"version {version} answers, which has answers of its own")
    if not (kept and signature.deterministic):
        return Part(name="examples", state="skipped", reason="no answers are kept with the version")
    try:
        answers = _predict(service, contract, signature.examples[:kept])
    except FilieraError as error:
        return Part(name="examples", state="failed", reason=error.what, details=(error.why,))
    faults = other_answers(signature, _outputs(signature, answers))
    return part_of("examples", faults[:_SHOWN], passed=f"{kept} examples are answered as when it was published")


def _predict(
    service: ServiceClient, contract: ModelContract, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return one answer per row, without ids. Raises FilieraError for a request that is not answered."""
    found: list[dict[str, Any]] = []
    rest = iter(rows)
    while chunk := list(islice(rest, contract.signature.max_rows)):
        answered = service.post(contract.predict_path, request_body(chunk))
        if answered.status != 200:
            raise FilieraError("Rows that the contract takes are not answered.", why=f"Status {answered.status}.")
        found += json.loads(answered.body)["predictions"]
    return [{key: value for key, value in answer.items() if key != "id"} for answer in found]


def _outputs(signature: Signature, answers: Sequence[Mapping[str, Any]]) -> Outputs:
    """Return answers as a model gives them: one array per output; what an answer lacks is None."""
    import numpy as np

    columns: list[Any] = []
    for output in signature.outputs:
        values = [answer.get(ANSWER_KEYS[output.semantics]) for answer in answers]
        if output.semantics == "probability":
            keys = [label_key(label) for label in output.labels]
            values = [[(value or {}).get(key, float("nan")) for key in keys] for value in values]
        columns.append(np.array(values, dtype=float if output.semantics == "probability" else object))
    return tuple(columns)
