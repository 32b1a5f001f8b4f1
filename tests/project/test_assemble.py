"""From a traced graph to one that can run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from filiera.core.artifact import ArtifactRef
from filiera.core.check import Check
from filiera.core.chunks import TABLE_CODEC
from filiera.core.gate import Gate
from filiera.core.graph import Known, Late, Node, OutputRef
from filiera.core.metric import Metrics
from filiera.core.pipeline import pipeline
from filiera.core.products import Dataset, Model, ProductKind, ProductRef, Source
from filiera.core.shapes import when
from filiera.core.step import step
from filiera.errors import GraphError, SourceError
from filiera.project import builtin
from filiera.project.assemble import Assembled, Lookups, artifact_of, assemble
from filiera.project.beside import BesideLookups
from filiera.project.rivals import Rivals
from filiera.project.versions import Version

REF = ArtifactRef(digest="1" * 64, codec="parquet/1", size_bytes=5)
PROMISED = ArtifactRef(digest="2" * 64, codec="json/1", size_bytes=5)
RIVAL = ArtifactRef(digest="3" * 64, codec="json/1", size_bytes=5)
RAW, OTHER, FLOWS, BASE = Source("raw"), Source("other"), Dataset("flows@latest"), Model("base@champion")


def find_version(kind: ProductKind, ref: ProductRef) -> Version:
    return Version(
        kind=kind,
        name=ref.name,
        number=7,
        artifact=REF,
        run_id="r-1",
        created_at=0.0,
        description={},
        inputs={},
        attachments={"promised": PROMISED} if kind == "dataset" else {},
    )


def find_source(name: str) -> tuple[dict[str, Any], str]:
    if name == "missing":
        raise SourceError("The catalog has no source 'missing'.")
    return {"type": "csv", "path": f"{name}.csv"}, name * 10


class Found(Rivals):
    """One champion, whoever asks."""

    def __init__(self) -> None:
        pass

    def evaluation(self, name: str, model: ArtifactRef, evaluation: ArtifactRef) -> Known:
        return Known(RIVAL, f"champion {name}@1")

    def reference(self, name: str, model: ArtifactRef, evaluation: ArtifactRef) -> Known:
        return Known(PROMISED, f"champion {name}@1")

    def size(self, model: ArtifactRef) -> Known:
        return Known(REF, "bytes")


LOOKUPS = Lookups(
    version=find_version,
    rivals=Found(),
    waivers=lambda model: (),
    source=find_source,
    beside=BesideLookups(
        version=lambda ref: find_version("dataset", ref),
        newest=lambda name: None if name == "new" else find_version("dataset", ProductRef(name)),
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    ),
    to_grow=lambda name, entry: {},
)


@step
def clean(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


@step
def join(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    return a


@step
def fit(rows: pl.DataFrame, depth: int = 1) -> object:
    return depth


@step
def guess(depth: int) -> object:
    return depth


@step
def evaluate(model: object, rows: pl.DataFrame) -> Metrics:
    return Metrics((), task="classification")


@step
def measure(rows: pl.DataFrame) -> Metrics:
    return Metrics((), task="classification")


@step
def validate(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


def put_together(function: Any, *, kind: Any = "data", publishes: Any = None, **values: Any) -> Assembled:
    return assemble(pipeline(kind=kind, publishes=publishes)(function), values, LOOKUPS)


def node(assembled: Assembled, name: str) -> Node:
    return next(node for node in assembled.graph.nodes if node.name == name)


def names(assembled: Assembled) -> list[str]:
    return [node.name for node in assembled.graph.nodes]


def one_source(raw: pl.DataFrame = RAW) -> Any:  # type: ignore[assignment]
    return clean(raw)


def two_sources(a: pl.DataFrame = RAW, b: pl.DataFrame = RAW, c: pl.DataFrame = OTHER) -> Any:  # type: ignore[assignment]
    return join(join(a, b), c)


def from_products(flows: pl.DataFrame = FLOWS, base: object = BASE) -> Any:  # type: ignore[assignment]
    return evaluate(base, flows)


def trained(flows: pl.DataFrame = FLOWS, depth: int = 3) -> Any:  # type: ignore[assignment]
    rows = clean(flows)
    model = fit(rows, depth=depth)
    return model, evaluate(model, clean(flows))


def test_sources_are_collected_by_a_step() -> None:
    """A source becomes a step that reads it, whose key has the entry and the fingerprint of the content."""
    assembled = put_together(one_source)
    assert names(assembled) == ["collect-raw", "clean"]
    collect = node(assembled, "collect-raw")
    assert (collect.step, collect.stage) == (builtin.collect, "collect")
    assert collect.arguments == {"entry": {"type": "csv", "path": "raw.csv"}, "fingerprint": "raw" * 10}
    assert node(assembled, "clean").arguments == {"raw": OutputRef("collect-raw", 0)}
    assert assembled.inputs == {"raw": "raw (rawrawrawraw)"}


def test_a_source_used_twice_is_read_once() -> None:
    """Two parameters with one source share the step that reads it; another source has its own."""
    assembled = put_together(two_sources)
    assert names(assembled) == ["collect-raw", "collect-other", "join", "join-2"]
    assert node(assembled, "join").upstream == ("collect-raw",)


def test_another_source_may_be_given() -> None:
    """The value of a parameter names another entry of the catalog; one that is missing is an error."""
    assert names(put_together(one_source, raw="other"))[0] == "collect-other"
    with pytest.raises(SourceError):
        put_together(one_source, raw="missing")


def test_products_are_known_values() -> None:
    """A version that is consumed is in the store already: no step reads it, and lineage has its number."""
    assembled = put_together(from_products)
    assert names(assembled) == ["evaluate"]
    assert node(assembled, "evaluate").arguments == {"model": Known(REF, "base@7"), "rows": Known(REF, "flows@7")}
    assert assembled.inputs == {"flows": "flows@7", "base": "base@7"}


def test_keys_are_checked_once() -> None:
    """What names a row is there and once; who checks that too is not told of it twice."""
    twice = Dataset("sales", checks=[Check.unique("id")], keys=["id"])
    checks = node(put_together(one_source, publishes=twice), "validate").arguments["checks"]
    assert checks == (Check.unique("id"), Check.not_null("id"))


def test_a_dataset_is_checked_and_published() -> None:
    """What a data pipeline returns is validated, then published as Parquet with its report."""
    assembled = put_together(one_source, publishes=Dataset("sales", checks=[Check.rows(at_least=1)]))
    assert names(assembled) == ["collect-raw", "clean", "validate", "publish"]
    assert node(assembled, "validate").step is builtin.validate
    publish = node(assembled, "publish")
    assert (publish.codecs, publish.upstream) == ((TABLE_CODEC, ""), ("clean", "validate"))
    publication = assembled.graph.publication
    assert publication is not None
    assert (publication.kind, publication.name) == ("dataset", "sales")
    assert dict(publication.attachments) == {
        "report": OutputRef("validate", 0),
        "promised": OutputRef("validate", 1),
        "collected-raw": OutputRef("collect-raw", 1),
    }


def test_rows_set_aside_are_not_published() -> None:
    """With a check that sets rows aside, what is published is what was kept, and the rest is kept beside it."""
    checks = [Check.not_null("a", severity="quarantine")]
    assembled = put_together(one_source, publishes=Dataset("sales", checks=checks))
    assert node(assembled, "validate").step is builtin.validate_with_quarantine
    assert node(assembled, "publish").arguments["table"] == OutputRef("validate", 2)
    assert assembled.graph.publication is not None
    assert assembled.graph.publication.attachments["quarantine"] == OutputRef("validate", 3)


def test_a_source_can_be_published_as_it_is() -> None:
    """A pipeline may return what it collected; one that returns a version it consumes is refused."""

    def collected(raw: pl.DataFrame = RAW) -> Any:  # type: ignore[assignment]
        clean(raw)
        return raw

    def handed_on(flows: pl.DataFrame = FLOWS) -> Any:  # type: ignore[assignment]
        clean(flows)
        return flows

    assert node(put_together(collected, publishes=Dataset("d")), "publish").arguments["table"] == OutputRef(
        "collect-raw", 0
    )
    with pytest.raises(GraphError, match=r"publishes Dataset.* but returns its own input flows@7"):
        put_together(handed_on, publishes=Dataset("d"))


def test_a_model_is_gated_and_published() -> None:
    """Model and metrics go to the gate, then to the description made from the tables they were made with."""
    model = Model("m", gates=[Gate("f1", at_least=0.5)])
    assembled = put_together(trained, kind="model", publishes=model)
    assert names(assembled) == ["clean", "fit", "clean-2", "evaluate", "gate", "publish"]
    gate, publish = node(assembled, "gate"), node(assembled, "publish")
    assert gate.arguments == {
        "gates": model.gates,
        "evaluation": OutputRef("evaluate", 0),
        "champion": None,
        "training": OutputRef("clean", 0),
        "evaluated": OutputRef("clean-2", 0),
        "may_share": False,
    }
    assert publish.arguments == {
        "model": OutputRef("fit", 0),
        "training": OutputRef("clean", 0),
        "evaluated": OutputRef("clean-2", 0),
        "evaluation": OutputRef("evaluate", 0),
        "verdict": OutputRef("gate", 0),
        "promised": [Known(PROMISED, "checks of flows@7")],
        "sensitive": (),
    }
    publication = assembled.graph.publication
    assert publication is not None
    assert (publication.kind, publication.artifact) == ("model", OutputRef("fit", 0))
    assert set(publication.attachments) == {"signature", "reference", "fit", "evaluation", "gates", "rival"}


def test_the_champion_is_looked_up_when_the_candidate_is_known() -> None:
    """A gate against the champion waits for model and metrics; then it asks whom they are compared with."""
    model = Model("m", gates=[Gate("f1", not_worse_than="champion")])
    gate = node(put_together(trained, kind="model", publishes=model), "gate")
    late = gate.arguments["champion"]
    assert isinstance(late, Late)
    assert late.needs == (OutputRef("fit", 0), OutputRef("evaluate", 0))
    assert set(gate.upstream) == {"evaluate", "fit", "clean", "clean-2"}
    assert late.find((REF, REF)) == Known(RIVAL, "champion m@1")


def test_what_gates_name_is_measured() -> None:
    """Size, speed and drift of the rows evaluated are found out where a gate asks for them, and only there."""
    gates = [Gate(name, at_most=1) for name in ("model_mb", "predict_ms", "evaluation_drift")]
    assembled = put_together(trained, kind="model", publishes=Model("m", gates=gates))
    assert names(assembled)[-3:] == ["time_model", "gate", "publish"]
    gate = node(assembled, "gate")
    assert gate.arguments["timed"] == OutputRef("time_model", 0)
    assert gate.arguments["size"].find((REF,)) == Known(REF, "bytes")
    assert gate.arguments["reference"].find((REF, REF)) == Known(PROMISED, "champion m@1")
    publication = assembled.graph.publication
    assert publication is not None
    assert publication.attachments["rival reference"] == OutputRef("gate", 2)


def cross_validated(flows: pl.DataFrame = FLOWS) -> Any:  # type: ignore[assignment]
    return fit(flows), measure(flows)


def test_only_rows_that_the_model_was_asked_about_must_be_new_to_it() -> None:
    """Cross-validation looks at all rows with models of its own, and clusters are judged on what they are made of."""
    gate = node(put_together(cross_validated, kind="model", publishes=Model("m")), "gate")
    assert "training" not in gate.arguments
    clusters = Model("m", task="clustering")
    assert "training" not in node(put_together(trained, kind="model", publishes=clusters), "gate").arguments
    repeated = Model("m", may_share_rows=True)
    assert node(put_together(trained, kind="model", publishes=repeated), "gate").arguments["may_share"] is True


def returns_nothing(raw: pl.DataFrame = RAW) -> Any:  # type: ignore[assignment]
    clean(raw)


def returns_a_number(raw: pl.DataFrame = RAW) -> Any:  # type: ignore[assignment]
    clean(raw)
    return 5


def returns_only_a_model(flows: pl.DataFrame = FLOWS) -> Any:  # type: ignore[assignment]
    return fit(flows)


def returns_wrong_metrics(flows: pl.DataFrame = FLOWS) -> Any:  # type: ignore[assignment]
    return fit(flows), clean(flows)


def fits_without_a_table(flows: pl.DataFrame = FLOWS) -> Any:  # type: ignore[assignment]
    model = guess(3)
    return model, evaluate(model, flows)


def has_its_own_validate(raw: pl.DataFrame = RAW) -> Any:  # type: ignore[assignment]
    return validate(raw)


@pytest.mark.parametrize(
    ("function", "kind", "publishes", "words"),
    [
        (returns_nothing, "data", Dataset("d"), "but returns nothing"),
        (returns_a_number, "data", Dataset("d"), "but returns the value 5"),
        (
            trained,
            "data",
            Dataset("d"),
            r"but returns \(the object of step 'fit', the filiera.Metrics of step 'evaluate'\)",
        ),
        (returns_only_a_model, "model", Model("m"), "but returns the object of step 'fit'"),
        (
            returns_wrong_metrics,
            "model",
            Model("m"),
            r"the object of step 'fit', the polars.DataFrame of step 'clean'\)",
        ),
        (fits_without_a_table, "model", Model("m"), "'guess' returns the model but takes no table"),
        (has_its_own_validate, "data", Dataset("d"), "has a step called 'validate'"),
    ],
)
def test_what_cannot_be_published_is_refused(function: Any, kind: Any, publishes: Any, words: str) -> None:
    """A pipeline that does not return what it publishes is told what it returns and what it should."""
    with pytest.raises(GraphError, match=words) as caught:
        put_together(function, kind=kind, publishes=publishes)
    assert caught.value.do


def test_an_output_of_a_run_is_found() -> None:
    """The artifact of an output is the one at its place among the step's outputs."""
    assert artifact_of(OutputRef("a", 1), {"a": (REF, RIVAL)}) == RIVAL


@step
def is_wide(table: pl.DataFrame) -> bool:
    return table.width > 3


def test_a_choice_is_published_through_a_step() -> None:
    """No single step returns a choice, so it is no product; the message says what to write instead."""

    def chosen(raw: pl.DataFrame = RAW) -> Any:
        table = clean(raw)
        return when(is_wide(table), lambda: clean(table), table)

    with pytest.raises(GraphError, match="let one more step take and return it"):
        put_together(chosen, publishes=Dataset("d"))
