"""Versions of products and the aliases that point at them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from filiera.core.artifact import ArtifactRef
from filiera.core.collected import ATTACHED
from filiera.core.digest import digest
from filiera.core.products import CHAMPION, LATEST, OF_EXPERIMENT, ProductKind, ProductRef, check_name
from filiera.core.value import dataclass
from filiera.engine.rows import FindInline, read_refs, to_json, write_refs
from filiera.errors import StoreError, UsageError, did_you_mean
from filiera.ports import MetadataStore, Row, Statement
from filiera.project import audit
from filiera.project.checkout import Scope

_NEWEST = 2**62


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One published version of a product."""

    kind: ProductKind
    name: str
    number: int
    artifact: ArtifactRef
    run_id: str  #: the run that published it
    created_at: float  #: seconds since the epoch, UTC
    description: Mapping[str, Any]  #: what the publishing step said of it
    inputs: Mapping[str, str]  #: where the pipeline's inputs came from: "flows@1", or a source and its fingerprint
    attachments: Mapping[str, ArtifactRef] = field(default_factory=dict)  #: further artifacts kept with it
    aliases: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """Return ``name@number``."""
        return f"{self.name}@{self.number}"


class Attachments(Mapping[str, ArtifactRef]):
    """Artifacts as the records name them; the bytes of a small one are looked up when it is asked for.

    A list of a thousand versions names ten thousand, of which it shows none.
    """

    def __init__(self, written: Mapping[str, str], inline: FindInline) -> None:
        self._written = written
        self._inline = inline

    def __getitem__(self, name: str) -> ArtifactRef:
        return read_refs(self._written[name], self._inline)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)

    def __contains__(self, name: object) -> bool:
        return name in self._written


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """An alias that was pointed at a version."""

    alias: str
    number: int  #: the version it has pointed at since
    before: int | None  #: the one it pointed at until then; None: at none
    at: float  #: seconds since the epoch, UTC
    by: str  #: "user@host", or what ``$FILIERA_ACTOR`` said
    reason: str

    @property
    def told(self) -> str:
        """Return where it went, for people."""
        return f"to {self.number}" if self.before is None else f"from {self.before} to {self.number}"


def content_digest(artifact: str, body: Mapping[str, Any]) -> str:
    """Return the digest of what makes a version another one: not where its inputs came from, and when."""
    attached = {name: ref for name, ref in body["attachments"].items() if not name.startswith(ATTACHED)}
    return digest("version/1", artifact.encode(), to_json(body["description"]).encode(), to_json(attached).encode())


class Seal(Protocol):
    """What stands between a version and its use, where the project asks for signatures."""

    def require(self, version: Version) -> None:
        """Raise Untrusted unless the version may be used."""

    def published(self, version: Version) -> None:
        """A run has published, or published again, a version."""


class Versions:
    """The versions in one store."""

    def __init__(self, records: MetadataStore, seal: Seal | None = None, scope: Scope | None = None) -> None:
        """Make them; *scope* is the experiment whose code asks."""
        self._records = records
        self._seal = seal
        self._scope = scope

    def resolve(self, kind: ProductKind, ref: ProductRef) -> Version:
        """Return the version that a reference means, to be used.

        Raises:
            UsageError: There is no such product, version or alias; the message lists what there is.
            Untrusted: The project asks for signatures, and no trusted key has signed the version as it is.
        """
        version = self.get(kind, ref)
        if self._seal is not None:
            self._seal.require(version)
        return version

    def resolve_served(self, ref: ProductRef) -> Version:
        """Return the version of a service or model that a reference means, to be used. Raises as ``resolve``."""
        return self.resolve(self.served_kind(ref.name), ref)

    def get(self, kind: ProductKind, ref: ProductRef) -> Version:
        """Return the version that a reference means, to be looked at, whether trusted or not. Raises UsageError."""
        if ref.selector == LATEST and self._scope is not None:
            found = self.newest(kind, ref.name)
            if found is not None:
                return found
        number = ref.number
        if number is None and ref.selector != LATEST:
            rows = self._records.read("get_alias", {"kind": kind, "name": ref.name, "alias": ref.selector})
            if not rows:
                raise self._absent(kind, ref)
            number = int(rows[0]["number"])
        where = {"kind": kind, "name": ref.name}
        if number is None:
            rows = self._records.read("newest_product_version", where)
        else:
            rows = self._records.read("get_product_version", {**where, "number": number})
        if not rows:
            raise self._absent(kind, ref)
        return self._version(rows[0], self._aliases(kind, ref.name))

    def newest(self, kind: ProductKind, name: str) -> Version | None:
        """Return a product's newest version, or None; in an experiment its own, or the one that it began with."""
        if self._scope is not None:
            found = self.find(kind=kind, name=self._scope.own(name), limit=1)
            if found:
                return found[0]
            if kind == "dataset" and name in self._scope.pins:
                return self.get(kind, ProductRef(name, str(self._scope.pins[name])))
        found = self.find(kind=kind, name=name, limit=1)
        return found[0] if found else None

    def champion(self, name: str) -> Version | None:
        """Return the champion among a model's versions, or None while there are none. Raises Untrusted."""
        if not self._records.read("get_alias", {"kind": "model", "name": name, "alias": CHAMPION}):
            return None
        return self.resolve("model", ProductRef(name, CHAMPION))

    def find(self, *, kind: str = "", name: str = "", before: Version | None = None, limit: int = 100) -> list[Version]:
        """Return the newest versions before one of them; of one product when its kind and name are given."""
        if name:
            where = {"kind": kind, "name": name, "before": _NEWEST if before is None else before.number}
            rows = self._records.read("find_versions_of_product", {**where, "limit": limit})
        else:
            place = (
                (1e18, "", "", 0) if before is None else (before.created_at, before.kind, before.name, before.number)
            )
            where = dict(zip(("before_at", "before_kind", "before_name", "before"), place, strict=True))
            rows = self._records.read("find_product_versions", {**where, "limit": limit})
        products = {(row["kind"], row["name"]) for row in rows}
        aliases = {product: self._aliases(*product) for product in products}
        return [self._version(row, aliases[row["kind"], row["name"]]) for row in rows]

    def kind_of(self, name: str) -> ProductKind:
        """Return whether a name is a dataset's, a model's or a service's. Raises UsageError when it is none."""
        rows = self._records.read("kinds_of_product", {"name": name})
        if rows:
            kind: ProductKind = rows[0]["kind"]
            return kind
        known = [row["name"] for row in self._records.read("product_names")]
        raise UsageError(
            f"There is no dataset, model or service {name!r}.",
            why=f"The store has: {', '.join(known) or 'none yet'}.{did_you_mean(name, known)}",
            do="filiera versions",
        )

    def names(self, kind: ProductKind) -> list[str]:
        """Return the names of all products of a kind."""
        return [row["name"] for row in self._records.read("product_names") if row["kind"] == kind]

    def served_kind(self, name: str) -> ProductKind:
        """Return "service" for the name of one, else "model": what answers requests is one or the other."""
        rows = self._records.read("kinds_of_product", {"name": name})
        return "service" if any(row["kind"] == "service" for row in rows) else "model"

    def require_publishable(self, kind: ProductKind, name: str) -> None:
        """Refuse a name for what a pipeline publishes: a product of the other kind has it, or an experiment's.

        Raises UsageError.
        """
        if OF_EXPERIMENT in name:
            raise UsageError(
                f"{name!r} cannot be published.",
                why="That is what the product of an experiment is called, which its runs add by themselves.",
                do=f"Publish {name.partition(OF_EXPERIMENT)[0]!r}.",
            )
        self.require_free(kind, name)

    def require_free(self, kind: ProductKind, name: str) -> None:
        """Refuse a name that a product of another kind has. Raises UsageError."""
        for row in self._records.read("kinds_of_product", {"name": name}):
            if row["kind"] != kind:
                raise UsageError(
                    f"There is a {row['kind']} called {name!r} already.",
                    why=f"{name}@1 could mean either.",
                    do=f"Call the {kind} otherwise.",
                )

    def publish(self, kind: ProductKind, name: str, *, run_id: str, at: float, made: Made) -> tuple[Version, bool]:
        """Return the version that holds what a run made, and whether it is new.

        Nothing is added when the newest version, or one that this run published before it was interrupted, is the same:
        its artifact, description and attachments. Where its inputs came from does not count: a source that was written
        anew with the same rows makes no version; that it was collected is among the records of the run. The first
        version of a model or service becomes its champion, since there is nothing to compare it with; not in an
        experiment.
        """
        name = name if self._scope is None else self._scope.own(name)
        body = {
            "description": made.description,
            "inputs": dict(made.inputs),
            "attachments": {name: write_refs([ref]) for name, ref in made.attachments.items()},
        }
        artifact = write_refs([made.artifact])
        row = {
            "kind": kind,
            "name": name,
            "artifact": artifact,
            "content": content_digest(artifact, body),
            "run_id": run_id,
            "created_at": at,
            "body": to_json(body),
        }
        statements: list[Statement] = [("add_product_version", row), ("published_version", row)]
        if kind != "dataset" and self._scope is None:
            first = {"alias": CHAMPION, "reason": "first version that passed its gates", "by": audit.actor()}
            statements += [("note_first_alias", {**row, **first}), ("set_first_alias", {**row, **first})]
        said = {"kind": kind, "run": run_id, "digest": made.artifact.digest}
        statements.append(audit.entry_of_new_version(row, at=at, detail=said))
        # In one transaction: another run may publish right behind us, and a model without a champion cannot be.
        added, found, *_ = self._records.write(statements, durable=True)
        number = str(found[0]["number"])
        version = self.get(kind, ProductRef(name, number))
        if self._seal is not None:
            self._seal.published(version)
        return version, bool(added)

    def promotable(self, ref: ProductRef, alias: str) -> Version:
        """Return the version that *alias* is to point at.

        Raises:
            UsageError: There is no such version, or the alias is reserved or malformed.
            Untrusted: As ``resolve``.
        """
        if alias == LATEST:
            raise UsageError(
                "'latest' always means the newest version.", do="Choose another alias, such as 'champion'."
            )
        check_name(alias, "alias")
        return self.resolve(self.kind_of(ref.name), ref)

    def promote(self, ref: ProductRef, alias: str, *, reason: str, at: float) -> Version:
        """Point *alias* at a version and return it; the move is kept with who made it. Raises as ``promotable``."""
        version = self.promotable(ref, alias)
        kind = version.kind
        row = {"kind": kind, "name": ref.name, "alias": alias, "number": version.number, "at": at}
        move = {**row, "reason": reason, "by": audit.actor()}
        noted = audit.entry("promote", version.ref, at=at, detail={"alias": alias, "reason": reason})
        self._records.write([("set_alias", row), ("add_alias_move", move), noted], durable=True)
        return self.get(kind, ProductRef(ref.name, str(version.number)))

    def moves(self, kind: str, name: str) -> list[Move]:
        """Return all moves of a product's aliases, the newest first."""
        held: dict[str, int] = {}
        found = []
        for row in self._records.read("alias_moves_of_product", {"kind": kind, "name": name}):
            before = held.get(row["alias"])
            held[row["alias"]] = row["number"]
            told = {field: row[field] for field in ("alias", "number", "at", "by", "reason")}
            found.append(Move(before=before, **told))
        return found[::-1]

    def _aliases(self, kind: str, name: str) -> dict[int, list[str]]:
        """Return the aliases of a product by the number of the version they point at."""
        found: dict[int, list[str]] = {}
        for row in self._records.read("aliases_of_product", {"kind": kind, "name": name}):
            found.setdefault(row["number"], []).append(row["alias"])
        return found

    def _version(self, row: Row, aliases: Mapping[int, Sequence[str]]) -> Version:
        body = json.loads(row["body"])
        digest, codec, size = row["artifact"].split(" ")
        if row["is_kept"] is None:
            raise _unknown(digest)
        return Version(
            kind=row["kind"],
            name=row["name"],
            number=row["number"],
            artifact=ArtifactRef(digest=digest, codec=codec, size_bytes=int(size), inline=row["inline"]),
            run_id=row["run_id"],
            created_at=row["created_at"],
            description=body["description"],
            inputs=body["inputs"],
            attachments=Attachments(body["attachments"], self.inline),
            aliases=tuple(aliases.get(row["number"], ())),
        )

    def inline(self, digest: str, codec: str) -> bytes | None:
        """Return the bytes of a small artifact, or None for one in the blob store. Raises StoreError when unknown."""
        rows = self._records.read("get_artifact", {"digest": digest, "codec": codec})
        if not rows:
            raise _unknown(digest)
        content: bytes | None = rows[0]["inline"]
        return content

    def _absent(self, kind: ProductKind, ref: ProductRef) -> UsageError:
        newest = self.find(kind=kind, name=ref.name, limit=1)
        if newest and ref.number is not None and 0 < ref.number < newest[0].number:
            return UsageError(
                f"{ref} is no longer there.",
                why=f"filiera gc forgot it, with what nothing else needs of it: filiera audit {ref} says when.",
                do=f"Use a newer one, such as {newest[0].ref}; filiera versions {ref.name} lists those there are.",
            )
        names = [
            f"{row['name']}@1…{row['newest']}" for row in self._records.read("product_names") if row["kind"] == kind
        ]
        rows = self._records.read("aliases_of_product", {"kind": kind, "name": ref.name})
        aliases = [f"{ref.name}@{row['alias']}" for row in rows]
        known = ", ".join([*names, *aliases]) or f"no {kind} yet"
        return UsageError(
            f"There is no {kind} {ref}.",
            why=f"The store has: {known}.",
            do="Run the pipeline that publishes it, or name one of those.",
        )


def _unknown(digest: str) -> StoreError:
    return StoreError(f"Artifact {digest[:12]} is not in the records.", do="filiera doctor")


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a run made of a publication."""

    artifact: ArtifactRef
    description: Mapping[str, Any]
    inputs: Mapping[str, str]
    attachments: Mapping[str, ArtifactRef]
