"""Serving graphs: put together and checked, then as good as the models that they are made of."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera import Model, graphs
from filiera.core.graphs import Leaf, place_of
from filiera.core.signature import Field, Output, Signature
from filiera.errors import GraphError
from filiera.serving.app import App
from filiera.serving.batch import Batch
from filiera.serving.endpoint import Endpoint
from filiera.serving.graph_build import build
from filiera.serving.graph_predictor import GraphPredictor, Member
from filiera.serving.model_mount import ModelMount
from filiera.serving.predictor import PredictionFailed
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import ServedModel, request_body
from tests.serving.offers import talk

LABELS = ("attack", "normal")
LABEL = Output(name="label", type="string", semantics="label", labels=LABELS)
PROBABILITIES = Output(name="probabilities", type="float64", semantics="probability", labels=LABELS)
VALUE = Output(name="value", type="float64", semantics="value")
SIZE, USER = Field(name="size", type="float64", nullable=True, minimum=0), Field(name="user", type="string")
ROWS: list[dict[str, Any]] = [{"size": float(size), "user": f"u{size}"} for size in range(8)]


class Chance:
    """Calls a row an attack with a probability that a rule gives; fails on a given size."""

    is_brief = True

    def __init__(self, rule: Callable[[float], float], fails_at: float = -1.0) -> None:
        self.rule = rule
        self.fails_at = fails_at
        self.asked: list[int] = []  #: rows of each batch

    def predict(self, batch: Batch) -> Any:
        sizes = [math.nan if size is None else size for size in batch.column(0)]
        self.asked.append(batch.height)
        if self.fails_at in sizes:
            raise PredictionFailed("no")
        attack = np.array([self.rule(size) for size in sizes])
        return np.where(attack > 0.5, "attack", "normal"), np.column_stack([attack, 1 - attack])


class Line:
    """Gives a multiple of the size."""

    is_brief = True

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, batch: Batch) -> Any:
        return (self.factor * np.asarray(batch.column(0), dtype=np.float64),)


def signature(inputs: Sequence[Field] = (SIZE,), outputs: Sequence[Output] = (LABEL, PROBABILITIES)) -> Signature:
    """Return a signature with examples."""
    names = {field.name for field in inputs}
    examples = tuple({name: value for name, value in row.items() if name in names} for row in ROWS)
    return Signature(task="classification", inputs=tuple(inputs), outputs=tuple(outputs), examples=examples)


def member(predictor: Any, name: str = "m", **about: Any) -> Member:
    """Return a model version."""
    return Member(name=name, predictor=predictor, signature=signature(**about))


def put(node: Any, **members: Member) -> tuple[GraphPredictor, Signature]:
    """Return a graph over *members* at work."""
    return build(graphs.graph("g", node), lambda leaf: replace(members[leaf.ref.name], name=leaf.ref.name))


def ask(made: tuple[GraphPredictor, Signature], rows: Sequence[Any] = ROWS) -> Any:
    """Return what a graph answers to rows, of which it is given the fields that it takes."""
    predictor, promised = made
    names = {field.name for field in promised.inputs}
    taken = [{name: value for name, value in row.items() if name in names} for row in rows]
    return predictor.predict(RowDecoder(promised).decode(request_body(taken)))


A = member(Chance(lambda size: min(size, 9) / 10))
B = member(Chance(lambda size: 0.9 if size < 4 else 0.1))


def test_a_mean_weighs_probabilities_and_takes_the_most_probable() -> None:
    """As computed by hand; the label follows from the joined probabilities, not from the labels."""
    labels, probabilities = ask(put(graphs.ensemble(Model("a"), Model("b"), how="mean", weights=(3, 1)), a=A, b=B))
    attack = [(3 * size / 10 + (0.9 if size < 4 else 0.1)) / 4 for size in range(8)]
    assert probabilities[:, 0] == pytest.approx(attack)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert list(labels) == ["attack" if chance >= 0.5 else "normal" for chance in attack]


def test_a_vote_takes_the_label_that_most_give() -> None:
    """Of three; of two that disagree the first in the order of the labels; weights count."""
    always = member(Chance(lambda size: 1.0))
    (labels,) = ask(put(graphs.ensemble(Model("a"), Model("b"), Model("c"), how="vote"), a=A, b=B, c=always))
    assert list(labels) == ["attack"] * 4 + ["normal"] * 2 + ["attack"] * 2
    (labels,) = ask(put(graphs.ensemble(Model("a"), Model("b"), how="vote"), a=A, b=B))
    assert list(labels) == ["attack"] * 4 + ["normal"] * 2 + ["attack"] * 2
    (labels,) = ask(put(graphs.ensemble(Model("a"), Model("b"), how="vote", weights=(1, 2)), a=A, b=B))
    assert list(labels) == ["attack"] * 4 + ["normal"] * 4


def test_numbers_have_a_mean_too() -> None:
    """A regression's value."""
    lines = {name: member(Line(factor), outputs=(VALUE,)) for name, factor in (("a", 1.0), ("b", 4.0))}
    (values,) = ask(put(graphs.ensemble(Model("a"), Model("b"), how="mean", weights=(2, 1)), **lines))
    assert values == pytest.approx([2.0 * size for size in range(8)])


def test_a_stack_gives_answers_and_inputs_to_the_last() -> None:
    """By the names of member, output and label; inputs of the last that no member makes are inputs of the graph."""

    class Last:
        is_brief = True

        def predict(self, batch: Batch) -> Any:
            assert [field.name for field in batch.fields] == ["b.value", "user", "a.probabilities.attack"]
            value, user, chance = batch.columns
            return (np.asarray(value) + np.asarray(chance) + [len(name) for name in user],)

    inputs = (
        Field(name="b.value", type="float64"), USER, Field(name="a.probabilities.attack", type="float64"),
    )  # fmt: skip
    last = Member(name="c", predictor=Last(), signature=replace(signature(outputs=(VALUE,)), inputs=inputs))
    made = put(
        graphs.stack(Model("a"), Model("b"), last=Model("c")), a=A, b=member(Line(1.0), outputs=(VALUE,)), c=last
    )
    assert [field.name for field in made[1].inputs] == ["size", "user"]
    (values,) = ask(made)
    assert values == pytest.approx([size + size / 10 + 2 for size in range(8)])
    wrong = replace(last, signature=replace(last.signature, inputs=(Field(name="a.probability", type="float64"),)))
    with pytest.raises(GraphError, match=r"lacks 'a.probability'"):
        put(graphs.stack(Model("a"), last=Model("c")), a=A, c=wrong)


def test_a_router_sends_each_row_by_the_first_condition_that_holds() -> None:
    """Rows are answered in their order, whoever answers them; nothing holds of what is missing."""
    made = put(
        graphs.route(
            (graphs.where("size", ">", 5), Model("a")),
            (graphs.where("user", "in", ["u1", "u7"]), Model("b")),
            otherwise=Model("c"),
        ),
        a=A,
        b=B,
        c=member(Chance(lambda size: 0.5), inputs=(SIZE, USER)),
    )
    _, probabilities = ask(made, [*ROWS, {"size": None, "user": "x"}])
    assert probabilities[:, 0] == pytest.approx([0.5, 0.9, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.5])


def test_a_header_routes_all_rows_of_a_request() -> None:
    """It is an optional input that the request's header fills; a row that says it itself is asked by its own word."""
    predictor, promised = put(
        graphs.route((graphs.header("X-Variant", "b"), Model("b")), otherwise=Model("a")), a=A, b=B
    )
    app = App([ModelMount(Endpoint(ServedModel("g", predictor, version=1, signature=promised)))])
    app.start()

    def chances(rows: Any, **headers: str) -> list[float]:
        sent = {"instances": rows}
        answer = talk(app, lambda client: client.post("/v1/models/g:predict", json=sent, headers=headers)).json()
        return [row["probabilities"]["attack"] for row in answer["predictions"]]

    assert chances([{"size": 2}, {"size": 2, "x_variant": "b"}]) == [0.2, 0.9]
    assert chances([{"size": 2}, {"size": 2, "x_variant": "a"}], **{"X-Variant": "b"}) == [0.9, 0.2]
    tensor = {"name": "size", "datatype": "FP64", "shape": [1], "data": [2.0]}
    sent = {"inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    headers = {"X-Variant": "b"}
    answer = talk(app, lambda client: client.post("/v2/models/g/infer", json=sent, headers=headers)).json()
    assert answer["outputs"][0]["data"][0] == 0.9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.integers(0, 2**40))
def test_shares_are_kept(weights: list[float], seed: int) -> None:
    """Of 4,000 keys each share gets what it should, within five standard deviations, whatever the seed."""
    total = sum(weights) + 0.5
    shares = [weight / total for weight in weights]
    places = np.array([place_of([f"user {number}"], seed) for number in range(4000)])
    bounds = np.cumsum([0, *shares])
    for share, low, high in zip(shares, bounds, bounds[1:], strict=False):
        found = ((places >= low) & (places < high)).mean()
        assert abs(found - share) <= 5 * math.sqrt(max(share * (1 - share), 1e-6) / 4000) + 1e-9


def test_a_split_is_sticky_and_another_seed_deals_anew() -> None:
    """Equal keys go to the same model in every request and batch, and a row's neighbours do not matter."""
    rows = [{"size": 1.0, "user": f"u{number % 50}"} for number in range(200)]

    def dealt(seed: int) -> list[float]:
        node = graphs.split((0.3, Model("a")), otherwise=Model("b"), by="user", seed=seed)
        made = put(node, a=member(A.predictor, inputs=(SIZE, USER)), b=B)
        _, together = ask(made, rows)
        alone = [ask(made, [row])[1][0, 0] for row in rows[:20]]
        assert list(together[:20, 0]) == alone
        return list(together[:, 0])

    first = dealt(0)
    assert first[:50] == first[50:100] == first[100:150]
    assert set(first) == {0.1, 0.9}
    assert first != dealt(1)


def test_a_fallback_answers_only_the_rows_that_fail() -> None:
    """One bad row does not take its neighbours along."""
    first = member(Chance(lambda size: 0.8, fails_at=3.0))
    _, probabilities = ask(put(graphs.fallback(Model("a"), Model("b")), a=first, b=B))
    assert probabilities[:, 0] == pytest.approx([0.8, 0.8, 0.8, 0.9, 0.8, 0.8, 0.8, 0.8])


def test_a_fallback_does_not_wait_for_what_is_late() -> None:
    """Neither the first time nor while the late one still works; once it is done it is asked again."""
    go, began = threading.Event(), []

    class Slow(Chance):
        def predict(self, batch: Batch) -> Any:
            began.append(batch.height)
            go.wait()
            return super().predict(batch)

    made = put(graphs.fallback(Model("a"), Model("b"), timeout_s=0.05), a=member(Slow(lambda size: 0.8)), b=B)
    assert [ask(made, ROWS[:1])[1][0, 0] for _ in range(3)] == [0.9] * 3
    assert began == [1]
    go.set()
    while ask(made, ROWS[:1])[1][0, 0] != 0.8:
        assert len(began) < 1000


def test_functions_stand_before_and_after() -> None:
    """One makes a model's inputs of others, one says more of its answers."""

    def sizes(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select(size=pl.col("kilobytes") * 1024)

    def careful(answers: dict[str, Any]) -> dict[str, Any]:
        return {**answers, "label": np.where(answers["probabilities"][:, 0] > 0.2, "attack", "normal")}

    inputs = [Field(name="kilobytes", type="float64")]
    node = graphs.after(graphs.before(sizes, Model("a"), inputs=inputs, examples=[{"kilobytes": 0.5}]), careful)
    made = put(node, a=member(Chance(lambda size: size / 4096)))
    assert [field.name for field in made[1].inputs] == ["kilobytes"]
    labels, _ = ask(made, [{"kilobytes": 0.5}, {"kilobytes": 1.0}])
    assert list(labels) == ["normal", "attack"]


def _wide(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"size": "sizes"})


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.cast(pl.String)


def _twice(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([rows, rows])


OTHER_ORDER = (LABEL, replace(PROBABILITIES, labels=LABELS[::-1]))


@pytest.mark.parametrize(
    ("node", "members", "words"),
    [
        (
            graphs.ensemble(Model("a"), Model("b"), how="mean"),
            {"b": member(B.predictor, outputs=OTHER_ORDER)},
            "a and b",
        ),
        (graphs.fallback(Model("a"), Model("b")), {"b": member(B.predictor, outputs=(LABEL,))}, "a and b differ"),
        (
            graphs.ensemble(Model("b"), Model("b"), how="mean"),
            {"b": member(B.predictor, outputs=(LABEL,))},
            "by 'mean'",
        ),
        (
            graphs.ensemble(Model("b"), Model("b"), how="vote"),
            {"b": member(B.predictor, outputs=(VALUE,))},
            "by 'vote'",
        ),
        (
            graphs.fallback(Model("a"), Model("b")),
            {"b": member(B.predictor, inputs=(replace(SIZE, type="int64"),))},
            "'size' with different types, float64 and int64",
        ),
        (
            graphs.fallback(Model("a"), Model("b")),
            {"b": member(B.predictor, inputs=(replace(SIZE, minimum=None, maximum=-1.0),))},
            "No value of 'size'",
        ),
        (
            graphs.route((graphs.where("sice", ">", 1), Model("a")), otherwise=Model("a")),
            {},
            "'sice', which is no input",
        ),
        (graphs.split((0.5, Model("a")), otherwise=Model("a"), by="user"), {}, "'user', which is no input"),
        (graphs.before(_wide, Model("a")), {}, "_wide makes lacks 'size'"),
        (graphs.before(_typed, Model("a")), {}, "'size' as string; float64 is needed"),
        (graphs.before(_twice, Model("a")), {}, "function of the graph failed"),
    ],
)
def test_what_does_not_fit_is_told_when_the_graph_is_built(node: Any, members: dict[str, Member], words: str) -> None:
    """By the names of the parts, before any request."""
    with pytest.raises((GraphError, PredictionFailed)) as error:
        put(node, a=A, **members)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: graphs.ensemble(Model("a"), how="mean"),
        lambda: graphs.ensemble(Model("a"), Model("b"), how="median"),
        lambda: graphs.ensemble(Model("a"), Model("b"), how="mean", weights=(1, -1)),
        lambda: graphs.split((0.7, Model("a")), (0.4, Model("a")), otherwise=Model("b"), by="user"),
        lambda: graphs.split((0.7, Model("a")), otherwise=Model("b"), by=()),
        lambda: graphs.fallback(Model("a"), Model("b"), timeout_s=0),
        lambda: graphs.where("size", "~", 1),
        lambda: graphs.stack(last=Model("a")),
        lambda: graphs.before(_wide, Model("a"), inputs=[SIZE]),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_is_written(make: Callable[[], Any]) -> None:
    """With the line of the project's code."""
    with pytest.raises(GraphError):
        make()


def test_a_model_without_a_version_is_its_champion() -> None:
    """As on the command line of ``filiera serve``."""
    node = graphs.fallback(Model("a"), Model("b@3"))
    assert [str(leaf.ref) for leaf in graphs.leaves(node)] == ["a@champion", "b@3"]
    assert all(isinstance(leaf, Leaf) for leaf in graphs.leaves(node))


@given(st.permutations(range(8)), st.integers(1, 7))
def test_rows_are_answered_alike_in_any_order_and_batch(order: list[int], cut: int) -> None:
    """What a row is answered depends on the row alone."""
    node = graphs.route(
        (graphs.where("size", ">=", 5), graphs.fallback(Model("a"), Model("b"))),
        otherwise=graphs.split((0.5, Model("a")), otherwise=Model("b"), by="size"),
    )
    made = put(node, a=member(Chance(lambda size: size / 10, fails_at=6.0)), b=B)
    _, expected = ask(made)
    rows = [ROWS[place] for place in order]
    found = np.concatenate([ask(made, rows[:cut])[1], ask(made, rows[cut:])[1]])
    assert np.array_equal(found, expected[order])


def test_a_number_that_is_none_is_no_answer() -> None:
    """What JSON cannot say would be answered as null, which nobody was promised."""
    made = put(graphs.ensemble(Model("a"), Model("b"), how="mean"), a=member(Chance(lambda size: math.nan)), b=B)
    with pytest.raises(PredictionFailed, match="failed to predict") as caught:
        ask(made)
    assert caught.value.why == "An answer is not a finite number."
