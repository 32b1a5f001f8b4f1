"""A project put together: its configuration, its store, its pipelines."""

from __future__ import annotations

import datetime as dt
import functools
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filiera.core.artifact import ArtifactRef
from filiera.core.chunks import TABLE_CODEC
from filiera.core.digest import blob_digest
from filiera.core.events import Event
from filiera.core.files import FILES_CODEC
from filiera.core.graph import Known
from filiera.core.pipeline import Pipeline
from filiera.core.plan import Decision
from filiera.core.products import Model, ProductKind, ProductRef
from filiera.core.runstate import RunState
from filiera.engine.artifacts import Artifacts
from filiera.engine.planner import Planner
from filiera.errors import BlobCorrupted, BlobMissing, CodecError, StoreError
from filiera.ports import BlobStore, Clock, Executor, MetadataStore
from filiera.project import executors, plugins
from filiera.project.assemble import Assembled, Lookups, assemble
from filiera.project.beside import BesideLookups
from filiera.project.checkout import source_root
from filiera.project.code import ProjectCode
from filiera.project.config import ProjectConfig, find_root, load
from filiera.project.fresh import require_step
from filiera.project.index import load_pipeline
from filiera.project.rivals import Rivals
from filiera.project.surroundings import set_project_root
from filiera.project.versions import Version, Versions
from filiera.project.worker import WorkerPlace

if TYPE_CHECKING:
    from filiera.adapters.flight_locks import FlightLocks, Limits
    from filiera.core.gate import Waiver
    from filiera.project.deployments import Deployments
    from filiera.project.environments import Environments
    from filiera.project.signing import Signing


class Listener(Protocol):
    """Follows a run while it goes on."""

    def begins(self, log_dir: Path) -> None:
        """A driver starts; what its steps print goes to files in *log_dir*."""

    def says(self, line: str) -> None:
        """Something goes on that takes a while and belongs to no step; details of it are indented."""

    def __call__(self, event: Event, state: RunState) -> None:
        """An event was applied to the state."""

    def waits(self, state: RunState) -> None:
        """Nothing happened for a moment; called a few times a second while steps run."""


class Project:
    """The composition root: everything concrete is chosen here, from ``filiera.toml`` and a profile."""

    def __init__(self, config: ProjectConfig, *, clock: Clock = time.time) -> None:
        self.config = config
        self.clock = clock
        set_project_root(config.root)

    @classmethod
    def open(cls, start: Path | None = None, *, profile: str | None = None) -> Project:
        """Return the project that *start*, by default the current folder, lies in.

        Raises:
            ProjectError: There is none, or its ``filiera.toml`` cannot be used.
            UsageError: There is no such profile.
            ArchiveError, StoreError: Versions came with it that its store cannot take over.
        """
        project = cls(load(find_root(start), profile))
        if project.config.versions is not None:
            from filiera.project.shipped import take_over

            take_over(project, project.config.versions)
        return project

    @property
    def store(self) -> Path:
        """Return the folder that holds records, blobs, logs and predictions."""
        return self.config.profile.store

    @functools.cached_property
    def records(self) -> MetadataStore:
        """Return the records."""
        return plugins.metadata_store(self.store)

    @functools.cached_property
    def blobs(self) -> BlobStore:
        """Return the blobs."""
        return plugins.blob_store(self.store)

    @functools.cached_property
    def artifacts(self) -> Artifacts:
        """Return the values, by codecs over the blobs."""
        return Artifacts(self.blobs, plugins.find_codec, plugins.codec_named)

    @functools.cached_property
    def versions(self) -> Versions:
        """Return the products' versions."""
        return Versions(self.records, self.signing if self.config.signing.are_set else None, self.config.scope)

    @functools.cached_property
    def deployments(self) -> Deployments:
        """Return the versions that are on their way to callers."""
        from filiera.project.deployments import Deployments

        return Deployments(self.records, self.versions, self.clock)

    @functools.cached_property
    def signing(self) -> Signing:
        """Return what signs versions and tells who signed them."""
        from filiera.project.signing import Signing

        return Signing(self.config, self.records, self.blobs, clock=self.clock)

    @functools.cached_property
    def environments(self) -> Environments:
        """Return the environments that steps of this project ask for."""
        from filiera.project.environments import Environments

        return Environments(self.store, self.config.root)

    def environment(self, file: str) -> str:
        """Return the digest of the environment of a requirements file. Raises ProjectError."""
        return self.environments.digest_of(file)

    @functools.cached_property
    def code(self) -> ProjectCode:
        """Return what knows the code each step reaches."""
        return ProjectCode(self.config.root, self.environment)

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline by name. Raises UsageError, ProjectError."""
        return load_pipeline(self.config, name)

    def assemble(
        self, pipeline: Pipeline, values: Mapping[str, Any], *, fresh: frozenset[str] = frozenset()
    ) -> Assembled:
        """Return a pipeline's graph with its inputs looked up. Raises UsageError, GraphError, SourceError.

        A source that is collected afresh is read from its beginning, even if it grows.
        """
        to_grow = functools.partial(self._to_grow, pipeline.name, fresh)
        beside = BesideLookups(version=self._dataset, newest=self._newest_dataset, now=self._now)
        lookups = Lookups(
            version=self._version,
            rivals=Rivals(self.versions, self.artifacts, self.holds),
            waivers=self._waivers,
            source=self._source,
            to_grow=to_grow,
            beside=beside,
        )
        if pipeline.publishes is not None:
            self.versions.require_publishable(pipeline.publishes.kind, pipeline.publishes.ref.name)
            if self.config.signing.sign == "always":
                self.signing.load_key()  # before the work, not after it
        return assemble(pipeline, values, lookups)

    def planner(self, assembled: Assembled, *, fresh: frozenset[str] = frozenset()) -> Planner:
        """Return what decides for each step whether it runs. Raises UsageError for an unknown step in *fresh*."""
        for name in fresh:
            require_step(assembled.graph, name)
        return Planner(
            graph=assembled.graph,
            records=self.records,
            holds=self.holds,
            code_of=self.code.of,
            compare_code=self.code.compare,
            clock=self.clock,
            fresh=fresh,
        )

    def plan(self, name: str, values: Mapping[str, Any], *, fresh: frozenset[str] = frozenset()) -> list[Decision]:
        """Return what a run would do with each step, and why. Raises as ``assemble`` does."""
        from filiera.project.foresight import foresee

        planner = self.planner(self.assemble(self.pipeline(name), values, fresh=fresh), fresh=fresh)
        return list(foresee(planner, self.artifacts))

    def executor(self, log_dir: Path, holder: int, listener: Listener | None = None) -> Executor:
        """Return the profile's executor, writing step output under *log_dir*; its workers take keys for *holder*."""
        if self.config.profile.executor == "inline":
            return executors.inline_executor(self.artifacts, log_dir, store=self.store)
        return executors.process_executor(
            WorkerPlace(root=self.config.root, store=self.store, holder=holder),
            workers=self.slots,
            log_dir=log_dir,
            command_for=lambda env: self.environments.command_for(env, tell=listener.says if listener else None),
        )

    @property
    def slots(self) -> int:
        """Return how many steps run at once."""
        if self.config.profile.executor == "inline":
            return 1
        return self.config.profile.workers or os.cpu_count() or 1

    @contextmanager
    def coordination(self) -> Iterator[tuple[FlightLocks, Limits | None]]:
        """Give what tells processes of this machine who computes what, and how many of a limit's steps run."""
        from filiera.adapters.flight_locks import FlightLocks, Limits

        self.store.mkdir(parents=True, exist_ok=True)
        flights = FlightLocks(self.store / "flights")
        limits = Limits(self.store / "limits", self.config.limits) if self.config.limits else None
        try:
            yield flights, limits
        finally:
            flights.close()
            if limits is not None:
                limits.close()

    def value(self, ref: ArtifactRef) -> Any:
        """Return a stored value. Raises CodecError, BlobMissing, BlobCorrupted."""
        # What the built-in steps return is of classes of ours, which are decoded only when they are loaded.
        from filiera.data import profile  # noqa: F401
        from filiera.model import study  # noqa: F401
        from filiera.project import builtin  # noqa: F401

        return self.artifacts.get(ref)

    def size_of(self, ref: ArtifactRef) -> int:
        """Return how many bytes a value takes: of a table in files, or of files, theirs."""
        if ref.codec not in (TABLE_CODEC, FILES_CODEC):
            return ref.size_bytes
        try:
            manifest = ref.inline or self.versions.inline(ref.digest, ref.codec) or self.blobs.get(ref.digest)
            return plugins.size_of(ref, manifest)
        except (StoreError, CodecError):  # it is lost or damaged, which whoever needs it will say
            return ref.size_bytes

    def holds(self, ref: ArtifactRef) -> bool:
        """Tell whether the store has an artifact's bytes: a folder's files are blobs of their own.

        Those in a record, and those of a manifest, are looked at: changed ones are not what the artifact is.
        """
        if ref.inline is not None and blob_digest(ref.inline) != ref.digest:
            return False
        try:
            return all(map(self.blobs.has, plugins.blobs_of(ref, self.blobs.get)))
        except (BlobCorrupted, BlobMissing, CodecError):
            return False

    def settle(self, refs: Iterable[ArtifactRef]) -> None:
        """Come back when the bytes of artifacts survive a power cut: before it is recorded that they do.

        What is not there any more is left out: it was found damaged and set aside, and nothing that succeeded needs it.

        Raises:
            StoreError: The disk refuses.
        """
        named = list(refs)
        try:
            self._settle(named)
        except (BlobCorrupted, BlobMissing, CodecError):
            self._settle(filter(self.holds, named))

    def _settle(self, refs: Iterable[ArtifactRef]) -> None:
        self.blobs.settle(digest for ref in refs for digest in plugins.blobs_of(ref, self.blobs.get))

    def model_parts(self, version: Version) -> tuple[Any, Any]:
        """Return a model version's estimator and signature. Raises CodecError, BlobMissing, BlobCorrupted."""
        return self.value(version.artifact), self.value(version.attachments["signature"])

    def close(self) -> None:
        """Let go of the records."""
        if "records" in self.__dict__:
            self.records.close()

    def _version(self, kind: ProductKind, ref: ProductRef) -> Version:
        version = self.versions.resolve(kind, ref)
        if not self.holds(version.artifact):
            raise BlobMissing(
                f"The bytes of {kind} {version.ref} are not in {self.store}.",
                why="They were removed, or the records came here without them.",
                do=f"filiera run {version.run_id.rpartition('-')[0]}",
            )
        return version

    def _dataset(self, ref: ProductRef) -> Version:
        return self._version("dataset", ref)

    def _newest_dataset(self, name: str) -> Version | None:
        found = self.versions.newest("dataset", name)
        return self._version("dataset", ProductRef(found.name, str(found.number))) if found else None

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.clock(), dt.UTC)

    def _waivers(self, model: Model) -> tuple[Waiver, ...]:
        if not self.config.waivers:
            return ()
        from filiera.project.waivers import waivers_of

        return waivers_of(self.config.waivers, model.ref.name, model.gates, self._now().date())

    def _source(self, name: str) -> tuple[dict[str, Any], str]:
        from filiera.project.builtin import checked_entry

        entry = checked_entry(self.config.entry(name))
        return entry, plugins.source_reader(entry["type"]).fingerprint(entry, source_root(entry, self.config.root))

    def _to_grow(
        self, pipeline: str, fresh: frozenset[str], source: str, entry: Mapping[str, Any]
    ) -> Mapping[str, Known]:
        from filiera.project.collecting import STEP, to_grow

        return {} if f"{STEP}{source}" in fresh else to_grow(self, pipeline, source, entry)
