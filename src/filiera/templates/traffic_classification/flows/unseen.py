"""How the recipe takes attacks of kinds it never met, beside a plain random forest: every kind is left out once."""

import polars as pl
from traffic.columns import ATTACK, FEATURES, KIND, NORMAL
from traffic.comparing import attacks_found, by_kind, gain, means
from traffic.detector import ROUNDS, detector, plain_forest
from traffic.unseen import rounds

from filiera import Dataset, Gate, Html, Metric, Metrics, pipeline, step
from filiera.core.charts import page, table
from filiera.core.gate import GateReport
from filiera.model.gates import decide
from filiera.model.metrics.interval import wilson

GATES = [
    Gate("gain", at_least=0.1),  # in balanced accuracy over a plain forest, whichever kinds are left out
    Gate("attacks_found", at_least=0.7),
    Gate("false_alarms", at_most=0.1),
]


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
def measure(parts: list[pl.DataFrame]) -> Metrics:
    """Return attacks found, false alarms and the gain over a plain forest, which is the dummy of the first two."""
    found = pl.concat(parts)
    plain_found, plain_alarms, _ = means(found, "plain")
    alarms = found.filter(pl.col(KIND) == NORMAL)["detector"]
    attacks, kinds = found.height - len(alarms), f"bootstrap, {found[KIND].n_unique() - 1} kinds"
    (best, low, high), (share, least, most) = gain(found), attacks_found(found, "detector")
    few, many = wilson(alarms.sum(), len(alarms))
    return Metrics(
        (
            Metric(name="gain", value=best, low=low, high=high, n=found.height, method=kinds, baseline=0.0),
            Metric(
                name="attacks_found",
                value=share,
                low=least,
                high=most,
                n=attacks,
                method=kinds,
                baseline=plain_found,
            ),
            Metric(
                name="false_alarms",
                value=alarms.mean(),
                low=few,
                high=many,
                n=len(alarms),
                method="wilson",
                greater_is_better=False,
                baseline=plain_alarms,
            ),
        ),
        task="classification",
    )


@step(stage="gate")
def hold(found: Metrics) -> GateReport:
    """Return whether the recipe still does what it is for; if not, the run ends as rejected."""
    results = decide(GATES, found, None)
    for one in results:
        print(f"{'passed' if one.passed else 'FAILED'}: {one.reason}")
    return GateReport(results)


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
    """Leave each kind of attack out of training once, compare with a plain random forest, and gate."""
    parts = judged.map(list(range(ROUNDS)), flows=flows, trees=trees, seed=seed)
    compare(parts)
    return hold(measure(parts))
