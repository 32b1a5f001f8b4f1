"""Fingerprints of services and reports of a network scanner, in XML files."""

from __future__ import annotations

import copy
import datetime as dt
import gzip
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from lxml import etree

from filiera.core.check import Check
from tests.faults.sources import laws, wrong_checks
from tests.faults.sources.world import (
    SOURCE,
    TEMPLATES,
    Caught,
    Change,
    Place,
    Spoil,
    World,
    by_check,
    by_source,
    set_aside,
    write_project,
)
from tests.faults.sources.xml_edits import FAULTS, FOLDER, HARMLESS, files, read, save, some

DATA = TEMPLATES / "service_banners/data"
BANNER_FILES = ("mysql_banners", "nntp_banners", "smtp_banners", "ssh_banners", "sip_banners")
NAMESPACE = "urn:faults"

BANNER_CHECKS = {
    "types": Check.types({"banner": "string", "preference": "float64", "params": "int64"}),
    "nulls": Check.not_null("banner", "description", "pattern"),
    "range": Check.in_range("preference", 0, 1),
    "params": Check.in_range("params", 1),
    "set": Check.in_set("database", ["service", "util.os"]),
    "flags": Check.in_set("flags", ["REG_ICASE", "REG_DOT_NEWLINE", "REG_DOT_NEWLINE,REG_ICASE"]),
    "drift": Check.no_drift("protocol", "length"),
    "rows": Check.rows_near(within=0.2),
    "once": Check.unique("banner", "pattern", "matches", severity="quarantine"),
    "length": Check.in_range("length", 0, 110, severity="quarantine"),
}

BANNER_CODE = """
import polars as pl

from filiera import Dataset, Source, pipeline, step
from tests.faults.sources.xml_files import BANNER_CHECKS


@step(stage="transform")
def measured(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.with_columns(length=pl.col("banner").str.len_chars().cast(pl.Int64))


@pipeline(kind="data", publishes=Dataset("banners", checks=list(BANNER_CHECKS.values())))
def banners(raw: pl.DataFrame = Source("raw_banners")):
    return measured(raw)
"""

FIELDS = {
    "banner": ".",
    "description": "../description",
    "pattern": "../@pattern",
    "flags": {"path": "../@flags", "optional": True},
    "matches": "../../@matches",
    "protocol": "../../@protocol",
    "database": "../../@database_type",
    "preference": "../../@preference",
    "product": {"path": "../param[@name='service.product']/@value", "optional": True},
    "params": {"path": "../param/@name", "many": "count"},
}


def banner_entry(prefix: str = "") -> str:
    """Return the entry, for elements with a prefix or without."""

    def prefixed(path: str) -> str:
        return re.sub(r"(?<![@\w'.:])(?=[a-z]+(?:/|\[|$))", prefix, path)

    def field(value: Any) -> str:
        if isinstance(value, str):
            return f'"{prefixed(value)}"'
        pairs = (
            f"{key} = {field(text) if key == 'path' else str(text).lower() if text is True else repr(text)}"
            for key, text in value.items()
        )
        return f"{{{', '.join(pairs)}}}"

    fields = "\n".join(f"{name} = {field(value)}" for name, value in FIELDS.items())
    namespaces = f'namespaces = {{{prefix.rstrip(":")} = "{NAMESPACE}"}}\n' if prefix else ""
    return f"""
[catalog.raw_banners]
type = "xml"
path = "{FOLDER}/*.xml"
records = "{prefixed("/fingerprints/fingerprint")}"
rows = "{prefixed("example")}"
{namespaces}columns = {{banner = "string", preference = "float64"}}

[catalog.raw_banners.fields]
{fields}
"""


def _make_banners(root: Path) -> None:
    (root / FOLDER).mkdir()
    for name in BANNER_FILES:
        (root / FOLDER / f"{name}.xml").write_bytes(gzip.decompress((DATA / f"banners/{name}.xml.gz").read_bytes()))
    write_project(root, catalog=banner_entry(), package="banner_flows", code=BANNER_CODE)


def _in_a_record(change: Callable[[Any, random.Random], Caught]) -> Spoil:
    """Return a fault in one record that has examples."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        path = some(place, dice)
        tree = read(path)
        record = dice.choice(
            [found for found in tree.getroot() if found.tag == "fingerprint" and found.find("example") is not None]
        )
        caught = change(record, dice)
        save(path, tree)
        return _with_file(caught, path)

    return spoil


def _second_description(record: Any, dice: random.Random) -> Caught:
    record.insert(1, copy.deepcopy(record.find("description")))
    return by_source("line ", "description")


def _no_description(record: Any, dice: random.Random) -> Caught:
    record.remove(record.find("description"))
    return by_check(BANNER_CHECKS["nulls"].name, "description")


def _no_pattern(record: Any, dice: random.Random) -> Caught:
    del record.attrib["pattern"]
    return by_check(BANNER_CHECKS["nulls"].name, "pattern")


def _no_params(record: Any, dice: random.Random) -> Caught:
    for found in record.findall("param"):
        record.remove(found)
    return by_check(BANNER_CHECKS["params"].name, "params = 0")


def _unknown_flag(record: Any, dice: random.Random) -> Caught:
    record.set("flags", dice.choice(["REG_ICASES", "", "ICASE"]))
    return by_check(BANNER_CHECKS["flags"].name)


def _repeated_example(record: Any, dice: random.Random) -> Caught:
    short = [found for found in record.findall("example") if len(found.text or "") <= 110]
    if not short:
        short = [etree.SubElement(record, "example")]
        short[0].text = "made up"
    again = dice.choice(short)
    times = dice.randint(1, 3)
    for _ in range(times):
        again.addnext(copy.deepcopy(again))
    return set_aside(BANNER_CHECKS["once"].name, times)


def _long_example(record: Any, dice: random.Random) -> Caught:
    times = dice.randint(1, 3)
    for number in range(times):
        etree.SubElement(record, "example").text = "x" * (111 + number + dice.randint(0, 99))
    return set_aside(BANNER_CHECKS["length"].name, times)


def _in_a_root(name: str, values: list[str], caught: Caught) -> Spoil:
    """Return a fault in an attribute of one file's root."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        path = some(place, dice)
        tree = read(path)
        tree.getroot().set(name, dice.choice(values))
        save(path, tree)
        return _with_file(caught, path)

    return spoil


def _with_file(caught: Caught, path: Path) -> Caught:
    """Return the same, with the file's name in the message where the source is refused."""
    return replace(caught, words=(*caught.words, path.name)) if caught.code == SOURCE else caught


def _attribute_gone(place: Place, dice: random.Random) -> Caught:
    for path in files(place):
        tree = read(path)
        del tree.getroot().attrib["database_type"]
        save(path, tree)
    return by_source("@database_type")


def _path_wrong(place: Place, dice: random.Random) -> Caught:
    old, new = dice.choice(
        [("../@pattern", "../@patern"), ("../description", "../descripton"), ("../../@protocol", "../@protocol")]
    )
    place.entry(old, new)
    return by_source(new)


def _files_lost(place: Place, dice: random.Random) -> Caught:
    (place / FOLDER / "smtp_banners.xml").unlink()
    return by_check(BANNER_CHECKS["rows"].name)


BANNER_FAULTS: Mapping[str, Spoil] = {
    **wrong_checks.faults("banner_flows/data.py", "banner"),
    **FAULTS,
    "two values where one is read": _in_a_record(_second_description),
    "nothing where something must be": _in_a_record(_no_description),
    "attribute lost": _in_a_record(_no_pattern),
    "children lost": _in_a_record(_no_params),
    "unknown flag": _in_a_record(_unknown_flag),
    "repeated, to be set aside": _in_a_record(_repeated_example),
    "too long, to be set aside": _in_a_record(_long_example),
    "share above 1": _in_a_root("preference", ["1.7", "-0.1", "90"], by_check(BANNER_CHECKS["range"].name)),
    "text in a declared number": _in_a_root("preference", ["high", "0,9", "0x1"], by_source("line ", "@preference")),
    "unknown kind": _in_a_root("database_type", ["os", "Service", ""], by_check(BANNER_CHECKS["set"].name)),
    "attribute gone everywhere": _attribute_gone,
    "path that leads nowhere": _path_wrong,
    "file lost": _files_lost,
}


def _prefixed(place: Place, dice: random.Random) -> None:
    """Put all elements into a namespace, with another prefix in each file."""
    for number, path in enumerate(files(place)):
        tree = read(path)
        for element in tree.getroot().iter(etree.Element):
            element.tag = f"{{{NAMESPACE}}}{element.tag}"
        prefix = dice.choice([None, f"n{number}", "fp"])
        root = etree.Element(tree.getroot().tag, dict(tree.getroot().attrib), nsmap={prefix: NAMESPACE})
        root.text = tree.getroot().text
        root.extend(list(tree.getroot()))
        save(path, etree.ElementTree(root))
    place.entry(banner_entry().strip(), banner_entry("p:").strip())


def _records_reordered(place: Place, dice: random.Random) -> None:
    for path in files(place):
        tree = read(path)
        root = tree.getroot()
        root[:] = dice.sample(list(root), len(root))
        save(path, tree)


def _next_partition(place: Place, dice: random.Random) -> None:
    """Leave out a tenth of the records, drawn anew."""
    for path in files(place):
        tree = read(path)
        root = tree.getroot()
        for found in root.findall("fingerprint"):
            if dice.random() < 0.1:
                root.remove(found)
        save(path, tree)


BANNER_HARMLESS: Mapping[str, Change] = {
    **HARMLESS,
    "namespace with other prefixes": _prefixed,
    "records reordered": _records_reordered,
    "next partition of the same law": _next_partition,
}

BANNERS = World(
    name="XML, fingerprints", make=_make_banners, pipeline="banners", faults=BANNER_FAULTS, harmless=BANNER_HARMLESS
)


STATES = ("open", "closed", "filtered", "open|filtered")
FLAGS = ("is_open", "is_closed", "is_filtered", "is_unsure")
ADDRESS = r"^\d{1,3}(\.\d{1,3}){3}$"


def known(col):
    return col.known_cpes + col.known_scripts


SCAN_ROLES = laws.Roles(
    key="id",
    time="started",
    texts=("state", "address"),
    number="port",
    flags=FLAGS,
    total="known",
    filled=("sureness", "sureness_raw"),
    label="is_up",
    features=("known_cpes", "known_scripts"),
    partner="protocol",
    is_kept=pl.col("address").str.contains(ADDRESS),
    checks={
        "types": Check.types({"id": "int64", "port": "int64", "state": "string"}),
        "nulls": Check.not_null("id", "started", "state", "address"),
        "range": Check.in_range("port", 0, 65_535),
        "set": Check.in_set("state", STATES),
        "key": Check.unique("id"),
        "one hot": Check.one_hot(*FLAGS),
        "again": Check.recomputed("known", known),
        "imputed": Check.imputed("sureness", "sureness_raw", strategy="most_frequent"),
        "order": Check.sorted("started"),
        "gaps": Check.no_gaps("started", dt.timedelta(days=3000)),
        "fresh": Check.fresh("started", dt.timedelta(days=15_000)),
        "rows": Check.rows_near(within=0.2),
        "drift": Check.no_drift("state", "known", effect=0.1),
        "leakage": Check.no_leakage("is_up", "known_cpes", "known_scripts"),
        "foreign key": Check.foreign_key("protocol", "protocols@1"),
        "confidence": Check.in_range("confidence", 0, 10),
        "address": Check.matches("address", ADDRESS, severity="quarantine"),
    },
)

SCAN_CATALOG = f"""
[catalog.raw_ports]
type = "xml"
path = "{FOLDER}/*.xml"
records = "/nmaprun/host"
rows = "ports/port"

[catalog.raw_ports.fields]
started = "../../../@start"
address = "../../address[@addrtype='ipv4']/@addr"
os = {{path = "../../os/osmatch/@name", many = "first", optional = true}}
protocol = "@protocol"
port = "@portid"
state = "state/@state"
service = {{path = "service/@name", optional = true}}
confidence = "service/@conf"
cpes = {{path = "service/cpe", many = "count"}}
scripts = {{path = "script/@id", many = "count"}}

[catalog.raw_ports.columns]
confidence = "float64"
port = "int64"
"""

SCAN_CODE = """
import random

import polars as pl

from filiera import Check, Dataset, Source, pipeline, step
from tests.faults.sources import laws
from tests.faults.sources.xml_files import SCAN_ROLES, STATES, FLAGS


@step(stage="clean")
def once(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.unique(["started", "address", "protocol", "port"], maintain_order=True)


@step(stage="transform")
def features(ports: pl.DataFrame) -> pl.DataFrame:
    table = ports.sort("started", maintain_order=True).with_columns(
        *((pl.col("state") == state).cast(pl.Int8).alias(flag) for state, flag in zip(STATES, FLAGS)),
        id=pl.int_range(pl.len(), dtype=pl.Int64),
        started=pl.from_epoch("started", time_unit="s"),
        known_cpes=pl.col("cpes").cast(pl.Int64),
        known_scripts=pl.col("scripts").cast(pl.Int64),
        is_up=pl.int_range(pl.len()) % 3 == 0,
        sureness_raw=pl.when(pl.int_range(pl.len()) % 5 > 0).then("confidence"),
    )
    known = pl.col("known_cpes") + pl.col("known_scripts")
    return table.with_columns(sureness=pl.col("sureness_raw").fill_null(3.0), known=known)


@step(stage="transform")
def with_a_mistake(ports: pl.DataFrame, mistake: str, dice: int) -> pl.DataFrame:
    return laws.faults(SCAN_ROLES)[mistake][1](ports, random.Random(dice)) if mistake else ports


@step(stage="clean")
def protocols_of(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.select(pl.col("protocol").unique().sort())


@pipeline(kind="data", publishes=Dataset("protocols", checks=[Check.unique("protocol")]))
def protocols(raw: pl.DataFrame = Source("raw_ports")):
    return protocols_of(raw)


@pipeline(kind="data", publishes=Dataset("ports", checks=list(SCAN_ROLES.checks.values()), keys=["id"]))
def scans(raw: pl.DataFrame = Source("raw_ports"), mistake: str = "", dice: int = 0):
    return with_a_mistake(features(once(raw)), mistake, dice)
"""


def _make_scans(root: Path) -> None:
    (root / FOLDER).mkdir()
    for packed in sorted((DATA / "scans").glob("*.xml.gz")):
        content = gzip.decompress(packed.read_bytes())
        if b"<port " in content:
            (root / FOLDER / packed.stem).write_bytes(content)
    write_project(root, catalog=SCAN_CATALOG, package="scan_flows", code=SCAN_CODE)


def _mistake(kind: str, wanted: str) -> Spoil:
    def spoil(place: Place, dice: random.Random) -> Caught:
        words = ("--mistake", kind, "--dice", str(dice.randrange(2**31)))
        return replace(by_check(SCAN_ROLES.checks[wanted].name), arguments=words)

    return spoil


def _in_a_port(change: Callable[[Any, random.Random], Caught]) -> Spoil:
    """Return a fault in one port; that scan is in no other file, since each is kept once."""

    def spoil(place: Place, dice: random.Random) -> Caught:
        path = place / FOLDER / "fullscan.xml"
        tree = read(path)
        tree.getroot().set("start", "1400000000")
        host = dice.choice(tree.getroot().findall("host/ports/.."))
        port = dice.choice(host.findall("ports/port"))
        caught = change(port, dice)
        save(path, tree)
        return caught

    return spoil


def _put(path: str, name: str, values: list[str], caught: Caught) -> Spoil:
    def change(port: Any, dice: random.Random) -> Caught:
        port.find(path).set(name, dice.choice(values))
        return caught

    return _in_a_port(change)


def _mangled_address(place: Place, dice: random.Random) -> Caught:
    path = place / FOLDER / "fullscan.xml"
    tree = read(path)
    tree.getroot().set("start", "1400000000")
    host = dice.choice(tree.getroot().findall("host/ports/.."))
    host.find("address[@addrtype='ipv4']").set("addr", dice.choice(["10.0.0", "10.0.0.0.1", "localhost", ""]))
    save(path, tree)
    return set_aside(SCAN_ROLES.checks["address"].name, len(host.findall("ports/port")))


SCAN_FAULTS: Mapping[str, Spoil] = {
    **{kind: _mistake(kind, wanted) for kind, (wanted, _) in laws.faults(SCAN_ROLES).items()},
    "port that cannot be": _put(".", "portid", ["-1", "70000"], by_check(SCAN_ROLES.checks["range"].name)),
    "port that is no number": _put(
        ".", "portid", ["http", "1e99", "8O"], by_source("fullscan.xml", "line ", "@portid")
    ),
    "state that cannot be": _put("state", "state", ["ajar", "OPEN", ""], by_check(SCAN_ROLES.checks["set"].name)),
    "sureness that cannot be": _put(
        "state/../service", "conf", ["11", "-1"], by_check(SCAN_ROLES.checks["confidence"].name)
    ),
    "unknown protocol": _put(".", "protocol", ["icmp", "TCP"], by_check(SCAN_ROLES.checks["foreign key"].name)),
    "mangled address, to be set aside": _mangled_address,
}

SCANS = World(
    name="XML, network scans",
    make=_make_scans,
    before=("protocols",),
    pipeline="scans",
    faults=SCAN_FAULTS,
    harmless=HARMLESS,
)

WORLDS = (BANNERS, SCANS)
