"""Hosts that are network namespaces on one bridge, so that one of them can die. For root alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from edge_process import Host


def ip(*words: str) -> str:
    """What `ip` says."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def hosts(world: Sequence[str], addresses: Mapping[str, str]) -> Iterator[list[Host]]:
    """The world (the bridge, with these addresses) and a host for each of `addresses`, by name.

    Nothing of it is on this machine's own network.
    """
    mark = f"tl{os.getpid()}"
    made = [Host(f"{mark}-world", world[0])]
    made += [Host(f"{mark}-{name}", address) for name, address in addresses.items()]
    outside = made[0].name
    try:
        for host in made:
            ip("netns", "add", host.name)
            ip("-n", host.name, "link", "set", "lo", "up")
        ip("-n", outside, "link", "add", "br0", "type", "bridge")
        ip("-n", outside, "link", "set", "br0", "up")
        for address in world:
            ip("-n", outside, "address", "add", f"{address}/24", "dev", "br0")
        for number, host in enumerate(made[1:], 1):
            ends = ["veth", "peer", "name", "eth0", "netns", host.name]
            ip("-n", outside, "link", "add", f"to{number}", "type", *ends)
            ip("-n", outside, "link", "set", f"to{number}", "master", "br0", "up")
            ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
            ip("-n", host.name, "link", "set", "eth0", "up")
        yield made
    finally:
        for host in made:
            with contextlib.suppress(subprocess.CalledProcessError):
                _end(host)
                ip("netns", "delete", host.name)


def kill(host: Host) -> None:
    """A host that is gone: nothing arrives there any more, and nothing of it runs."""
    # The network first: a process that dies on a host that lives says so (ICMP, a FIN).
    ip("-n", host.name, "link", "set", "eth0", "down")
    _end(host)


def _end(host: Host) -> None:
    for pid in ip("netns", "pids", host.name).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
