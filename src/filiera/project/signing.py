"""Versions that are signed with the project's key, and looked at before they are used.

What is signed is a statement about a version, made from its record: name, number, digests, description, where it came
from. The digests stand for the bytes, which are compared with them whenever they are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Literal

from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.value import dataclass
from filiera.engine.rows import to_json
from filiera.errors import BlobCorrupted, ProjectError, StoreError, Untrusted
from filiera.ports import BlobStore, Clock, MetadataStore
from filiera.project import audit, plugins
from filiera.project.config import ProjectConfig
from filiera.project.versions import Version

KEY_VARIABLE = "FILIERA_SIGNING_KEY"
PASSPHRASE_VARIABLE = "FILIERA_KEY_PASSPHRASE"  # noqa: S105 - the name of the variable, not a passphrase
_TAG = "filiera/version-statement/1"

State = Literal["valid", "untrusted", "wrong"]
"""What a signature is worth: untrusted is right, but made with a key that does not count here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One signature of a version, and what it is worth here."""

    key: str  #: public key: "ed25519:" and 32 bytes in base64
    owner: str  #: what ``trusted`` in filiera.toml calls the key's owner; "" when nothing
    project: str  #: for which project it was signed
    by: str  #: who signed
    at: float  #: when, by the signer's clock: seconds since the epoch, UTC
    state: State


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """An artifact of a version, read and compared with its digest."""

    name: str  #: "artifact", or the name of the attachment
    ref: ArtifactRef
    blobs: int  #: how many files of the store it is made of
    fault: str  #: what is wrong with it; "" when its bytes are as they were


def statement(version: Version, *, project: str, by: str, at: float) -> bytes:
    """Return what is signed: the same bytes for the same version and signer, on any machine.

    Args:
        version: What is signed.
        project: For which project.
        by: Who signs.
        at: When, seconds since the epoch, UTC.
    """
    return f"{_TAG}\n{to_json({**_of_version(version), 'project': project, 'by': by, 'at': float(at)})}".encode()


def _of_version(version: Version) -> dict[str, object]:
    return {
        "kind": version.kind,
        "name": version.name,
        "number": version.number,
        "artifact": _of_artifact(version.artifact),
        "attachments": {name: _of_artifact(ref) for name, ref in version.attachments.items()},
        "description": version.description,
        "inputs": dict(version.inputs),
        "run": version.run_id,
        "published_at": float(version.created_at),
    }


def _of_artifact(ref: ArtifactRef) -> dict[str, object]:
    return {"digest": ref.digest, "codec": ref.codec, "size_bytes": ref.size_bytes}


class Signing:
    """Signs versions and tells who signed them. It is the seal of a project's versions."""

    def __init__(self, config: ProjectConfig, records: MetadataStore, blobs: BlobStore, *, clock: Clock) -> None:
        self._config = config
        self._rules = config.signing
        self._records = records
        self._blobs = blobs
        self._clock = clock

    @property
    def key_file(self) -> Path:
        """Return where the private key is: ``$FILIERA_SIGNING_KEY``, ``key`` of ``[signing]``, or the user's folder."""
        told = os.environ.get(KEY_VARIABLE)
        if told:
            return Path(told).expanduser().absolute()
        if self._rules.key is not None:
            return self._rules.key.resolve()
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return home / "filiera" / "keys" / f"{self._config.name}.pem"

    def make_key(self) -> str:
        """Make the project's private key and return its public one. Raises ProjectError when there is one already."""
        public: str = _ed25519().make_key(self.key_file, passphrase=_passphrase()).public
        self._records.write([audit.entry("key", public, at=self._clock())], durable=True)
        return public

    def load_key(self) -> str:
        """Return the public key of the private one that signs here. Raises ProjectError when it cannot be used."""
        public: str = _ed25519().load_key(self.key_file, passphrase=_passphrase()).public
        return public

    def sign(self, version: Version) -> Signature:
        """Sign a version and return the signature; nothing happens when this key has signed it as it is.

        Raises:
            ProjectError: The key cannot be used.
            StoreError: The records cannot be written.
        """
        key = _ed25519().load_key(self.key_file, passphrase=_passphrase())
        for known in self.signatures(version):
            if known.key == key.public and known.state != "wrong":
                return known
        at, by, project = self._clock(), audit.actor(), self._config.name
        where = {"kind": version.kind, "name": version.name, "number": version.number, "key": key.public}
        signed = key.sign(statement(version, project=project, by=by, at=at))
        row = {**where, "project": project, "by": by, "at": at, "signature": signed}
        noted = audit.entry("sign", version.ref, at=at, detail={"key": key.public, "digest": version.artifact.digest})
        self._records.write([("put_signature", row), noted], durable=True)
        return next(found for found in self.signatures(version) if found.key == key.public)

    def signatures(self, version: Version) -> list[Signature]:
        """Return who signed a version, oldest first, and whether what they signed is what the records say now."""
        where = {"kind": version.kind, "name": version.name, "number": version.number}
        rows = self._records.read("signatures_of", where)
        ed25519 = _ed25519() if rows else None
        found = []
        for row in rows:
            assert ed25519 is not None
            claim = {name: row[name] for name in ("project", "by", "at")}
            key = row["key"]
            is_right = ed25519.is_signed(statement(version, **claim), row["signature"], key)
            worth: State = "wrong" if not is_right else "valid" if key in self._rules.trusted else "untrusted"
            found.append(Signature(key=key, owner=self._rules.trusted.get(key, ""), **claim, state=worth))
        return found

    def must_be_trusted(self, version: Version) -> list[Signature]:
        """Return a version's signatures. Raises Untrusted unless a trusted key has signed it as it is."""
        found = self.signatures(version)
        states = {signature.state for signature in found}
        if "valid" in states:
            return found
        if not found:
            what, why = "is not signed", "Nobody has signed it."
        elif "wrong" in states:
            what = "is not what was signed"
            why = "Its record was changed after it was signed, or the signature was made for something else."
        else:
            what = "is signed by no key that is trusted here"
            why = f"It is signed with {', '.join(signature.key for signature in found)}."
        raise Untrusted(
            f"The {version.kind} {version.ref} {what}.",
            why=why,
            do=f"filiera verify {version.ref} tells more; who vouches for it: filiera sign {version.ref}",
        )

    def require(self, version: Version) -> None:
        """Refuse a version that is to be used, when the project says so. Raises Untrusted."""
        if self._rules.require:
            self.must_be_trusted(version)

    def published(self, version: Version) -> None:
        """Sign a version that a run has published, when the project says so. Raises ProjectError, StoreError."""
        if self._rules.sign == "always":
            self.sign(version)

    def parts(self, version: Version) -> Iterator[Part]:
        """Yield the artifact of a version and its attachments, each read whole and compared with its digest."""
        for name, ref in (("artifact", version.artifact), *version.attachments.items()):
            blobs, fault = 0, ""
            try:
                if ref.inline is not None and blob_digest(ref.inline) != ref.digest:
                    raise BlobCorrupted(f"Artifact {ref.short} is damaged in the records.")
                for digest in plugins.blobs_of(ref, self._blobs.get):
                    self._blobs.path(digest)
                    blobs += 1
            except StoreError as error:
                fault = error.what
            yield Part(name=name, ref=ref, blobs=blobs, fault=fault)


def _passphrase() -> str:
    return os.environ.get(PASSPHRASE_VARIABLE, "")


def _ed25519() -> ModuleType:
    try:
        from filiera.adapters import ed25519_keys
    except ImportError as error:
        raise ProjectError(
            "Signatures need the library 'cryptography'.",
            why=str(error),
            do="pip install 'filiera[sign]'",
        ) from error
    return ed25519_keys
