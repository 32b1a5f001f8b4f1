"""A small model, its signature, and a service around it, for the tests of serving."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import httpx
import numpy as np
import polars as pl

from filiera.core.signature import Field, Output, Signature
from filiera.serving.app import App, Limits
from filiera.serving.endpoint import Endpoint
from filiera.serving.keeping import Keeping
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.serving.waiting import Bounds

T = TypeVar("T")

LABELS = ("attack", "normal")
GOOD: dict[str, Any] = {"duration": 3, "protocol": "tcp", "rate": 0.5, "user": "ann"}
SIGNATURE = Signature(
    task="classification",
    inputs=(
        Field(name="duration", type="int16", minimum=0, unit="s"),
        Field(name="protocol", type="string", values=("icmp", "tcp", "udp")),
        Field(name="rate", type="float64", nullable=True, minimum=0, maximum=1),
        Field(name="user", type="string", sensitive=True),
    ),
    outputs=(
        Output(name="label", type="string", semantics="label", labels=LABELS),
        Output(name="probabilities", type="float64", semantics="probability", labels=LABELS),
    ),
    max_rows=5,
    examples=({**GOOD, "user": "a secret of the training data"}, {**GOOD, "rate": float("nan")}),
)


class Rule:
    """Calls what lasts longer than a minute an attack."""

    classes_ = np.array(LABELS)

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        return np.where(frame["duration"].to_numpy() > 60, "attack", "normal")

    def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        attack = np.where(frame["duration"].to_numpy() > 60, 0.75, 0.25)
        return np.column_stack([attack, 1 - attack])


class Sums(Rule):
    """Gives every input a part in the answer, so that a surface which changes one is found out."""

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        return np.where(self.predict_proba(frame)[:, 0] > 0.5, "attack", "normal")

    def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        parts = frame.select(
            pl.col("duration") / 40_000,
            pl.col("protocol").replace_strict({"icmp": 0.01, "tcp": 0.02, "udp": 0.03}),
            pl.col("rate").fill_null(0.77) / 10,
            pl.col("user").str.len_bytes() / 100,
        )
        attack = parts.sum_horizontal().to_numpy() / 2
        return np.column_stack([attack, 1 - attack])


class Stuck(Rule):
    """Predicts once, for the warm-up, and then only when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.began = threading.Event()

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        self.began.set()
        self.go.wait()
        return super().predict(frame)


class Broken(Rule):
    """Predicts its examples, and fails on the first real row with the row in the message."""

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        if frame["duration"][0] == 99:
            raise ValueError(f"cannot take {frame.to_dicts()}")
        return super().predict(frame)


def service(
    model: Any = None,
    *,
    log: Any = None,
    token: str | None = None,
    local_names_only: bool = False,
    limits: Limits | None = None,
    signature: Signature = SIGNATURE,
    bounds: Bounds | None = None,
    keeping: Keeping | None = None,
) -> App:
    """Return a started app that serves *model* as ``flows``, version 3."""
    served = ServedModel("flows", model or Rule(), version=3, signature=signature, log=log)
    mount = ModelMount(Endpoint(served), bounds=bounds, keeping=keeping)
    app = App([mount], token=token, local_names_only=local_names_only, limits=limits)
    app.start()
    return app


def talk(app: App, act: Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]]) -> T:
    """Return what *act* returns, given a client of *app* in this process."""

    async def run() -> T:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await act(client)

    return asyncio.run(run())


def post(app: App, rows: Sequence[Mapping[str, Any]] | Any) -> httpx.Response:
    """Return the service's answer to *rows*."""
    return post_bytes(app, json.dumps({"instances": rows}).encode())


def post_bytes(app: App, body: bytes, content_type: str = "application/json") -> httpx.Response:
    """Return the service's answer to *body*."""
    headers = {"content-type": content_type}
    return talk(app, lambda client: client.post("/v1/models/flows:predict", content=body, headers=headers))


def get(app: App, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Return the service's answer to a request without a body."""
    return talk(app, lambda client: client.request(method, path, headers=headers))
