"""A signature as a JSON document: what a service says of its model, and what applications keep of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from filiera.core.signature import Signature
from filiera.errors import UsageError
from filiera.serving.contract import ModelContract


def read_contract(path: Path) -> ModelContract:
    """Return the contract that a file holds, as ``filiera contract show`` or a service wrote it.

    Raises:
        UsageError: There is no such file, or it holds no signature that can be served.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read.", why=error.strerror or str(error)) from error
    try:
        return contract_in(msgspec.json.decode(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UsageError) as error:
        raise UsageError(
            f"{path} holds no signature of a model.",
            why=error.why if isinstance(error, UsageError) else str(error),
            do="filiera contract show MODEL > FILE.json, or fetch /v1/models/NAME of a service",
        ) from error


def contract_in(document: Any) -> ModelContract:
    """Return the contract that a model's description holds. Raises UsageError when it holds none that can be served."""
    try:
        signature = msgspec.convert(document["signature"], Signature)
        name, version = msgspec.convert([document["model"], document["version"]], tuple[str, int])
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        lacks = f"It has no {error}." if isinstance(error, KeyError) else str(error)
        raise UsageError("The document holds no signature of a model.", why=lacks) from error
    return ModelContract(name=name, version=version, signature=signature)
