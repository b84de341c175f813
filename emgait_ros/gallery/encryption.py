"""Names and templates that can only be read with a key: AES-256-GCM, key from a file or the environment.

Templates get a random nonce and are bound to what they belong to (:mod:`emgait_ros.gallery.binding`). Names must be found again by equality, so their
nonce is derived from the name by HMAC: equal names give equal bytes, and nothing else is revealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

from emgait_ros.gallery.disk import readable_by_others

KEY_VARIABLE = "EMGAIT_GALLERY_KEY"
"""Environment variable that holds a gallery's key."""
_PREFIX = "enc1:"
_NONCE = 12


class WrongKeyError(ValueError):
    """Bytes were made with another key, or changed since."""


class PlainText:
    """Leaves everything as it is: a gallery without a key."""

    encrypted = False

    def text(self, plain: str) -> str:
        """A name or sentence as it is stored."""
        return plain

    def read_text(self, stored: str) -> str:
        """The other way round."""
        return stored

    def data(self, plain: bytes, context: str) -> bytes:
        """A template's bytes as they are stored; ``context`` is what they belong to."""
        return plain

    def read_data(self, stored: bytes, context: str) -> bytes:
        """The other way round."""
        return stored

    def seal(self, content: str) -> str:
        """A signature of a text that takes the key to make; empty without one."""
        return ""


class Cipher(PlainText):
    """Encrypts with one key.

    Args:
        key: 32 bytes.

    Raises:
        ValueError: a key of another length, or the package `cryptography` is missing.
    """

    encrypted = True

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(
                f"a gallery key has 32 bytes, this one {len(key)}: `emgait gallery new-key FILE` makes one"
            )
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ValueError(
                "encrypted galleries need the package cryptography: apt-get install python3-cryptography, or pip install it"
            ) from error
        self._cipher = AESGCM(hmac.digest(key, b"emgait gallery encryption", hashlib.sha256))
        self._name_key = hmac.digest(key, b"emgait gallery names", hashlib.sha256)
        self._seal_key = hmac.digest(key, b"emgait gallery seals", hashlib.sha256)

    def text(self, plain: str) -> str:
        content = plain.encode()
        nonce = hmac.digest(self._name_key, content, hashlib.sha256)[:_NONCE]
        return _PREFIX + base64.b64encode(nonce + self._cipher.encrypt(nonce, content, b"text")).decode()

    def read_text(self, stored: str) -> str:
        """See :class:`PlainText`.

        Raises:
            WrongKeyError: another key, or changed text.
        """
        try:
            if not stored.startswith(_PREFIX):
                raise WrongKeyError("a text is not encrypted")
            return self._open(base64.b64decode(stored[len(_PREFIX) :], validate=True), b"text").decode()
        except binascii.Error as error:
            raise WrongKeyError("a text is damaged") from error

    def data(self, plain: bytes, context: str) -> bytes:
        """See :class:`PlainText`; 28 bytes longer than ``plain``."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, context.encode())

    def read_data(self, stored: bytes, context: str) -> bytes:
        """See :class:`PlainText`.

        Raises:
            WrongKeyError: another key, changed bytes, or bytes that belong elsewhere.
        """
        return self._open(stored, context.encode())

    def seal(self, content: str) -> str:
        return hmac.digest(self._seal_key, content.encode(), hashlib.sha256).hex()

    def _open(self, stored: bytes, context: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(stored[:_NONCE], stored[_NONCE:], context)
        except (InvalidTag, ValueError) as error:
            raise WrongKeyError("made with another key, or changed") from error


def codec_for(key: bytes | None) -> PlainText:
    """The cipher of a key, or none."""
    return PlainText() if key is None else Cipher(key)


def find_key(key_file: str | Path = "") -> bytes | None:
    """The gallery's key: of the file, else of the environment variable EMGAIT_GALLERY_KEY; None without either.

    Raises:
        ValueError: the key is not 32 bytes in hexadecimal or base64, or others can read the file. OSError: it cannot be read.
    """
    if str(key_file):
        path = Path(key_file).expanduser()
        if problem := readable_by_others(path):
            raise ValueError(f"key file {problem}")
        return parsed_key(path.read_text(encoding="ascii", errors="replace"), f"key file {path}")
    variable = os.environ.get(KEY_VARIABLE, "")
    return parsed_key(variable, f"the environment variable {KEY_VARIABLE}") if variable else None


def parsed_key(text: str, source: str) -> bytes:
    """32 bytes from 64 hexadecimal digits or base64.

    Raises:
        ValueError: anything else; the sentence names the source, never the text.
    """
    stripped = text.strip()
    try:
        key = bytes.fromhex(stripped) if len(stripped) == 64 else base64.b64decode(stripped, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != 32:
        raise ValueError(
            f"{source} holds no gallery key: expected 32 bytes as 64 hexadecimal digits or base64; `emgait gallery new-key FILE` makes one"
        )
    return key


def write_new_key(path: Path) -> bytes:
    """Make a key and write it to a new file (mode 0600).

    Raises:
        FileExistsError: there is a file already, whose key a gallery may need.
    """
    key = os.urandom(32)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError as error:
        raise FileExistsError(
            f"{path} exists already and is kept, because without its key a gallery is lost: give another name"
        ) from error
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(key.hex() + "\n")
        stream.flush()
        os.fsync(descriptor)
    return key
