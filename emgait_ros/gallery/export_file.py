"""The signed file that transfers people between galleries.

    magic | length of head | head (JSON) | body | Ed25519 signature of all before it

The head names the signer and says whether the body is encrypted (AES-256-GCM with the gallery's key). The body is a list
of people (JSON, length first) and their templates as little-endian float32, one after the other. Nothing is read before
the signature is verified, and nothing in a file is trusted to be of the size it claims.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emgait_ros.foreign import parsed_json
from emgait_ros.gallery.disk import alone, readable_by_others
from emgait_ros.gallery.encryption import PlainText, WrongKeyError
from emgait_ros.gallery.names import normalised_name
from emgait_ros.gallery.records import Template
from emgait_ros.whole_files import written_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAGIC = b"emgait export 1\n"
SIGNING_KEY = "~/.local/share/emgait/signing.key"
"""Where a robot keeps the key it signs its exports with, unless another is given."""
_SIGNATURE = 64
_CONTEXT = "emgait export"
LATEST_NS = 2**31 * 10**9
"""Times in messages end there, in 2038."""
_LENGTH = struct.Struct("<Q")


class ExportError(ValueError):
    """The file is no export, damaged, changed, or of somebody who is not trusted; a full sentence that names it."""


class UntrustedSignerError(ExportError):
    """The file is whole, but its ``signer`` is not trusted."""

    def __init__(self, message: str, signer: str) -> None:
        super().__init__(message)
        self.signer = signer


@dataclass(frozen=True)
class ExportedPerson:
    """One person with all templates."""

    name: str
    enrolled_ns: int
    disabled: bool
    templates: tuple[Template, ...]


def signing_key(path: str | Path = SIGNING_KEY) -> Ed25519PrivateKey:
    """The key of a file, which is made (mode 0600) when missing.

    Raises:
        ValueError: the file holds no such key, or others can read it. OSError: it cannot be read or made.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = Path(path).expanduser()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone(path):
            if not path.exists():
                with written_whole(path, private=True) as fresh:
                    fresh.write_text(Ed25519PrivateKey.generate().private_bytes_raw().hex() + "\n", encoding="ascii")
    if problem := readable_by_others(path):
        raise ValueError(f"signing key {problem}")
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except ValueError as error:
        raise ValueError(f"{path} holds no signing key: move it away, a new one is made then") from error


def signer_of(key: Ed25519PrivateKey) -> str:
    """What the other side compares: the public key, 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def write_export(path: Path, people: list[ExportedPerson], key: Ed25519PrivateKey, codec: PlainText) -> None:
    """Write the file (mode 0600), whole or not at all; encrypted when the codec is.

    Raises:
        OSError: it cannot be written.
    """
    listed = [{**vars(person), "templates": [template.facts() for template in person.templates]} for person in people]
    text = json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode()
    rows = [np.ascontiguousarray(t.embedding, "<f4").tobytes() for person in people for t in person.templates]
    body = codec.data(b"".join([_LENGTH.pack(len(text)), text, *rows]), _CONTEXT)
    head = json.dumps({"signer": signer_of(key), "encrypted": codec.encrypted, "bytes": len(body)}).encode()
    content = b"".join([MAGIC, _LENGTH.pack(len(head)), head, body])
    with written_whole(path, private=True) as fresh, fresh.open("wb") as stream:
        stream.write(content)
        stream.write(key.sign(content))


def read_export(path: Path, trusted: set[str], codec: PlainText) -> list[ExportedPerson]:
    """The people in a file.

    Args:
        path: of the file.
        trusted: signers whose files are taken.
        codec: of the key it was encrypted with, if it was.

    Raises:
        UntrustedSignerError: somebody else's. ExportError: see there. OSError: it cannot be read.
    """
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ExportError(f"{path} is no export of a gallery: `emgait gallery export` writes them")
    try:
        start = len(MAGIC) + _LENGTH.size
        end = start + _LENGTH.unpack(content[len(MAGIC) : start])[0]
        head = parsed_json(content[start:end])
        signer, encrypted, size = str(head["signer"]), bool(head["encrypted"]), int(head["bytes"])
        whole = end + size + _SIGNATURE == len(content)
    except (ValueError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise ExportError(f"{path} is damaged: its head cannot be read; copy it again") from error
    if not whole:
        raise ExportError(f"{path} is cut off or has something behind its end: copy it again")
    _verify(path, content, signer)
    if signer not in trusted:
        raise UntrustedSignerError(
            f"{path} is signed by {signer}, whom this gallery does not trust: ask whoever made it for the number that "
            "`emgait gallery signer` shows there, and if it is this one call again with --trust and the number",
            signer,
        )
    body = content[end:-_SIGNATURE]
    if encrypted:
        if not codec.encrypted:
            raise ExportError(f"{path} is encrypted: give the key of the gallery it comes from with --export-key FILE")
        try:
            body = codec.read_data(body, _CONTEXT)
        except WrongKeyError as error:
            raise ExportError(
                f"{path} was encrypted with another key: give the key of the gallery it comes from with --export-key FILE"
            ) from error
    try:
        return _people(body)
    except (ValueError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise ExportError(f"{path} does not hold what it should ({error}): it was made by another program") from error


def _verify(path: Path, content: bytes, signer: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer))
        key.verify(content[-_SIGNATURE:], content[:-_SIGNATURE])
    except (InvalidSignature, ValueError) as error:
        raise ExportError(
            f"{path} was changed since it was signed: nothing of it is used; have it sent again"
        ) from error


def _people(body: bytes) -> list[ExportedPerson]:
    start = _LENGTH.size + _LENGTH.unpack(body[: _LENGTH.size])[0]
    listed = parsed_json(body[_LENGTH.size : start])
    found, names = [], set()
    for item in listed:
        templates = []
        for facts in item["templates"]:
            template, start = _template(facts, body, start)
            templates.append(template)
        name = normalised_name(item["name"])
        if name in names:
            raise ValueError("a name comes twice")
        names.add(name)
        enrolled = int(item["enrolled_ns"])
        if not 0 <= enrolled < LATEST_NS:
            raise ValueError("somebody was enrolled at an impossible time")
        found.append(ExportedPerson(name, enrolled, bool(item["disabled"]), tuple(templates)))
    if start != len(body):
        raise ValueError("there are more bytes than templates")
    return found


def _template(facts: dict[str, Any], body: bytes, start: int) -> tuple[Template, int]:
    parts, dimensions = (int(value) for value in facts["shape"])
    samples, modalities, fingerprint = int(facts["samples"]), int(facts["modalities"]), str(facts["fingerprint"])
    range_m, created = float(facts["median_range_m"]), int(facts["created_ns"])
    sizes_fit = 0 < parts <= 4096 and 0 < dimensions <= 65536 and 0 < samples < 2**31 and 1 <= modalities <= 3
    if not (sizes_fit and np.isfinite(range_m) and 0 <= created < 2**63):
        raise ValueError("a template has impossible numbers")
    if not 0 < len(fingerprint) <= 128 or not fingerprint.isalnum():
        raise ValueError("a template has no model fingerprint")
    end = start + parts * dimensions * 4
    if end > len(body):
        raise ValueError("a template is missing")
    embedding = np.frombuffer(body[start:end], "<f4").reshape(parts, dimensions)
    if not np.isfinite(embedding).all():
        raise ValueError("a template is not finite")
    quality = str(facts["quality"])[:10_000]
    return Template(fingerprint, embedding, samples, modalities, range_m, created, quality), end
