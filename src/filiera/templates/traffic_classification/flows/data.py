"""From raw connections to the dataset "flows"."""

import polars as pl
from traffic.cleaning import USELESS, is_usable
from traffic.columns import ATTACK, COUNTS, FEATURES, FLAGS, KIND, NORMAL, PROTOCOLS, RATES, STATES, TARGET, TEXTS

from filiera import Check, Dataset, Source, pipeline, step
from filiera.data.explore import explore
from filiera.data.profile import Profile

CHECKS = [
    Check.rows(at_least=1000),
    Check.types(dict.fromkeys((*TEXTS, KIND, TARGET), "string")),
    Check.types(dict.fromkeys(FLAGS + COUNTS, "int64")),
    Check.types(dict.fromkeys(RATES, "float64")),
    Check.not_null(*FEATURES, KIND, TARGET),
    Check.finite(*RATES),
    Check.in_set("protocol_type", PROTOCOLS),
    Check.in_set("flag", STATES),
    Check.matches("service", r"^[A-Za-z0-9_]+$"),
    *(Check.in_range(name, 0, 1) for name in FLAGS + RATES),
    *(Check.in_range(name, 0) for name in COUNTS),
    Check.in_set(TARGET, [NORMAL, ATTACK]),
]


@step(stage="explore")
def explore_flows(raw: pl.DataFrame) -> Profile:
    """Return what each column looks like, split by the kind of attack."""
    return explore(raw, title="Network connections, as collected", target="category")


@step(stage="clean")
def clean(raw: pl.DataFrame) -> pl.DataFrame:
    """Return usable connections, each once, without the columns that leak or say nothing."""
    return raw.drop(USELESS).filter(is_usable()).unique(maintain_order=True)


@step(stage="transform")
def features(flows: pl.DataFrame) -> pl.DataFrame:
    """Return the features, the kind of attack and the target: every label but "normal" is an attack."""
    is_attack = pl.col("label") != "normal"
    target = pl.when(is_attack).then(pl.lit(ATTACK)).otherwise(pl.lit(NORMAL)).alias(TARGET)
    return flows.select(*FEATURES, pl.col("label").alias(KIND), target)


@pipeline(kind="data", publishes=Dataset("flows", checks=CHECKS))
def flows(raw: pl.DataFrame = Source("raw_flows")):
    """Collect, explore, clean, transform, validate and publish the connections."""
    explore_flows(raw)
    return features(clean(raw))
