"""Ed25519 by the library ``cryptography``: keys, signatures, and the file of a private key."""

from __future__ import annotations

import base64
import os
import stat
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from filiera.errors import ProjectError

_PREFIX = "ed25519:"


class PrivateKey:
    """A private key in memory."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public(self) -> str:
        """Return the public key as text: ``ed25519:`` and 32 bytes in base64."""
        return _PREFIX + base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, content: bytes) -> str:
        """Return the signature of *content*, 64 bytes in base64; the same content gives the same signature."""
        return base64.b64encode(self._key.sign(content)).decode()


def make_key(file: Path, *, passphrase: str = "") -> PrivateKey:
    """Return a new key, kept in a new file that its owner alone may read; encrypted when there is a passphrase.

    Raises:
        ProjectError: The file is there already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    try:
        _make_folder(file.parent)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ProjectError(
            f"There is a key in {file}.",
            why="A key that was replaced could sign nothing any more.",
            do="Go on with it, or move it away first.",
        ) from error
    except OSError as error:
        raise ProjectError(f"No key can be kept in {file}: {error.strerror}.") from error
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        with suppress(OSError):
            file.unlink()
        raise ProjectError(f"No key can be kept in {file}: {error.strerror}.") from error
    return PrivateKey(key)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ProjectError(f"No key can be kept in {folder}: it is no folder.") from error


def load_key(file: Path, *, passphrase: str = "") -> PrivateKey:
    """Return the key of a file.

    Raises:
        ProjectError: It is not there, others may read it, it is no Ed25519 key, or the passphrase is wrong.
    """
    text = _private_text(file)
    try:
        key = serialization.load_pem_private_key(text, passphrase.encode() or None)
    except TypeError as error:  # what the library raises when one of the two is missing
        has_one = bool(passphrase)
        raise ProjectError(
            f"The key in {file} is {'not ' if has_one else ''}encrypted.",
            why="A passphrase was given." if has_one else "No passphrase was given.",
            do=f"{'Unset' if has_one else 'Set'} FILIERA_KEY_PASSPHRASE.",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ProjectError(
            f"The key in {file} cannot be read.",
            why="The passphrase is wrong, or the file is damaged." if passphrase else "The file is damaged or no key.",
            do="Put back a copy, or make a new key: filiera keys new.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ProjectError(f"The key in {file} is no Ed25519 key.", do="Make one: filiera keys new.")
    return PrivateKey(key)


def is_signed(content: bytes, signature: str, public: str) -> bool:
    """Tell whether *signature* is that of *content* by the owner of a public key."""
    try:
        _public_key(public).verify(base64.b64decode(signature, validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _public_key(text: str) -> Ed25519PublicKey:
    if not text.startswith(_PREFIX):
        raise ValueError(f"{text!r} is no Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix(_PREFIX), validate=True))


def _private_text(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ProjectError(f"{file} is no file.", do="Make a key: filiera keys new.")
            if found.st_mode & 0o077:
                raise ProjectError(
                    f"Others may read or change the key in {file}.",
                    why=f"Its mode is {stat.S_IMODE(found.st_mode):04o}. Whoever read it can sign as you do.",
                    do=f"chmod 600 {file}, if nobody did; else make a new key and trust the old one no more.",
                )
            return opened.read()
    except FileNotFoundError as error:
        raise ProjectError(f"There is no key in {file}.", do="Make one: filiera keys new.") from error
    except OSError as error:
        raise ProjectError(f"The key in {file} cannot be read: {error.strerror}.") from error
