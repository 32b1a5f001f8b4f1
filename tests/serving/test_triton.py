"""An unmodified client of the Open Inference Protocol, Triton's, against a real service."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from filiera.serving.client import ServiceClient
from tests.serving.offers import GOOD
from tests.serving.serving import running

TRITON_PYTHON = os.environ.get("FILIERA_TRITON_PYTHON", "")
"""A Python that has ``tritonclient[http,grpc]``, whose protobuf is older than the one of our ONNX tools."""


@pytest.mark.skipif(not TRITON_PYTHON, reason="FILIERA_TRITON_PYTHON names no Python with tritonclient")
def test_tritons_client_gets_the_answers_of_records(tmp_path: Path) -> None:
    """Over HTTP and gRPC: labels, probabilities, health, metadata, refusals."""
    rows = [GOOD, {"duration": 90, "protocol": "udp", "rate": None, "user": "bob"}]
    with running(tmp_path, "grpc") as (_, addresses):
        url, grpc_address = addresses.split()
        records = list(ServiceClient(url).predict(rows))
        for protocol, address in (("http", url.removeprefix("http://")), ("grpc", grpc_address)):
            command = [TRITON_PYTHON, str(Path(__file__).with_name("triton_calls.py")), protocol, address]
            done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.defpath})
            assert done.returncode == 0, done.stderr
            said = json.loads(done.stdout)
            probabilities = [list(record["probabilities"].values()) for record in records]
            assert said == {
                "ready": [True, True, True],
                "unknown": False,
                "metadata": ["flows", ["3"]],
                "label": [record["label"] for record in records],
                "ids": [26, 26],
                "probabilities": probabilities,
                "only": probabilities,
                "refused": said["refused"],
            }
            assert "instances[0].duration must be at least 0" in said["refused"]
