"""From reports of a network scanner, in XML, to the dataset "ports"."""

import polars as pl

from filiera import Check, Dataset, Source, pipeline, step
from filiera.data.explore import explore
from filiera.data.profile import Profile

STATES = ("open", "closed", "filtered", "unfiltered", "open|filtered", "closed|filtered")

CHECKS = [
    Check.rows(at_least=1),
    Check.not_null("address", "port", "state", "started"),
    Check.in_range("port", 0, 65_535),
    Check.in_set("protocol", ["tcp", "udp", "sctp"]),
    Check.in_set("state", STATES),
    Check.in_range("confidence", 0, 10),
    Check.matches("address", r"^\d{1,3}(\.\d{1,3}){3}$", severity="quarantine"),
]


@step(stage="explore")
def explore_ports(raw: pl.DataFrame) -> Profile:
    """Return what each column looks like, split by the state of the ports."""
    return explore(raw, title="Scanned ports, as collected", target="state")


@step(stage="clean")
def clean(raw: pl.DataFrame) -> pl.DataFrame:
    """Return each port of a scan once, however many reports the scan is in."""
    return raw.unique(["started", "address", "protocol", "port"], maintain_order=True)


@step(stage="transform")
def features(ports: pl.DataFrame) -> pl.DataFrame:
    """Return ports with the time of the scan and the counts of what was found out about them."""
    return ports.with_columns(
        started=pl.from_epoch("started", time_unit="s"),
        is_open=pl.col("state") == "open",
        known_cpes=pl.col("cpes").list.len().cast(pl.Int64),
        known_scripts=pl.col("scripts").list.len().cast(pl.Int64),
    )


@pipeline(kind="data", publishes=Dataset("ports", checks=CHECKS))
def scans(raw: pl.DataFrame = Source("raw_ports")):
    """Collect, explore, clean, transform, validate and publish the ports of all scans."""
    explore_ports(raw)
    return features(clean(raw))
