"""How long requests take, against what the signature promises."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import cycle, islice

from filiera.serving.contract import ModelContract
from filiera.serving.contracts.made_rows import MadeRows
from filiera.serving.contracts.part import Part
from filiera.serving.exchanges import Asked
from filiera.serving.served_model import request_body

NAME = "speed"
_REQUESTS, _WARM_UP = 40, 5
_LONGEST_WARM_UP_S = 5.0
_MAY_BE_SLOW = _REQUESTS - math.ceil(0.95 * _REQUESTS)


def check_speed(
    service: Asked, contract: ModelContract, path: str, *, clock: Callable[[], float] = time.perf_counter
) -> Part:
    """Return whether 95 of 100 requests take at most what the signature promises, here and without a network.

    The percentile is the value that 95 % of the measured times do not exceed (nearest rank). As soon as too many took
    longer, no more are sent: a model that hangs in each request is found after three of them.
    """
    slo = contract.signature.slo
    if slo is None:
        return Part(name=NAME, state="skipped", reason="the contract promises no time")
    if slo.rows > contract.signature.max_rows:
        reason = f"it promises a time for {slo.rows:,} rows and takes {contract.signature.max_rows:,}"
        return Part(name=NAME, state="failed", reason=reason)
    rows = MadeRows(contract.signature).ordinary(min(slo.rows, 64))
    body = request_body(islice(cycle(rows), slo.rows))
    times_ms: list[float] = []
    warm_s, warm_ups = 0.0, _WARM_UP
    while len(times_ms) < _REQUESTS:
        began = clock()
        status = service.post(path, body).status
        took_s = clock() - began
        if status != 200:
            return Part(name=NAME, state="failed", reason=f"a request of {slo.rows:,} rows gets status {status}")
        if warm_ups and warm_s < _LONGEST_WARM_UP_S:
            warm_s, warm_ups = warm_s + took_s, warm_ups - 1
            continue
        times_ms.append(took_s * 1000)
        slow = sum(took_ms > slo.p95_ms for took_ms in times_ms)
        if slow > _MAY_BE_SLOW:
            reason = f"{slow} of {len(times_ms)} requests with {slo.rows:,} rows took longer than {slo.p95_ms:g} ms"
            details = f"{_MAY_BE_SLOW} of {_REQUESTS} may; the slowest took {max(times_ms):.3g} ms"
            return Part(name=NAME, state="failed", reason=reason, details=(details,))
    p95_ms = sorted(times_ms)[-_MAY_BE_SLOW - 1]
    reason = f"p95 of {_REQUESTS} requests with {slo.rows:,} rows: {p95_ms:.3g} ms, promised {slo.p95_ms:g} ms"
    return Part(name=NAME, state="passed", reason=reason)
