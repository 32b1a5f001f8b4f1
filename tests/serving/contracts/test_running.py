"""A service that runs somewhere is asked over HTTP whether it keeps the contract of a version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from filiera.core.signature import Signature, Slo
from filiera.errors import FilieraError, UsageError
from filiera.serving.app import App
from filiera.serving.client import ServiceClient
from filiera.serving.contracts.mock_server import MockServer
from filiera.serving.contracts.running import verify_running
from filiera.serving.contracts.verification import Verification
from filiera.serving.endpoint import Endpoint
from filiera.serving.in_process import InProcess
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from tests.serving.contracts.test_verification import recorded
from tests.serving.offers import SIGNATURE, Rule

PUBLISHED = replace(
    SIGNATURE, answers=({"label": "normal", "probabilities": (0.25, 0.75)},) * 2, slo=Slo(p95_ms=60_000, rows=2)
)


def verified(model: Any = None, signature: Signature = PUBLISHED, version: int = 3, token: str = "") -> Verification:
    """Return what is found of a service of a model, which promises what version 3 was published with."""
    served = ServedModel("flows", model or Rule(), version=version, signature=replace(signature, answers=()))
    expected = ServedModel("flows", Rule(), version=3, signature=PUBLISHED).contract
    with (
        InProcess(App([ModelMount(Endpoint(served))], token="s3cret" if token else None)) as inside,
        MockServer(inside.ask) as server,
    ):
        return verify_running(ServiceClient(server.url, token=token or None), expected, [recorded()])


def states(found: Verification) -> dict[str, str]:
    return {part.name: part.state for part in found.parts}


def test_a_service_that_keeps_the_contract_passes() -> None:
    """What it says of itself, examples, what applications recorded, made-up requests, meaning and time are asked."""
    found = verified(token="s3cret")
    names = ["diff", "examples", "replay", "fuzzing", "meaning", "speed"]
    assert states(found) == dict.fromkeys(names, "passed"), found
    assert found.deployed == "flows@3" and found.candidate.startswith("http://127.0.0.1:") and not found.blocks


def test_a_model_packed_with_other_libraries_is_found() -> None:
    """It has the contract of the version, and answers its examples otherwise."""

    class Moved(Rule):
        def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
            return super().predict_proba(frame) + np.array([0.2, -0.2])

    found = verified(Moved())
    assert [name for name, state in states(found).items() if state == "failed"] == ["examples"]
    part = next(part for part in found.parts if part.name == "examples")
    assert part.reason == "probabilities.attack of example 1: 0.25 when it was published, 0.45 here"


def test_another_version_is_held_to_the_contract_and_not_to_the_answers() -> None:
    """A service that has moved on keeps the contract, or says where it does not."""
    assert states(verified(version=4))["examples"] == "skipped"
    narrow = replace(PUBLISHED, inputs=(replace(PUBLISHED.inputs[0], maximum=99), *PUBLISHED.inputs[1:]))
    found = verified(signature=narrow, version=4)
    assert found.blocks and states(found)["diff"] == "failed"
    assert "at most 32767 → at most 99" in found.parts[0].details[0]


def test_a_service_that_is_not_there_or_not_open_is_told() -> None:
    """Neither is a verdict about its contract."""
    expected = ServedModel("flows", Rule(), version=3, signature=PUBLISHED).contract
    with pytest.raises(FilieraError, match="No answer from"):
        verify_running(ServiceClient("http://127.0.0.1:9"), expected, [])
    with pytest.raises(UsageError, match="401"):
        verified(token="another")
