"""From fingerprints of services, in XML, to the dataset "banners"."""

import polars as pl
from recognition.patterns import compiled

from filiera import Check, Dataset, Source, pipeline, step
from filiera.data.explore import explore
from filiera.data.profile import Profile

CHECKS = [
    Check.rows(at_least=5000),
    Check.types({"banner": "string", "pattern": "string", "preference": "float64", "params": "int64"}),
    Check.not_null("banner", "description", "pattern", "recognised"),
    Check.unique("banner", "pattern", "matches", severity="quarantine"),
    Check.in_range("preference", 0, 1),
    Check.in_range("params", 1),
    Check.in_set("recognised", [True], severity="quarantine"),
    Check.in_set("database", ["service", "util.os"]),
]


@step(stage="explore")
def explore_banners(raw: pl.DataFrame) -> Profile:
    """Return what each column looks like, split by what the banners were collected from."""
    return explore(raw, title="Service banners, as collected", target="protocol")


@step(stage="clean")
def decoded(raw: pl.DataFrame) -> pl.DataFrame:
    """Return readable banners: those that were written as base64 are bytes, taken as Latin-1."""
    as_bytes = pl.col("banner").str.replace_all(r"\s", "").str.decode("base64", strict=False)
    text = as_bytes.map_elements(lambda content: content.decode("latin-1"), return_dtype=pl.String)
    is_packed = pl.col("encoding") == "base64"
    return raw.with_columns(banner=pl.when(is_packed).then(text).otherwise("banner")).drop("encoding")


@step(stage="transform")
def with_recognition(banners: pl.DataFrame) -> pl.DataFrame:
    """Return banners with their length, and whether the pattern that they are an example of recognises them."""
    rows = banners.select("pattern", "flags", pl.col("banner").fill_null("")).iter_rows()
    recognised = [bool(compiled(pattern, flags).search(banner)) for pattern, flags, banner in rows]
    return banners.with_columns(
        length=pl.col("banner").str.len_chars().cast(pl.Int64), recognised=pl.Series(recognised, dtype=pl.Boolean)
    )


@pipeline(kind="data", publishes=Dataset("banners", checks=CHECKS))
def banners(raw: pl.DataFrame = Source("raw_banners")):
    """Collect, explore, clean, transform, validate and publish the banners."""
    explore_banners(raw)
    return with_recognition(decoded(raw))
