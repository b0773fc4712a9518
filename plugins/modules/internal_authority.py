#!/usr/bin/python3
"""Ansible module for the control node: the site's own certificate authority, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import os
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOCUMENTATION = r"""
---
module: internal_authority
short_description: Keep an internal certificate authority and sign requests with it
description:
  - The authority lives in a folder of the control node, C(authority.pem) and C(authority.key), the key
    encrypted under I(passphrase). It is made where it is missing.
  - Names in a certificate are those of I(requests), which come from the inventory; of what a host sent, only
    its public key is used, so that no host obtains another's name.
options:
  folder:
    description: Where the authority is kept.
    required: true
    type: path
  passphrase:
    description: Opens the authority's key.
    required: true
    type: str
  organisation:
    description: Stands in the authority's name.
    type: str
    default: Tellerline
  replace:
    description:
      - Makes a new authority; the present one is kept as C(authority-former.pem), and still trusted.
      - Does nothing while there is a former one, so that a rotation that was cut off is taken up again.
    type: bool
    default: false
  forget:
    description: No longer trusts the former authority.
    type: bool
    default: false
  days:
    description: How long a certificate is good.
    type: int
    default: 397
  requests:
    description: What to sign.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Returned with the certificate.
        type: str
        required: true
      request:
        description: Certificate request, PEM.
        type: str
        required: true
      common_name:
        description: Name of the subject.
        type: str
        required: true
      dns:
        description: Further names.
        type: list
        elements: str
        default: []
      addresses:
        description: IP addresses.
        type: list
        elements: str
        default: []
author: Tellerline
"""

EXAMPLES = r"""
- name: Sign this host's requests
  internal_authority:
    folder: inventory/site/pki
    passphrase: "{{ tellerline_secrets.pki_passphrase }}"
    requests: "{{ pki_requests.requests }}"
  delegate_to: localhost
"""

RETURN = r"""
authority:
  description: Certificates to trust, PEM; the present authority's comes first.
  returned: always
  type: str
certificates:
  description: Name to certificate, PEM.
  returned: always
  type: dict
"""

# Ten years: its key never leaves the control node, and it is replaced at will (docs/certificates.md).
_AUTHORITY_DAYS = 3653
# Clocks of the hosts may be behind a little.
_BACKDATED = datetime.timedelta(minutes=10)


def now() -> datetime.datetime:
    """UTC, without a zone, as certificates have it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)


def name_of(organisation: str, common_name: str) -> x509.Name:
    """A subject of two parts."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def new_authority(organisation: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key of P-256 and its certificate, which may sign certificates of daemons and nothing beneath."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = name_of(organisation, f"{organisation} internal authority {now():%Y-%m-%d %H:%M:%S}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - _BACKDATED)
        .not_valid_after(now() + datetime.timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def usage(*, certificates: bool) -> x509.KeyUsage:
    """What a key may do: sign certificates and lists, or what TLS signs."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def sign(
    key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, wanted: dict[str, Any], days: int
) -> str:
    """The certificate for the public key of `wanted`'s request, under the names of `wanted`."""
    request = x509.load_pem_x509_csr(wanted["request"].encode())
    if not request.is_signature_valid:
        raise ValueError(f"{wanted['name']}: the request is not signed by the key it is for")
    names = dict.fromkeys([wanted["common_name"], *(wanted["dns"] or ())])
    addresses = dict.fromkeys(ipaddress.ip_address(address) for address in wanted["addresses"] or ())
    alternatives = [*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]
    end = min(now() + datetime.timedelta(days=days), _end(authority))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted["common_name"])]))
        .issuer_name(authority.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - _BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _end(certificate: x509.Certificate) -> datetime.datetime:
    # The one name is deprecated in later releases of cryptography, the other unknown to earlier ones.
    zoned = getattr(certificate, "not_valid_after_utc", None)
    return zoned.replace(tzinfo=None) if zoned is not None else certificate.not_valid_after


def _public(holder: Any) -> bytes:
    """The public key of a private key or a certificate."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    content = holder.public_key().public_bytes(serialization.Encoding.DER, form)
    assert isinstance(content, bytes)
    return content


def write_private(path: str, content: bytes, mode: int) -> None:
    """Replaces `path` in one step."""
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".authority-")
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def spki(holder: ec.EllipticCurvePrivateKey | x509.Certificate) -> bytes:
    """Its public key, to compare: key objects of Debian 12's cryptography are never equal."""
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Authority:
    """The folder of the authority: what is there, and what is made."""

    def __init__(self, folder: str, passphrase: str) -> None:
        self._folder = folder
        self._passphrase = passphrase.encode()
        self.certificate_path = os.path.join(folder, "authority.pem")
        self.key_path = os.path.join(folder, "authority.key")
        self.former_path = os.path.join(folder, "authority-former.pem")

    @property
    def exists(self) -> bool:
        """Whether there is an authority; the certificate is written last."""
        return os.path.exists(self.certificate_path)

    def make(self, organisation: str) -> None:
        """A new authority; one that is there is kept as the former."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        key, certificate = new_authority(organisation)
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(self._passphrase),
        )
        if self.exists:
            write_private(self.former_path, self._read(self.certificate_path), 0o644)
            os.unlink(self.certificate_path)
        write_private(self.key_path, encrypted, 0o600)
        write_private(self.certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def trusted(self) -> str:
        """What hosts trust: the present authority's certificate, then the former's while it is kept."""
        files = [path for path in (self.certificate_path, self.former_path) if os.path.exists(path)]
        return "".join(self._read(path).decode().strip() + "\n" for path in files)

    def open(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Key and certificate. Raises ValueError where the passphrase is wrong or the two are no pair."""
        key = serialization.load_pem_private_key(self._read(self.key_path), self._passphrase)
        certificate = x509.load_pem_x509_certificate(self._read(self.certificate_path))
        if not isinstance(key, ec.EllipticCurvePrivateKey) or spki(key) != spki(certificate):
            raise ValueError(f"{self.key_path} is not the key of {self.certificate_path}")
        return key, certificate

    @staticmethod
    def _read(path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()


def work(module: AnsibleModule) -> dict[str, Any]:
    """What the module returns. Raises ValueError, OSError."""
    chosen = module.params
    authority = Authority(chosen["folder"], chosen["passphrase"])
    changed = not authority.exists or (chosen["replace"] and not os.path.exists(authority.former_path))
    if changed and not module.check_mode:
        authority.make(chosen["organisation"])
    if chosen["forget"] and os.path.exists(authority.former_path):
        changed = True
        if not module.check_mode:
            os.unlink(authority.former_path)
    certificates = {}
    # In check mode there may be no authority yet: nothing is signed, and nobody misses it.
    if chosen["requests"] and authority.exists:
        key, certificate = authority.open()
        certificates = {
            wanted["name"]: sign(key, certificate, wanted, chosen["days"]) for wanted in chosen["requests"]
        }
    return {"changed": changed, "authority": authority.trusted(), "certificates": certificates}


def main() -> None:
    """Entry point of the module."""
    request = {
        "name": {"type": "str", "required": True},
        "request": {"type": "str", "required": True},
        "common_name": {"type": "str", "required": True},
        "dns": {"type": "list", "elements": "str", "default": []},
        "addresses": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "passphrase": {"type": "str", "required": True, "no_log": True},
            "organisation": {"type": "str", "default": "Tellerline"},
            "replace": {"type": "bool", "default": False},
            "forget": {"type": "bool", "default": False},
            "days": {"type": "int", "default": 397},
            "requests": {"type": "list", "elements": "dict", "default": [], "options": request},
        },
        supports_check_mode=True,
    )
    try:
        done = work(module)
    except (ValueError, TypeError, OSError) as error:
        module.fail_json(
            msg=f"internal authority in {module.params['folder']}: {error}; "
            "vault_pki_passphrase has to be the one it was made with"
        )
    module.exit_json(**done)


if __name__ == "__main__":
    main()
