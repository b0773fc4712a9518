#!/usr/bin/env python3
"""Booted Debian 12 hosts on a bridge of their own with no route out, for the tests and for developers.

What the tests use of the package `machines` stands here under one name; as a program it is the developers'
command line (docs/hosts.md).

Needs root, and Debian's debootstrap, systemd-container and openssh-client (`scripts/machine hosts`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from machines.capture import Capture
from machines.host import Host
from machines.network import CONTROL, NETWORK
from machines.outside import HOME, ROOT, HostsError, wait_for, why_not
from machines.sites import Site

__all__ = [
    "CONTROL",
    "HOME",
    "NETWORK",
    "ROOT",
    "Capture",
    "Host",
    "HostsError",
    "Site",
    "wait_for",
    "why_not",
]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "makes hosts, or boots those that are there"),
        ("run", "runs a command on the control side; $SITE_HOSTS is an inventory file of the hosts"),
        ("ssh", "runs a command on a host, or gives a shell there"),
        ("down", "removes the site, or only the hosts named"),
        ("list", "says which sites there are"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        if name != "list":
            command.add_argument("site")
        if name == "ssh":
            command.add_argument("host")
        if name != "list":
            command.add_argument("words", nargs=argparse.REMAINDER, metavar="...")
    given = parser.parse_args(arguments)
    try:
        return _command(given)
    except HostsError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1


def _command(given: argparse.Namespace) -> int:
    if given.command == "list":
        for folder in sorted((HOME / "sites").glob("*")):
            site = Site(folder.name)
            print(site.name, "up" if site.up() else "down", *(f"{h.name}={h.address}" for h in site.hosts()))
        return 0
    site = Site(given.site)
    if given.command == "up":
        site.open()
        for host in site.add(*(given.words or [host.name for host in site.hosts()])):
            print(f"{host.name} {host.address}")
    elif given.command == "run":
        environment = {**os.environ, "SITE_HOSTS": str(site.inventory)}
        return subprocess.run(site.command(*given.words), env=environment).returncode
    elif given.command == "ssh":
        return subprocess.run(
            site.command("ssh", "-F", str(site.ssh_config), given.host, *given.words)
        ).returncode
    elif given.words:
        site.drop(*given.words)
    else:
        site.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
