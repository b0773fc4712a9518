"""Refuses a bundle that is not, bit for bit, what its builder signed. By hand: python3 FILE BUNDLE --key KEY.

The signature is minisign's: Ed25519 over BLAKE2b-512 (https://jedisct1.github.io/minisign). Where it is
checked, Python's `cryptography` is needed, which Ansible brings; files need the standard library alone.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import os
import re
import stat
import sys

MANIFEST = "MANIFEST.sha256"
SIGNATURE = "MANIFEST.sha256.minisig"
_COMMENT = "untrusted comment: signature from minisign secret key"
_TRUSTED = "trusted comment: "
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")
_READ_BYTES = 1 << 20


class Refused(Exception):
    """The bundle, or a file of it, is not what was signed; the message names the file and the remedy."""


def _decoded(text, size, what):
    # b64decode forgives other digits in the last, half used character: a flipped bit nobody would see.
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) != size or base64.b64encode(content).decode() != text:
        raise Refused(f"{what}: damaged, this is no base64 of {size} bytes. Copy the bundle again")
    return content


def public_key(text):
    """minisign's public key (the second line of minisign.pub) as key id and key."""
    content = _decoded(text.strip(), 42, "tellerline_bundle_key")
    if content[:2] != b"Ed":
        raise Refused(
            "tellerline_bundle_key: no key of minisign; give the second line of the builder's minisign.pub"
        )
    return content[2:10], content[10:]


def check_signature(bundle, key, version=None):
    """Checks the manifest's signature by the key the site trusts, and that it was made for `version`.

    Returns the manifest's own SHA-256, for hosts to check their copy by.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    identity, point = public_key(key)
    manifest = _content(bundle, MANIFEST)
    lines = _content(bundle, SIGNATURE).split(b"\n")
    try:
        comment, signature, trusted, overall, last = (line.decode("ascii") for line in lines)
    except (UnicodeDecodeError, ValueError):
        raise Refused(
            f"{SIGNATURE}: damaged, this is no signature of minisign. Copy the bundle again"
        ) from None
    if comment != _COMMENT or not trusted.startswith(_TRUSTED) or last:
        raise Refused(f"{SIGNATURE}: damaged, its comments are not the builder's. Copy the bundle again")
    signed = _decoded(signature, 74, SIGNATURE)
    if signed[:2] != b"ED":
        raise Refused(f"{SIGNATURE}: not a signature over BLAKE2b; sign with minisign 0.10 or later")
    if signed[2:10] != identity:
        raise Refused(
            f"{SIGNATURE}: signed with another key than tellerline_bundle_key. Install only what "
            "a builder you trust has signed"
        )
    verifier = Ed25519PublicKey.from_public_bytes(point)
    try:
        verifier.verify(signed[10:], hashlib.blake2b(manifest).digest())
    except InvalidSignature:
        raise Refused(
            f"{MANIFEST} and {SIGNATURE} do not fit: one of them was changed. Copy the bundle again"
        ) from None
    said = trusted[len(_TRUSTED) :]
    try:
        verifier.verify(_decoded(overall, 64, SIGNATURE), signed[10:] + said.encode())
    except InvalidSignature:
        raise Refused(f"{SIGNATURE}: its trusted comment was changed. Copy the bundle again") from None
    if version is not None and said != f"tellerline {version}":
        raise Refused(f"{SIGNATURE}: signed for {said!r}, but tellerline_version is {version}")
    return hashlib.sha256(manifest).hexdigest()


def _content(bundle, name):
    try:
        with open(os.path.join(bundle, name), "rb") as content:
            return content.read()
    except OSError as error:
        raise Refused(f"{os.path.join(bundle, name)}: {error.strerror}: this is no (whole) bundle") from None


def named(bundle, wanted=None):
    """Path → SHA-256 of every file the manifest names.

    `wanted` is the manifest's own SHA-256, where somebody else has checked its signature.
    """
    content = _content(bundle, MANIFEST)
    found = hashlib.sha256(content).hexdigest()
    if wanted is not None and found != wanted:
        raise Refused(f"{MANIFEST}: not the one whose signature was checked")
    files = {}
    for line in content.decode("utf-8").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[2].startswith("/") or ".." in match[2].split("/"):
            raise Refused(f"{MANIFEST}: cannot be read: {line!r}")
        files[match[2]] = match[1]
    return files


def faults(folder, files):
    """What is wrong with these files of a folder, each by its name: missing, changed, no plain file."""
    for name, wanted in sorted(files.items()):
        path = os.path.join(folder, name)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                yield f"{name}: no plain file"
            elif sha256(path) != wanted:
                yield f"{name}: changed since it was signed"
        except FileNotFoundError:
            yield f"{name}: missing"
        except OSError as error:
            yield f"{name}: cannot be read ({error.strerror})"


def strangers(folder, files):
    """Files of a folder that nobody signed."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in sorted((*names, *links)):
            path = os.path.relpath(os.path.join(place, name), folder)
            if path not in files and path not in (MANIFEST, SIGNATURE):
                yield f"{path}: nobody signed it"


def check_bundle(bundle, key, version=None):
    """Checks everything: the manifest's SHA-256 and its files. Raises Refused naming each bad file."""
    digest = check_signature(bundle, key, version)
    files = named(bundle, digest)
    bad = [*faults(bundle, files), *strangers(bundle, files)]
    if bad:
        raise Refused(
            f"{bundle}: " + "; ".join(bad) + ". Nothing was changed anywhere; copy the bundle again"
        )
    return digest, files


def sha256(path):
    """The file's SHA-256, in hexadecimal digits (Python 3.9 has no hashlib.file_digest)."""
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        while part := content.read(_READ_BYTES):
            digest.update(part)
    return digest.hexdigest()


def main():
    """Verifies a bundle by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--key", help="minisign public key: the second line of minisign.pub")
    given.add_argument("--key-file", help="minisign.pub of the builder you trust")
    arguments = parser.parse_args()
    key = arguments.key
    try:
        if key is None:
            with open(arguments.key_file, encoding="ascii") as lines:
                key = lines.read().splitlines()[1]
        _, files = check_bundle(arguments.bundle, key)
    except (Refused, OSError, IndexError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.bundle}: {len(files)} files, every one as it was signed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
