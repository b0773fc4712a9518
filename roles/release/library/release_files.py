#!/usr/bin/python
"""Keeps files of the bundle in a folder of the host; the action plugin of its name brings what is missing."""

from __future__ import annotations

import os
import shutil
import tarfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tellerline_bundle import sha256

DOCUMENTATION = r"""
module: release_files
short_description: Bring files of the bundle to a host
description:
  - Compares the files below a folder with the SHA-256 the bundle's manifest names, copies those that differ,
    and puts each in its place only when it is, on the host, what was signed.
  - Interrupted, it goes on with what is not there yet.
  - Refuses before the first copy where the disk has no room for what is missing.
options:
  bundle:
    description: The bundle's folder on the control node.
    type: path
    required: true
  files:
    description: Path in the bundle to SHA-256, for every file of it.
    type: dict
    required: true
  below:
    description: Folders of the bundle, whose names are left out at the host, and single files of it.
    type: list
    elements: str
    required: true
  dest:
    description: Folder on the host.
    type: path
    required: true
  purge:
    description: Remove what the bundle does not have.
    type: bool
    default: false
  state:
    description: Whether the files are there, or the folder is not.
    type: str
    choices: [present, absent]
    default: present
  times:
    description: How often the size of the files is needed in all, with what is made of them.
    type: int
    default: 1
  wanted:
    description: Set by the action plugin. Path at the host to SHA-256.
    type: dict
  sizes:
    description: Set by the action plugin. Path at the host to its bytes.
    type: dict
  incoming:
    description: Set by the action plugin. Uploaded file or tar archive.
    type: path
  single:
    description: Set by the action plugin. The file that was uploaded as it is.
    type: str
author: Tellerline
"""

EXAMPLES = r"""
- name: Bring the models
  release_files:
    bundle: "{{ tellerline_bundle }}"
    files: "{{ release_verified.files }}"
    below: [models]
    dest: /var/lib/tellerline/models
"""

RETURN = r"""
missing:
  description: Files that were not there, or were something else.
  returned: success
  type: list
  elements: str
"""


_PART = ".incoming"
# What has to be left when all is there: logs and records go on meanwhile.
_LEFT_BYTES = 512 << 20


def missing(dest, wanted):
    """The files below `dest` that are not what they should be."""
    return [name for name, digest in sorted(wanted.items()) if not _good(os.path.join(dest, name), digest)]


def _good(path, digest):
    return os.path.isfile(path) and not os.path.islink(path) and sha256(path) == digest


def room(dest, sizes, times):
    """What is wrong with the disk below `dest` for files of these sizes; nothing where they fit."""
    place = os.path.abspath(dest)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    # One part at a time is there twice: as it was uploaded, and in its place.
    needed = sum(sizes) * times + max(sizes, default=0) + _LEFT_BYTES
    if not sizes or needed <= free:
        return ""
    return (
        f"{dest} needs {needed >> 20} MB, and {free >> 20} MB are free there: make room, then run this again"
    )


def strangers(dest, wanted):
    """Files below `dest` that nobody wants there."""
    found = []
    for folder, _, names in os.walk(dest):
        found += [os.path.relpath(os.path.join(folder, name), dest) for name in names]
    return sorted(set(found) - set(wanted))


def lay_down(dest, wanted, incoming, single=None):
    """Puts what was uploaded in its place; returns the names that are not what was signed."""
    if single:
        return (
            []
            if _placed(dest, single, wanted.get(single), lambda part: shutil.copyfile(incoming, part))
            else [single]
        )
    bad = []
    with tarfile.open(incoming) as archive:
        for member in archive:

            def unpack(part, member=member):
                with archive.extractfile(member) as source, open(part, "wb") as target:
                    shutil.copyfileobj(source, target)

            if not (member.isreg() and _placed(dest, member.name, wanted.get(member.name), unpack)):
                bad.append(member.name)
    return bad


def _placed(dest, name, digest, fill):
    if digest is None:
        return False
    path = os.path.join(dest, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + _PART
    fill(part)
    if sha256(part) != digest:
        os.unlink(part)
        return False
    os.chmod(part, 0o644)
    os.replace(part, path)
    return True


def main():
    module = AnsibleModule(
        argument_spec={
            "bundle": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
            "below": {"type": "list", "elements": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "purge": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "times": {"type": "int", "default": 1},
            "wanted": {"type": "dict"},
            "sizes": {"type": "dict"},
            "incoming": {"type": "path"},
            "single": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    dest, wanted = given["dest"], given["wanted"] or {}
    # Daemons of other users read what lies here, whatever the host's umask.
    os.umask(0o022)
    if given["state"] == "absent":
        there = os.path.lexists(dest)
        if there and not module.check_mode:
            shutil.rmtree(dest)
        module.exit_json(changed=there, missing=[])
    if given["incoming"]:
        bad = lay_down(dest, wanted, given["incoming"], given["single"])
        if bad:
            module.fail_json(
                msg=f"Damaged on the way to this host: {', '.join(bad)}. Run the playbook again."
            )
        module.exit_json(changed=True, missing=[])
    lacking = missing(dest, wanted)
    sizes = given["sizes"] or {}
    fault = room(dest, [int(sizes[name]) for name in lacking if name in sizes], given["times"])
    if fault:
        module.fail_json(msg=fault)
    extra = strangers(dest, wanted) if given["purge"] else []
    if not module.check_mode:
        os.makedirs(dest, exist_ok=True)
        for name in extra:
            os.unlink(os.path.join(dest, name))
    module.exit_json(changed=bool(extra), missing=lacking, removed=extra)


if __name__ == "__main__":
    main()
