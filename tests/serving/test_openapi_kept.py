"""What a service says in its OpenAPI document holds, as Schemathesis sees it, which knows nothing of us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from filiera.core import graphs
from filiera.core.graphs import Model
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.http import TIMEOUT_HEADER
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from tests.serving import functions
from tests.serving.offers import service
from tests.serving.test_graphs import B, put

CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            "negative_data_rejection": {"expected-statuses": ["400", "401", "404", "405", "406", "413", "415", "422"]}
        }
    }
)
"""413 is for rows too many, which the document says by ``maxItems``."""
HARMLESS = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], derandomize=False
)


def graph() -> App:
    """Return a service of a graph."""
    predictor, signature = put(graphs.ensemble(Model("a"), Model("b"), how="mean"), a=B, b=B)
    app = App([ModelMount(Endpoint(ServedModel("both", predictor, version=1, signature=signature)))])
    app.start()
    return app


def called() -> App:
    """Return a service of functions that answer at once and in parts."""
    return functions.app_of(functions.double, functions.letters)


SERVICES: dict[str, Callable[[], App]] = {"model": service, "functions": called, "graph": graph}


def hold_to_its_document(app: App, examples: int) -> Counter[str]:
    """Ask each operation with so many requests that follow the document, and as many that do not; return their counts.

    No server error; status, media type, headers and body are as documented; what breaks the schema is refused; what
    follows it is taken, but of Open Inference requests, whose shapes must fit their data, which no schema can say.
    """
    counts: Counter[str] = Counter()
    for found in schemathesis.openapi.from_asgi("/openapi.json", app, config=CONFIG).get_all_operations():
        operation = found.ok()
        modes = GenerationMode if operation.body else [GenerationMode.POSITIVE]
        for mode in modes:
            counts[f"{mode.value} {operation.method}"] += ask(operation, mode, examples)
    return counts


def ask(operation: Any, mode: GenerationMode, examples: int) -> int:
    """Return how many requests were sent to an operation."""
    unsaid = [positive_data_acceptance] if operation.path.endswith("/infer") else []
    asked = 0

    @seed(20261122)
    @settings(HARMLESS, max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        nonlocal asked
        asked += 1
        response = case.call()
        # Who says that no answer is of use after 0 ms is told that there is none: no error of the service's.
        is_late = response.status_code == 504 and TIMEOUT_HEADER in {name.lower() for name in case.headers}
        case.validate_response(response, excluded_checks=[*unsaid, *([not_a_server_error] if is_late else [])])

    run()
    return asked


@pytest.mark.parametrize("name", ["functions", "graph"])
def test_a_sample_of_requests_is_answered_as_documented(name: str) -> None:
    """A few of each kind, the same ones every time; a graph is served as a model is."""
    assert hold_to_its_document(SERVICES[name](), 4)["negative post"] > 4


@pytest.mark.campaign
@pytest.mark.parametrize("name", SERVICES)
def test_requests_are_answered_as_documented(name: str) -> None:
    """Two hundred for each operation that takes a body, and as many that it must refuse."""
    counts = hold_to_its_document(SERVICES[name](), 200)
    print(f"{name}: {dict(counts)}")
    assert counts["negative post"] >= 200
