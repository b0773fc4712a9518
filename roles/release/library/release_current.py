#!/usr/bin/python
"""Says and changes which release is the current one, by rename(2): there is always one, and only one."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tarfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_current
short_description: Choose the current release of Tellerline
description:
  - Flips /opt/tellerline/current, and keeps what it was as /opt/tellerline/previous.
options:
  root:
    description: Folder of releases/, current and previous.
    type: path
    default: /opt/tellerline
  version:
    description: The release that shall be current; without it, nothing is changed.
    type: str
  settings:
    description:
      - Patterns of files that belong to a release (settings, units). They are kept with the release that is
        left, so that going back to it needs nothing but the host.
    type: list
    elements: str
    default: []
  restore:
    description: Put back the settings that were kept with the release.
    type: bool
    default: false
  prune:
    description: Remove releases that are neither current nor previous, and models that neither of them names.
    type: bool
    default: false
  store:
    description: Folder of the models, C(NAME/VERSION/FILE); without it, models are left alone.
    type: path
  models:
    description: Files below I(store) that I(version) is run with; kept with the release.
    type: list
    elements: str
    default: []
author: Tellerline
"""

EXAMPLES = r"""
- name: Flip
  release_current:
    version: 0.2.0
"""

RETURN = r"""
current:
  description: Version of the current release; empty when there is none.
  returned: success
  type: str
previous:
  description: Version of the one before; empty when there is none.
  returned: success
  type: str
pruned:
  description: Releases and models that were removed.
  returned: success
  type: list
  elements: str
"""

# In the release's folder: its settings when it was left, and the models it is run with.
_SETTINGS = "settings.tar"
_MODELS = "models.list"


def version_of(root, name):
    """The version a link names, if it names one that is there."""
    path = os.path.join(root, name)
    return os.path.basename(os.readlink(path)) if os.path.islink(path) and os.path.isdir(path) else ""


def point(root, name, version):
    """Makes the link name `version`, atomically."""
    scratch = os.path.join(root, f".{name}.new")
    if os.path.lexists(scratch):
        os.unlink(scratch)
    os.symlink(os.path.join("releases", version), scratch)
    os.rename(scratch, os.path.join(root, name))


def flip(root, version):
    """Makes `version` current; what was current becomes the previous one."""
    before = version_of(root, "current")
    # In this order: a run that is killed in between still finds where it came from.
    if before and before != version:
        point(root, "previous", before)
    point(root, "current", version)


def keep(root, version, patterns):
    """Packs the files of a release that is about to be left."""
    target = os.path.join(root, "releases", version, _SETTINGS)
    scratch = target + ".new"
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in _matching(patterns):
                archive.add(path, path.lstrip("/"), recursive=False)
        packed.flush()
        os.fsync(packed.fileno())
    os.rename(scratch, target)


def restore(root, version, patterns, top="/"):
    """Puts back what `keep` packed, and removes what came after it."""
    with tarfile.open(os.path.join(root, "releases", version, _SETTINGS)) as archive:
        members = archive.getmembers()
        had = {os.path.join(top, member.name) for member in members}
        for path in _matching(patterns):
            if path not in had:
                os.unlink(path)
        for member in members:
            target = os.path.join(top, member.name)
            if os.path.lexists(target):
                os.unlink(target)
            archive.extract(member, top)
            # What runs since before it was written is what the next run of the roles restarts.
            os.utime(target, follow_symlinks=False)


def _matching(patterns):
    found = (path for pattern in patterns for path in glob.glob(pattern, recursive=True))
    return sorted({path for path in found if os.path.islink(path) or os.path.isfile(path)})


def superfluous(root, keep):
    """Releases (and their Debian packages) that nothing points to."""
    found = []
    for place in ("releases", "packages"):
        folder = os.path.join(root, place)
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        found += [os.path.join(place, name) for name in names if name not in keep]
    return found


def name_models(root, version, files):
    """Keeps with a release which models it is run with; says whether that is news."""
    path = os.path.join(root, "releases", version, _MODELS)
    text = "".join(f"{name}\n" for name in sorted(_versions(files)))
    if _read(path) == text:
        return False
    with open(path + ".new", "w", encoding="utf-8") as named:
        named.write(text)
    os.rename(path + ".new", path)
    return True


def _versions(files):
    parts = (name.split("/") for name in files)
    return {"/".join(part[:2]) for part in parts if len(part) > 2}


def _read(path):
    try:
        with open(path, encoding="utf-8") as content:
            return content.read()
    except FileNotFoundError:
        return None


def unnamed_models(root, versions, store):
    """`NAME/VERSION` of the models in `store` that none of these releases is run with.

    None at all while one of them has not said which it needs.
    """
    lists = [_read(os.path.join(root, "releases", version, _MODELS)) for version in sorted(versions)]
    if None in lists:
        return []
    named = {name for text in lists for name in text.splitlines()}
    folders = glob.glob(os.path.join(store, "*", "*", ""))
    return sorted({os.path.relpath(folder, store) for folder in folders} - named)


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/tellerline"},
            "version": {"type": "str"},
            "settings": {"type": "list", "elements": "str", "default": []},
            "restore": {"type": "bool", "default": False},
            "prune": {"type": "bool", "default": False},
            "store": {"type": "path"},
            "models": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    root, version = module.params["root"], module.params["version"]
    current = version_of(root, "current")
    changed = version is not None and version != current
    if changed and not module.check_mode:
        if not os.path.isdir(os.path.join(root, "releases", version)):
            module.fail_json(msg=f"No release {version} is installed below {root}/releases.")
        settings = module.params["settings"]
        # Settings first: a run that is killed in between does all of it again.
        if module.params["restore"]:
            restore(root, version, settings)
        elif settings and current:
            keep(root, current, settings)
        flip(root, version)
    kept = {version or current, version_of(root, "current"), version_of(root, "previous")} - {""}
    store = module.params["store"]
    if store and version and not module.check_mode:
        changed = name_models(root, version, module.params["models"]) or changed
    pruned, models = [], []
    if module.params["prune"]:
        pruned = superfluous(root, kept)
        models = unnamed_models(root, kept, store) if store else []
    if not module.check_mode:
        for name in pruned:
            shutil.rmtree(os.path.join(root, name))
        for name in models:
            shutil.rmtree(os.path.join(store, name))
            with contextlib.suppress(OSError):
                # Another version of it is there.
                os.rmdir(os.path.dirname(os.path.join(store, name)))
    pruned += models
    module.exit_json(
        changed=changed or bool(pruned),
        current=version if changed else current,
        previous=version_of(root, "previous"),
        pruned=pruned,
    )


if __name__ == "__main__":
    main()
