"""``filiera verify``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from filiera.cli.output import how_big, print_json, print_table, when
from filiera.cli.places import find_version
from filiera.errors import StoreError, Untrusted
from filiera.project.project import Project
from filiera.project.signing import Part, Signature
from filiera.project.versions import Version


def run(options: argparse.Namespace) -> int:
    """Print who signed a version and whether its bytes are whole; 5 when they are not, 3 when no trusted key signed."""
    project = Project.open(profile=options.profile)
    version = find_version(project, options.which)
    signatures, parts = project.signing.signatures(version), list(project.signing.parts(version))
    if options.json:
        print_json(
            {
                "version": version.ref,
                "signatures": [asdict(signature) for signature in signatures],
                "parts": [_part_data(part) for part in parts],
            }
        )
    else:
        _print(version, signatures, parts)
    if any(part.fault for part in parts):
        return StoreError.exit_code
    return 0 if any(signature.state == "valid" for signature in signatures) else Untrusted.exit_code


def _part_data(part: Part) -> dict[str, object]:
    ref = part.ref
    return {"name": part.name, "digest": ref.digest, "codec": ref.codec, "blobs": part.blobs, "fault": part.fault}


def _print(version: Version, signatures: list[Signature], parts: list[Part]) -> None:
    header = ["part", "content", "codec", "size", "files", "state"]
    rows = [
        [part.name, part.ref.short, part.ref.codec, how_big(part.ref.size_bytes), part.blobs, part.fault or "ok"]
        for part in parts
    ]
    print_table(header, rows, right=("size", "files"))
    print()
    if signatures:
        found = [[one.state, one.owner, one.by, one.project, when(one.at), one.key] for one in signatures]
        print_table(["signature", "owner", "by", "project", "at", "key"], found)
        print()
    damaged = [part.name for part in parts if part.fault]
    is_trusted = any(signature.state == "valid" for signature in signatures)
    print(f"{version.ref} is {'' if is_trusted else 'not '}signed by a trusted key", end="")
    print(f"; damaged: {', '.join(damaged)}" if damaged else "; its bytes are as they were")
