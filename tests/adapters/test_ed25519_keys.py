"""Keys and signatures, and what a private key's file must be."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.ed25519_keys import PrivateKey, is_signed, load_key, make_key
from filiera.errors import ProjectError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "project.pem"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> PrivateKey:
    return make_key(tmp_path_factory.mktemp("keys") / "key.pem")


def test_a_key_is_kept_for_its_owner_alone(file: Path) -> None:
    """Nobody else may read the file or look into a folder made for it."""
    key = make_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert load_key(file).public == key.public


def test_a_key_is_never_replaced(file: Path) -> None:
    """Making a key where one is changes nothing."""
    make_key(file)
    before = file.read_bytes()
    with pytest.raises(ProjectError, match="There is a key in"):
        make_key(file)
    assert file.read_bytes() == before


@given(content=st.binary(max_size=100), other=st.binary(max_size=100))
def test_a_signature_is_of_its_content_only(content: bytes, other: bytes, key: PrivateKey) -> None:
    """It is right for the bytes that were signed and for no others."""
    signature = key.sign(content)
    assert is_signed(content, signature, key.public)
    assert is_signed(other, signature, key.public) == (content == other)
    assert key.sign(content) == signature


@given(position=st.integers(0, 84), letter=st.sampled_from("Aa0+/=!é"))
def test_a_changed_signature_is_wrong(position: int, letter: str, key: PrivateKey) -> None:
    """No letter can be another one, and what is not base64 is wrong instead of an error.

    Some bits of the last letter say nothing; it is left out.
    """
    signature = key.sign(b"x")
    changed = signature[:position] + letter + signature[position + 1 :]
    assert is_signed(b"x", changed, key.public) == (changed == signature)


@pytest.mark.parametrize(
    "public", ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "ed25519:é", "ed25519:" + "A" * 43 + "="]
)
def test_what_is_no_key_signed_nothing(public: str, key: PrivateKey) -> None:
    """A malformed public key makes a signature wrong."""
    assert not is_signed(b"x", key.sign(b"x"), public)


def test_a_passphrase_is_needed_and_right(file: Path) -> None:
    """An encrypted key opens to its passphrase only, and says what is missing."""
    public = make_key(file, passphrase="word").public
    assert b"ENCRYPTED" in file.read_bytes()
    assert load_key(file, passphrase="word").public == public
    for passphrase, said in (("", "is encrypted.\nWhy: No passphrase"), ("other", "The passphrase is wrong")):
        with pytest.raises(ProjectError, match=said):
            load_key(file, passphrase=passphrase)


def test_a_passphrase_for_a_plain_key_is_refused(file: Path) -> None:
    """Who thinks that a key is encrypted learns that it is not."""
    make_key(file)
    with pytest.raises(ProjectError, match="is not encrypted"):
        load_key(file, passphrase="word")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_key_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    """Whoever can read the file can sign; the message has the command that mends it."""
    make_key(file)
    file.chmod(mode)
    with pytest.raises(ProjectError, match=f"mode is {mode:04o}.*\nDo:  chmod 600"):
        load_key(file)


@pytest.mark.parametrize("keep", [0, 10, 60, 100])
def test_a_truncated_key_is_refused(file: Path, keep: int) -> None:
    """Half a key is no key."""
    make_key(file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ProjectError, match="cannot be read"):
        load_key(file)


def test_another_kind_of_key_is_refused(file: Path) -> None:
    """Only Ed25519 signs here."""
    other = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    file.parent.mkdir()
    file.write_bytes(other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    file.chmod(0o600)
    with pytest.raises(ProjectError, match="is no Ed25519 key"):
        load_key(file)


def test_what_is_not_there_or_no_file(file: Path, tmp_path: Path) -> None:
    """A missing file and a folder are told apart, without a traceback."""
    with pytest.raises(ProjectError, match="There is no key in"):
        load_key(file)
    with pytest.raises(ProjectError, match=r"cannot be read|is no file"):
        load_key(tmp_path)
    (tmp_path / "plain").touch()
    with pytest.raises(ProjectError, match="No key can be kept"):
        make_key(tmp_path / "plain" / "key.pem")
