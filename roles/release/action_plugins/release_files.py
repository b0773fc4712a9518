"""Brings files of the bundle to a host: asks it what is missing, and uploads that in parts."""

from __future__ import annotations

import os
import tarfile
import tempfile

from ansible.plugins.action import ActionBase

# Small files travel together; a part that arrived need not travel again when a run was interrupted.
_PART_BYTES = 64 << 20


class ActionModule(ActionBase):
    """The control node's half; library/release_files.py is the host's."""

    TRANSFERS_FILES = True
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Runs the task; see the module's documentation."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        wanted, sources = self._wanted(arguments)
        # The host needs to know what it should have, not all that there is.
        sizes = {name: os.path.getsize(sources[name]) for name in wanted}
        arguments.update(files={}, wanted=wanted, sizes=sizes)
        result.update(self._execute_module("release_files", module_args=arguments, task_vars=task_vars))
        if result.get("failed") or arguments.get("state") == "absent" or not result["missing"]:
            return result
        missing = result["missing"]
        result["changed"] = True
        result["diff"] = {"prepared": "".join(f"+ {arguments['dest']}/{name}\n" for name in missing)}
        if self._task.check_mode:
            return result
        sizes = {name: sizes[name] for name in missing}
        done = 0
        for part in _parts(sizes):
            done += sum(sizes[name] for name in part)
            failure = self._upload(part, sources, arguments, task_vars)
            if failure:
                return failure
            # A model takes minutes: who waits should see that it moves.
            host = task_vars["inventory_hostname"]
            self._display.display(f"{host}: {done >> 20} of {sum(sizes.values()) >> 20} MB")
        return result

    def _wanted(self, arguments):
        wanted, sources = {}, {}
        for name, digest in arguments["files"].items():
            for place in arguments["below"]:
                target = os.path.basename(name) if name == place else None
                if name.startswith(place + "/"):
                    target = name[len(place) + 1 :]
                if target:
                    wanted[target], sources[target] = digest, os.path.join(arguments["bundle"], name)
        return wanted, sources

    def _upload(self, part, sources, arguments, task_vars):
        folder = self._make_tmp_path()
        remote = self._connection._shell.join_path(folder, "part")
        single = part[0] if len(part) == 1 else None
        try:
            if single:
                self._transfer_file(sources[single], remote)
            else:
                with tempfile.NamedTemporaryFile(prefix="tellerline-") as packed:
                    with tarfile.open(fileobj=packed, mode="w") as archive:
                        for name in part:
                            archive.add(sources[name], name)
                    packed.flush()
                    self._transfer_file(packed.name, remote)
            self._fixup_perms2((folder, remote))
            arguments = {**arguments, "incoming": remote, "single": single}
            answer = self._execute_module("release_files", module_args=arguments, task_vars=task_vars)
        finally:
            self._remove_tmp_path(folder)
        return answer if answer.get("failed") else None


def _parts(sizes):
    """Names in groups of about _PART_BYTES; a large file is alone."""
    group, size = [], 0
    for name in sorted(sizes, key=sizes.get):
        if group and size + sizes[name] > _PART_BYTES:
            yield group
            group, size = [], 0
        group.append(name)
        size += sizes[name]
    if group:
        yield group
