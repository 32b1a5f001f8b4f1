"""How long requests take, against what the signature promises."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import cycle, islice

from filiera.serving.contract import ModelContract
from filiera.serving.contracts.made_rows import MadeRows
from filiera.serving.contracts.part import Part
from filiera.serving.in_process import InProcess
from filiera.serving.served_model import request_body

NAME = "speed"
_REQUESTS, _WARM_UP = 40, 5


def check_speed(
    service: InProcess, contract: ModelContract, path: str, *, clock: Callable[[], float] = time.perf_counter
) -> Part:
    """Return whether 95 of 100 requests take at most what the signature promises, here and without a network.

    The percentile is the value that 95 % of the measured times do not exceed (nearest rank).
    """
    slo = contract.signature.slo
    if slo is None:
        return Part(name=NAME, state="skipped", reason="the contract promises no time")
    if slo.rows > contract.signature.max_rows:
        reason = f"it promises a time for {slo.rows:,} rows and takes {contract.signature.max_rows:,}"
        return Part(name=NAME, state="failed", reason=reason)
    rows = MadeRows(contract.signature).ordinary(min(slo.rows, 64))
    body = request_body(islice(cycle(rows), slo.rows))
    times_ms = []
    for _ in range(_WARM_UP + _REQUESTS):
        began = clock()
        status = service.post(path, body).status
        times_ms.append((clock() - began) * 1000)
        if status != 200:
            return Part(name=NAME, state="failed", reason=f"a request of {slo.rows:,} rows gets status {status}")
    p95_ms = sorted(times_ms[_WARM_UP:])[math.ceil(0.95 * _REQUESTS) - 1]
    reason = f"p95 of {_REQUESTS} requests with {slo.rows:,} rows: {p95_ms:.3g} ms, promised {slo.p95_ms:g} ms"
    return Part(name=NAME, state="passed" if p95_ms <= slo.p95_ms else "failed", reason=reason)
