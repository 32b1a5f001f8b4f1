"""Faults in sources of every kind, judged by the command: each is caught where it should be, and publishes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.faults.sources import archives, broken_off, csv_tables, databases, parquet_tables, pictures, xml_files
from tests.faults.sources.world import Stage, World, staged
from tests.postgres import postgres as postgres

WORLDS: dict[str, Callable[[pytest.FixtureRequest], World]] = {
    "CSV": lambda _: csv_tables.WORLD,
    "Parquet": lambda _: parquet_tables.WORLD,
    "SQLite": lambda _: databases.world(databases.Shop()),
    "DuckDB": lambda _: databases.world(databases.Duck()),
    "PostgreSQL": lambda request: databases.world(databases.Server(request.getfixturevalue("postgres"))),
    "XML, fingerprints": lambda _: xml_files.BANNERS,
    "XML, network scans": lambda _: xml_files.SCANS,
    "images": lambda _: pictures.WORLD,
    "archives": lambda _: archives.WORLD,
    "while it is read": lambda _: broken_off.WORLD,
}
SEED = 20261123
LINE = "{:26}{:52}{:66.66}{:>9}{:>7}"
CHANGED = "{:26}{:52}{:66}{:9} times, {} alarms"


@pytest.fixture(scope="module", params=WORLDS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield the project of a kind of source."""
    with staged(WORLDS[request.param](request), tmp_path_factory.mktemp("stage")) as made:
        yield made


def test_a_few_faults_and_a_harmless_change(stage: Stage) -> None:
    """Some of them, the same ones every time."""
    dice = random.Random(SEED)
    for kind in dice.sample(list(stage.world.faults), stage.world.rounds):
        stage.fault(kind, SEED)
    stage.change(dice.choice(list(stage.world.harmless)), SEED)


@pytest.mark.campaign
def test_many_faults_and_many_harmless_changes(stage: Stage) -> None:
    """Each kind several times, drawn anew; the table says who caught what, and what alarmed for nothing."""
    world, wrong, first = stage.world, list[str](), random.randrange(2**32)
    print("\n" + LINE.format("source", f"what was done, from seed {first}", "caught by", "injected", "caught"))
    for kind in world.faults:
        rounds = range(first, first + world.rounds)
        found = [told for seed in rounds if (told := _tried(stage.fault, kind, seed, wrong))]
        print(LINE.format(world.name, kind, " or ".join(sorted(set(found))), world.rounds, len(found)))
    for kind in world.harmless:
        rounds = range(first, first + 2 * world.rounds)
        quiet = [told for seed in rounds if (told := _tried(stage.change, kind, seed, wrong))]
        print(CHANGED.format(world.name, kind, "nobody", len(rounds), len(rounds) - len(quiet)))
    assert not wrong, "\n\n".join(wrong)


def _tried(do: Callable[[str, int], str], kind: str, seed: int, wrong: list[str]) -> str:
    """Return what *do* does, or nothing when that was not as it should be, which is kept."""
    try:
        return do(kind, seed)
    except AssertionError as error:
        wrong.append(str(error))
        return ""
