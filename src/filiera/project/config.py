"""``filiera.toml``: where a project's pipelines, sources and stores are."""

from __future__ import annotations

import functools
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.core.prediction_rules import DURABILITIES, WHEN_FULL, PredictionRules
from filiera.core.products import check_name
from filiera.core.value import dataclass
from filiera.errors import ProjectError, SourceError, UsageError, did_you_mean
from filiera.project.checkout import Scope, checkout_of

if TYPE_CHECKING:
    from filiera.project.waivers import ModelWaiver

FILE_NAME = "filiera.toml"
PROFILE_VARIABLE = "FILIERA_PROFILE"
DEFAULT_PROFILE = "local"
_TABLES = ("project", "catalog", "profile", "signing", "limits", "waivers", "service", "graph", "predictions")
_PROJECT_KEYS = ("name", "flows", "profile", "versions")
_MOST_KEPT = 1_000_000_000
EXECUTORS = ("processes", "inline")
SIGN = ("on-request", "always")
_PUBLIC_KEY = re.compile(r"ed25519:[A-Za-z0-9+/]{43}=( \S.*)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Where runs are kept and how they are executed: one ``[profile.NAME]`` table."""

    name: str
    store: Path  #: folder of blobs, records, logs and predictions
    executor: str = "processes"  #: "processes" or "inline"
    workers: int = 0  #: worker processes at once; 0: as many as there are processors
    keep_days: float = 30.0  #: clean-up keeps runs that somebody drove within so many days
    keep_runs: int = 10  #: and so many of the newest runs of each pipeline


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningRules:
    """Who signs versions, and whose signatures count: the table ``[signing]``."""

    key: Path | None = None  #: file of the private key; None: in the user's own configuration folder
    trusted: Mapping[str, str] = field(default_factory=dict)  #: public key → name of its owner, perhaps ""
    sign: str = "on-request"  #: "on-request", or "always": whatever is published
    require: bool = False  #: a version that no trusted key signed cannot be used

    @property
    def are_set(self) -> bool:
        """Tell whether something must be done when a version is published or used."""
        return self.require or self.sign == "always"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectConfig:
    """All that ``filiera.toml`` says, checked."""

    root: Path
    name: str
    flows: tuple[str, ...]  #: packages or modules in which pipelines are found
    profile: Profile
    catalog: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    signing: SigningRules = field(default_factory=SigningRules)
    limits: Mapping[str, int] = field(default_factory=dict)  #: how many steps that name it run at once, on one machine

    services: Mapping[str, Any] = field(default_factory=dict)  #: what ``[service.NAME]`` say, not checked yet
    graphs: Mapping[str, Any] = field(default_factory=dict)  #: what ``[graph.NAME]`` say, not checked yet
    predictions: PredictionRules = field(default_factory=PredictionRules)  #: how services keep what they answer
    versions: Path | None = None  #: file of versions that came with the project
    waivers: tuple[ModelWaiver, ...] = ()  #: gates that a model need not pass for a time
    scope: Scope | None = None  #: the experiment whose worktree *root* is

    def entry(self, source: str) -> Mapping[str, Any]:
        """Return an entry of the catalog. Raises SourceError with the entries there are."""
        if source not in self.catalog:
            raise SourceError(
                f"The catalog has no source {source!r}.",
                why=f"It has: {', '.join(sorted(self.catalog)) or 'nothing'}.{did_you_mean(source, self.catalog)}",
                do=f"Add [catalog.{source}] with type and path to {self.root / FILE_NAME}.",
            )
        return self.catalog[source]


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder with ``filiera.toml``, from *start* or the current one upwards. Raises ProjectError."""
    try:
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / FILE_NAME).is_file():
                return folder
    except OSError as error:
        raise ProjectError(f"The folder {start or '.'} cannot be looked into: {error.strerror}.") from error
    raise ProjectError(
        f"No {FILE_NAME} in {start} or any folder above it.",
        why="A project is a folder with that file.",
        do="cd into a project, or make one: filiera init NAME",
    )


def load(root: Path, profile: str | None = None) -> ProjectConfig:
    """Return the configuration of the project in *root* under a profile.

    The profile is the argument, else ``$FILIERA_PROFILE``, else ``profile`` of ``[project]``, else ``local``.

    Raises:
        ProjectError: The file is missing, unreadable, not TOML, or says something we do not know.
        UsageError: There is no such profile.
    """
    path = root / FILE_NAME
    tables = _read(path)
    _known_keys(tables, _TABLES, str(path))
    project = _table(tables, "project", path)
    _known_keys(project, _PROJECT_KEYS, f"[project] of {path}")
    place = checkout_of(root)
    wanted = profile or os.environ.get(PROFILE_VARIABLE) or project.get("profile", DEFAULT_PROFILE)
    if not isinstance(wanted, str):
        raise ProjectError(f"profile in [project] of {path} must be the name of a profile, not {wanted!r}.")
    return ProjectConfig(
        root=root,
        name=_name(project, place.home, path),
        flows=_flows(project, path),
        profile=_profile(_table(tables, "profile", path), wanted, place.home, path),
        catalog=_catalog(_table(tables, "catalog", path), path),
        signing=_signing(_table(tables, "signing", path), place.home, f"[signing] of {path}"),
        limits=_limits(_table(tables, "limits", path), path),
        services=_table(tables, "service", path),
        graphs=_table(tables, "graph", path),
        predictions=_predictions(_table(tables, "predictions", path), f"[predictions] of {path}"),
        versions=_versions(project, path),
        waivers=_waivers(tables, path),
        scope=place.scope,
    )


def _waivers(tables: Mapping[str, Any], path: Path) -> tuple[ModelWaiver, ...]:
    if "waivers" not in tables:
        return ()
    from filiera.project.waivers import read_waivers  # here: it knows gates, which few commands need

    return read_waivers(tables["waivers"], str(path))


def _predictions(table: Mapping[str, Any], where: str) -> PredictionRules:
    _known_keys(table, ("durability", "when_full", "keep_days", "keep_mib"), where)
    for key, words in (("durability", DURABILITIES), ("when_full", WHEN_FULL)):
        if table.get(key, words[0]) not in words:
            raise ProjectError(f"{key} in {where} must be one of {', '.join(words)}, not {table[key]!r}.")
    for key in ("keep_days", "keep_mib"):
        most = table.get(key, 1)
        if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= _MOST_KEPT:
            raise ProjectError(f"{key} in {where} must be a whole number from 1 to {_MOST_KEPT}, not {most!r}.")
    return PredictionRules(**table)


def _limits(table: Mapping[str, Any], path: Path) -> dict[str, int]:
    for name, most in table.items():
        if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= 10_000:
            raise ProjectError(
                f"{name} in [limits] of {path} is {most!r}.",
                why="It says how many steps that name it may run at once.",
                do=f"Write a number from 1 on, such as {name} = 2.",
            )
    return dict(table)


def _name(project: Mapping[str, Any], root: Path, path: Path) -> str:
    name = project.get("name", root.name)
    if not isinstance(name, str):
        raise ProjectError(f"name in [project] of {path} must be a text, not {name!r}.")
    try:
        return check_name(name, "project")
    except UsageError as error:
        do = f'Give another name in [project] of {path}: name = "…". {error.do}'
        raise ProjectError(error.what, why=error.why, do=do) from error


def _flows(project: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    flows = project.get("flows", ["flows"])
    if not isinstance(flows, list) or not flows or not all(_is_dotted(item) for item in flows):
        raise ProjectError(
            f"flows in [project] of {path} is {flows!r}.",
            why="It lists the packages or modules in which pipelines are found, by their dotted names.",
            do='Write, for example, flows = ["flows"].',
        )
    return tuple(flows)


def _versions(project: Mapping[str, Any], path: Path) -> Path | None:
    given = project.get("versions")
    if given is None:
        return None
    if not isinstance(given, str) or not given or "\0" in given:
        raise ProjectError(f"versions in [project] of {path} must be the path of a file, not {given!r}.")
    return path.parent / given


def _is_dotted(item: object) -> bool:
    return isinstance(item, str) and all(part.isidentifier() for part in item.split("."))


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(f"There is no {path}.", do="filiera init NAME") from error
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{path} is not valid TOML: {error}.", do="Correct that line.") from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path} is not UTF-8 text: {error}.", do="Save it as UTF-8.") from error
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from error


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def _table(tables: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise ProjectError(f"{name!r} in {path} must be a table, as in [{name}].")
    return table


def _known_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise ProjectError(
                f"{where} has {key!r}, which means nothing.",
                why=f"Known are: {', '.join(known)}.{did_you_mean(key, known)}",
                do="Correct or remove it.",
            )


def _profile(tables: Mapping[str, Any], name: str, root: Path, path: Path) -> Profile:
    if name not in tables and not (name == DEFAULT_PROFILE and not tables):
        known = ", ".join(tables) or "none"
        raise UsageError(f"{path} has no profile {name!r}.", why=f"It has: {known}.{did_you_mean(name, tables)}")
    table = tables.get(name, {})
    where = f"[profile.{name}] of {path}"
    if not isinstance(table, dict):
        raise ProjectError(f"{where} must be a table.")
    _known_keys(table, ("store", "executor", "workers", "keep_days", "keep_runs"), where)
    store, executor, workers = (
        table.get("store", ".filiera"),
        table.get("executor", "processes"),
        table.get("workers", 0),
    )
    if not isinstance(store, str) or not store or "\0" in store:
        raise ProjectError(f"store in {where} must be the path of a folder, not {store!r}.")
    if executor not in EXECUTORS:
        raise ProjectError(f"executor in {where} must be one of {', '.join(EXECUTORS)}, not {executor!r}.")
    if not isinstance(workers, int) or isinstance(workers, bool) or not 0 <= workers <= 1024:
        raise ProjectError(f"workers in {where} must be a whole number from 0 to 1024, not {workers!r}.")
    for key in ("keep_days", "keep_runs"):
        most = table.get(key, 0)
        if not isinstance(most, int) or isinstance(most, bool) or not 0 <= most <= 1_000_000:
            raise ProjectError(f"{key} in {where} must be a whole number from 0 to 1000000, not {most!r}.")
    kept = {key: table[key] for key in ("keep_days", "keep_runs") if key in table}
    return Profile(name=name, store=root / _expanded(store, where), executor=executor, workers=workers, **kept)


def _expanded(text: str, where: str, key: str = "store") -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ProjectError(f"{key} in {where} is {text!r}: {error}", do="Write the whole path.") from error


def _signing(table: Mapping[str, Any], root: Path, where: str) -> SigningRules:
    _known_keys(table, ("key", "trusted", "sign", "require"), where)
    key, trusted = table.get("key"), table.get("trusted", [])
    sign, require = table.get("sign", SIGN[0]), table.get("require", False)
    if key is not None and (not isinstance(key, str) or not key or "\0" in key):
        raise ProjectError(f"key in {where} must be the path of a private key's file, not {key!r}.")
    if sign not in SIGN:
        raise ProjectError(f"sign in {where} must be one of {', '.join(SIGN)}, not {sign!r}.")
    if not isinstance(require, bool):
        raise ProjectError(f"require in {where} must be true or false, not {require!r}.")
    if not isinstance(trusted, list) or not all(isinstance(item, str) and _PUBLIC_KEY.match(item) for item in trusted):
        raise ProjectError(
            f"trusted in {where} is {trusted!r}.",
            why='It lists public keys, each as "ed25519:…", perhaps with a blank and the name of its owner behind it.',
            do="filiera keys show prints yours.",
        )
    if require and not trusted:
        raise ProjectError(
            f"{where} requires signatures and trusts nobody.",
            why="No version could be used.",
            do='Add the public keys that count: trusted = ["ed25519:…"]; filiera keys show prints yours.',
        )
    owners = {public: name for public, _, name in (item.partition(" ") for item in trusted)}
    place = root / _expanded(key, where, "key") if key is not None else None
    return SigningRules(key=place, trusted=owners, sign=sign, require=require)


def _catalog(tables: Mapping[str, Any], path: Path) -> dict[str, Mapping[str, Any]]:
    for name, entry in tables.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            raise ProjectError(
                f"[catalog.{name}] of {path} has no type.", do='Add type = "csv" (or parquet, jsonl, files).'
            )
    return dict(tables)
