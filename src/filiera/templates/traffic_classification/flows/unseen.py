"""How the recipe takes attacks of kinds it never met, beside a plain random forest: every kind is left out once."""

import polars as pl
from traffic.columns import ATTACK, FEATURES, KIND
from traffic.comparing import by_kind, gain, means
from traffic.detector import ROUNDS, detector, plain_forest
from traffic.unseen import rounds

from filiera import Dataset, Html, pipeline, step
from filiera.core.charts import page, table


@step(stage="evaluate")
def judged(turn: int, flows: pl.DataFrame, trees: int, seed: int) -> pl.DataFrame:
    """Return what two models, kept from all rows of this turn, call an attack among them."""
    is_out = pl.Series(rounds(flows[KIND], ROUNDS) == turn)
    rest, left_out = flows.filter(~is_out), flows.filter(is_out)
    answers = {
        name: fit(rest, trees=trees, max_depth=16, seed=seed).predict(left_out.select(FEATURES)) == ATTACK
        for name, fit in (("plain", plain_forest), ("detector", detector))
    }
    return left_out.select(KIND).with_columns(**{name: pl.Series(answer) for name, answer in answers.items()})


@step(stage="evaluate")
def compare(parts: list[pl.DataFrame]) -> Html:
    """Return a page: attacks found per kind, false alarms, and the gain with its interval."""
    found = pl.concat(parts)
    rows = [(name, *(f"{value:.3f}" for value in means(found, name))) for name in ("plain", "detector")]
    best, low, high = gain(found)
    kinds = [(kind, f"{n:,}", f"{a:.2f}", f"{b:.2f}") for kind, n, a, b in by_kind(found).rows()]
    return page(
        "Attacks of kinds never met",
        [
            "<p>Each kind of attack was left out of training once; what the model then said of it counts here. Normal "
            "connections were left out in turn.</p>",
            table(["model", "attacks found", "false alarms", "balanced accuracy"], rows, right=()),
            f"<p>Gain in balanced accuracy: {best:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}, over "
            f"{found[KIND].n_unique() - 1} kinds of attacks drawn anew.</p>",
            "<h2>Share of each kind that is found</h2>",
            table(["kind", "rows", "plain", "detector"], kinds, right=("rows", "plain", "detector")),
        ],
    )


@pipeline(kind="model")
def unseen(flows: pl.DataFrame = Dataset("flows@latest"), trees: int = 60, seed: int = 0):
    """Leave each kind of attack out of training once, and compare with a plain random forest."""
    return compare(judged.map(list(range(ROUNDS)), flows=flows, trees=trees, seed=seed))
