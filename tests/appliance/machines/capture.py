"""Every packet on a site's bridge."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from machines.network import BRIDGE, NETWORK
from machines.outside import wait_for

if TYPE_CHECKING:
    from machines.sites import Site


class Capture:
    """Every packet on a site's bridge, by tcpdump."""

    def __init__(self, site: Site, file: Path) -> None:
        self._site, self._file = site, file
        log = file.with_suffix(".log")
        with log.open("w") as output:
            # 256 bytes a packet: headers, and enough to see a plain name or digit by.
            self._tcpdump = subprocess.Popen(
                site.command("tcpdump", "-i", BRIDGE, "-n", "-U", "-s", "256", "-w", str(file)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_for(lambda: "listening on" in log.read_text(), "tcpdump to listen", 30)

    def stop(self) -> None:
        self._tcpdump.send_signal(signal.SIGINT)
        self._tcpdump.wait()

    def packets(self, expression: str = "") -> list[str]:
        """What tcpdump prints of those that the expression (pcap-filter(7)) matches."""
        done = self._site.run("tcpdump", "-nn", "-r", str(self._file), *([expression] if expression else []))
        return done.stdout.splitlines()

    def strays(self) -> list[str]:
        """Packets that were not between the site's own addresses, nor for the link only (VRRP, IGMP)."""
        inside = f"(src net {NETWORK} and (dst net {NETWORK} or dst net 224.0.0.0/24))"
        return self.packets(f"not arp and not {inside}")
