#!/usr/bin/python3
"""Ansible module: keys and certificates of a host's daemons. Keys are made here and never leave."""

from __future__ import annotations

import datetime
import grp
import ipaddress
import os
import pwd
import re
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.x509.oid import NameOID

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

DOCUMENTATION = r"""
---
module: host_certificates
short_description: Keys, certificate requests and certificates of a host's daemons
description:
  - With I(state=requested), looks which of I(wanted) need a certificate, makes a new key for each in a folder
    of its own, beside the one in use, and returns requests.
  - With I(state=installed), puts new keys and certificates in place, each by rename(2), key first; a daemon
    that reads between the two loses one handshake. Units named in I(reload) are reloaded where they run.
options:
  state:
    description: Which half of the work to do.
    choices: [requested, installed]
    required: true
    type: str
  folder:
    description: Where C(NAME.pem) and C(NAME.key) are.
    type: path
    default: /etc/tellerline/pki
  wanted:
    description: Certificates this host is to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the files.
        type: str
        required: true
      common_name:
        description: Name of the subject, which peers check.
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
      owner:
        description: User the key belongs to.
        type: str
        required: true
      group:
        description: Group of the key.
        type: str
        default: root
      mode:
        description: Mode of the key, in octal.
        type: str
        default: "0400"
      reload:
        description: Unit to reload when the certificate is new.
        type: str
        default: ""
  authority:
    description: Certificates that are trusted, PEM; needed for I(state=requested).
    type: str
    default: ""
  strict:
    description: Whether only the first of I(authority) may have signed; else any, or the file's own chain.
    type: bool
    default: true
  days:
    description: A certificate with fewer days left is asked for anew.
    type: int
    default: 60
  renew:
    description: Names asked for anew whatever they have left; C(all) for all of them.
    type: list
    elements: str
    default: []
  certificates:
    description: Name to certificate (with its chain), PEM; for I(state=installed).
    type: dict
    default: {}
author: Tellerline
"""

EXAMPLES = r"""
- name: Ask for what this host needs
  host_certificates:
    state: requested
    wanted: "{{ pki_wanted }}"
    authority: "{{ pki_authority_pem }}"
  register: pki_requested
"""

RETURN = r"""
requests:
  description: What has to be signed, as C(internal_authority) takes it, with why, and whether one is in use.
  returned: with state=requested
  type: list
installed:
  description: Names of the new certificates.
  returned: with state=installed
  type: list
"""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Pair:
    """One certificate with its key: the one in use, and the one on its way."""

    def __init__(self, folder: str, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.certificate_path = os.path.join(folder, f"{wanted['name']}.pem")
        self.key_path = os.path.join(folder, f"{wanted['name']}.key")
        self.next_folder = os.path.join(folder, ".next")
        self.next_key_path = os.path.join(self.next_folder, f"{wanted['name']}.key")

    def fault(self, authority: str, *, strict: bool, days: int) -> str | None:
        """Why the certificate in use will not do; None when it will."""
        try:
            chain = certificates_in(read(self.certificate_path))
            key = load_key(self.key_path)
        except (OSError, ValueError):
            return "there is none"
        if not chain:
            return "there is none"
        certificate = chain[0]
        if public_bytes(certificate.public_key()) != public_bytes(key.public_key()):
            return "it is not the key's"
        if end_of(certificate) - now() < datetime.timedelta(days=days):
            return f"it ends {end_of(certificate):%Y-%m-%d}"
        if not self.bears_names(certificate, strict=strict):
            return "the host's names or addresses are others by now"
        trusted = certificates_in(authority)
        issuers = trusted[:1] if strict else [*trusted, *chain[1:]]
        if not any(signed_by(certificate, issuer) for issuer in issuers):
            return "another authority signed it"
        return None

    def bears_names(self, certificate: Any, *, strict: bool) -> bool:
        """Whether `certificate` has the names wanted; a bank's authority may have added some of its own."""
        (common, names, addresses), (wanted_common, wanted_names, wanted_addresses) = (
            names_of(certificate),
            self.names(),
        )
        if strict:
            return (common, names, addresses) == (wanted_common, wanted_names, wanted_addresses)
        return common == wanted_common and names >= wanted_names and addresses >= wanted_addresses

    def names(self) -> tuple[str, set[str], set[str]]:
        """Common name, names and addresses it is to have."""
        addresses = {str(ipaddress.ip_address(address)) for address in self.wanted["addresses"] or ()}
        return (
            self.wanted["common_name"],
            {self.wanted["common_name"], *(self.wanted["dns"] or ())},
            addresses,
        )

    def request(self) -> str:
        """A request for the next key, which is made where no run that was cut off has left one."""
        os.makedirs(self.next_folder, mode=0o700, exist_ok=True)
        try:
            key = load_key(self.next_key_path)
        except (OSError, ValueError):
            key = ec.generate_private_key(ec.SECP256R1())
            content = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_whole(self.next_key_path, content, 0o400)
        common_name, names, addresses = self.names()
        alternatives = [
            *map(x509.DNSName, sorted(names)),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in sorted(addresses)),
        ]
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(key, hashes.SHA256())
        )
        return request.public_bytes(serialization.Encoding.PEM).decode()

    def takes(self, content: str) -> bool:
        """Whether `content` is a certificate for the next key."""
        chain = certificates_in(content)
        try:
            key = load_key(self.next_key_path)
        except (OSError, ValueError):
            return False
        return bool(chain) and public_bytes(chain[0].public_key()) == public_bytes(key.public_key())

    def install(self, content: str) -> None:
        """Puts the next key and `content` in the place of those in use."""
        set_access(self.next_key_path, self.wanted)
        next_certificate = os.path.join(self.next_folder, f"{self.wanted['name']}.pem")
        write_whole(next_certificate, content.encode(), 0o644)
        os.replace(self.next_key_path, self.key_path)
        os.replace(next_certificate, self.certificate_path)
        # Names that have moved are on disk before anybody relies on them.
        for folder in (self.next_folder, os.path.dirname(self.key_path)):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(descriptor)
            os.close(descriptor)

    def access_differs(self) -> bool:
        """Whether the key in use belongs to somebody else, or lets somebody else read it."""
        try:
            there = os.stat(self.key_path)
        except OSError:
            return False
        return (there.st_uid, there.st_gid, there.st_mode & 0o7777) != access(self.wanted)


def now() -> datetime.datetime:
    """UTC, without a zone, as certificates have it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def read(path: str) -> str:
    """A file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def load_key(path: str) -> Any:
    """The private key at `path`. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        return serialization.load_pem_private_key(file.read(), None)


def certificates_in(text: str) -> list[Any]:
    """The certificates of `text`, in order."""
    return [x509.load_pem_x509_certificate(found.encode()) for found in _PEM.findall(text)]


def public_bytes(key: Any) -> bytes:
    """A public key, comparable."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def end_of(certificate: Any) -> datetime.datetime:
    """When it ends, UTC. The one name is deprecated in later releases, the other unknown to Debian 12's."""
    zoned = getattr(certificate, "not_valid_after_utc", None)
    return zoned.replace(tzinfo=None) if zoned is not None else certificate.not_valid_after


def names_of(certificate: Any) -> tuple[str, set[str], set[str]]:
    """Common name, names and addresses of `certificate`."""
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (common[0].value if common else "", set(), set())
    return (
        common[0].value if common else "",
        set(alternatives.get_values_for_type(x509.DNSName)),
        {str(address) for address in alternatives.get_values_for_type(x509.IPAddress)},
    )


def signed_by(certificate: Any, issuer: Any) -> bool:
    """Whether `issuer` signed `certificate`."""
    if certificate.issuer != issuer.subject:
        return False
    key = issuer.public_key()
    signed = (certificate.signature, certificate.tbs_certificate_bytes)
    algorithm = certificate.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(*signed, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(*signed, padding.PKCS1v15(), algorithm)
        else:
            key.verify(*signed)
    except InvalidSignature:
        return False
    return True


def access(wanted: dict[str, Any]) -> tuple[int, int, int]:
    """User, group and mode of a key."""
    return (
        pwd.getpwnam(wanted["owner"]).pw_uid,
        grp.getgrnam(wanted["group"]).gr_gid,
        int(wanted["mode"], 8),
    )


def set_access(path: str, wanted: dict[str, Any]) -> None:
    """Gives the key at `path` to its daemon."""
    user, group, mode = access(wanted)
    os.chown(path, user, group)
    os.chmod(path, mode)


def write_whole(path: str, content: bytes, mode: int) -> None:
    """Writes a file that nobody looks for yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def reload_unit(unit: str) -> str | None:
    """Reloads `unit` where it runs and can; what systemd said when it would not.

    One that cannot yet has only been installed: its role restarts it with the settings it writes.
    """
    asked = ["systemctl", "show", "--property=ActiveState,CanReload", "--value", unit]
    if subprocess.run(asked, capture_output=True, text=True).stdout.split() != ["active", "yes"]:
        return None
    done = subprocess.run(["systemctl", "reload", unit], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode != 0 else None


def requested(module: AnsibleModule, pairs: list[Pair]) -> dict[str, Any]:
    """What has to be signed."""
    chosen = module.params
    requests, made = [], False
    for pair in pairs:
        name = pair.wanted["name"]
        why = pair.fault(chosen["authority"], strict=chosen["strict"], days=chosen["days"])
        in_use = why != "there is none"
        if why is None and not {name, "all"} & set(chosen["renew"]):
            continue
        made = made or not os.path.exists(pair.next_key_path)
        entry = {key: pair.wanted[key] for key in ("name", "common_name", "dns", "addresses")}
        # In check mode nothing is made, so there is nothing to sign.
        if not module.check_mode:
            requests.append({**entry, "request": pair.request()})
            requests[-1].update(why=why or "it was asked for", in_use=in_use)
    return {"changed": made, "requests": requests}


def installed(module: AnsibleModule, pairs: list[Pair]) -> dict[str, Any]:
    """Puts in place what is there, and says what of it is new."""
    new, changed, complaints = [], False, []
    for pair in pairs:
        content = module.params["certificates"].get(pair.wanted["name"])
        if content and not pair.takes(content) and not os.path.exists(pair.certificate_path):
            # Where one is in use, it is the answer to an older request, and has done its work.
            complaints.append(
                f"the certificate for {pair.wanted['name']} is not for the key that was asked with: "
                "have this run's request signed"
            )
            continue
        if content and pair.takes(content):
            changed = True
            new.append(pair.wanted["name"])
            if not module.check_mode:
                pair.install(content)
                complaint = reload_unit(pair.wanted["reload"]) if pair.wanted["reload"] else None
                if complaint:
                    complaints.append(f"{pair.wanted['reload']} did not reload: {complaint}")
        elif pair.access_differs():
            changed = True
            if not module.check_mode:
                set_access(pair.key_path, pair.wanted)
    if complaints:
        module.fail_json(msg="; ".join(complaints))
    return {"changed": changed, "installed": new}


def main() -> None:
    """Entry point of the module."""
    wanted = {
        "name": {"type": "str", "required": True},
        "common_name": {"type": "str", "required": True},
        "dns": {"type": "list", "elements": "str", "default": []},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "owner": {"type": "str", "required": True},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str", "default": "0400"},
        "reload": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["requested", "installed"]},
            "folder": {"type": "path", "default": "/etc/tellerline/pki"},
            "wanted": {"type": "list", "elements": "dict", "required": True, "options": wanted},
            "authority": {"type": "str", "default": ""},
            "strict": {"type": "bool", "default": True},
            "days": {"type": "int", "default": 60},
            "renew": {"type": "list", "elements": "str", "default": []},
            "certificates": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if not HAS_CRYPTOGRAPHY:
        if module.check_mode:
            # A host nothing was installed on yet: what would be made is made when that has been.
            module.exit_json(changed=True, requests=[], installed=[])
        module.fail_json(msg="python3-cryptography is not installed; role base installs it")
    pairs = [Pair(module.params["folder"], entry) for entry in module.params["wanted"]]
    try:
        module.exit_json(
            **{"requested": requested, "installed": installed}[module.params["state"]](module, pairs)
        )
    except (OSError, ValueError, KeyError) as error:
        module.fail_json(msg=f"certificates of this host: {error}")


if __name__ == "__main__":
    main()
