"""What live and dropped experiments need of the store: the runs and versions that their records name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.experiments.names import ARCHIVE, BRANCHES
from filiera.experiments.place import Place
from filiera.experiments.records import Record, RunRecord, records_at
from filiera.project.project import Project


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What must stay, and for which experiment: "exp/deeper"."""

    runs: Mapping[str, str] = field(default_factory=dict)  #: by run
    versions: Mapping[str, str] = field(default_factory=dict)  #: by version, such as "flows@1"

    def require_unneeded(self, version: str) -> None:
        """Refuse a version that is needed. Raises UsageError."""
        if version in self.versions:
            name = self.versions[version].removeprefix("exp/")
            raise UsageError(
                f"{version} cannot be dropped: experiment {name} uses it.",
                why="It began with this version, or its runs consumed or published it.",
                do=f"filiera experiment drop {name}, and filiera experiment gc when it need not come back",
            )


def needs_of(project: Project) -> Needs:
    """Return what the records of all experiments name, in the archive too; nothing where there has been none.

    Raises:
        ProjectError: The repository cannot be read, or a record is damaged.
    """
    if not (project.store / "experiments").is_dir():
        return Needs()
    place = Place(project.config.root, profile=project.config.profile.name)
    runs: dict[str, str] = {}
    versions: dict[str, str] = {}
    for name, records in _records(place):
        for record in records:
            if isinstance(record, RunRecord):
                runs[record.run_id] = f"exp/{name}"
                named = [record.published, *(ref for ref in record.inputs.values() if ref in record.contents)]
            else:
                named = [f"{dataset}@{number}" for dataset, number in record.pins.items()]
            versions |= dict.fromkeys(filter(None, named), f"exp/{name}")
    return Needs(runs=runs, versions=versions)


def _records(place: Place) -> list[tuple[str, list[Record]]]:
    """Return the records at each branch and each state in the archive, with the name of the experiment."""
    found = []
    for ref, commit in place.repository.refs(ARCHIVE, BRANCHES).items():
        name = ref.removeprefix(BRANCHES) if ref.startswith(BRANCHES) else ref.removeprefix(ARCHIVE).rpartition("/")[0]
        found.append((name, records_at(place.repository, {name: commit}, place.prefix)[name]))
    return found
