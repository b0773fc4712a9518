"""usage: unshare --net cut_off.py FLOWS COMMAND...: runs COMMAND cut off from all, records every packet.

The only way out of this fresh network namespace is a default route into a cable whose far end nobody
reads: an attempt to reach anyone is a packet to be seen instead of an error that a library hides.
FLOWS gets the distinct flows as JSON. The last one is always an attempt of our own, a datagram to
198.51.100.7 (RFC 5737): a record without it proves nothing.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

CONTROL = ("198.51.100.7", 9)
_CABLE = """
ip link set lo up
ip link add outside type veth peer name nowhere
ip link set nowhere up
ip link set outside arp off up
ip address add 192.0.2.2/24 dev outside
ip route add default dev outside
"""
# linux/if_ether.h, if_packet.h, in.h
_ETH_P_ALL, _ETH_P_IP = 0x0003, 0x0800
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_TCP, _UDP = 6, 17


@dataclass(frozen=True, order=True)
class Flow:
    """Packets between two ends; ports are 0 and addresses empty for what is not TCP or UDP over IPv4."""

    protocol: str
    source: str = ""
    source_port: int = 0
    target: str = ""
    target_port: int = 0


class Recorder:
    """Every packet of this namespace, on every interface, through one packet(7) socket."""

    def __init__(self) -> None:
        self.flows: set[Flow] = set()
        self.saw_control = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024 * 1024)
        threading.Thread(target=self._read, daemon=True).start()

    def lost(self) -> int:
        """Packets the kernel could not hand over."""
        counts = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("II", counts)[1])

    def _read(self) -> None:
        while True:
            packet, address = self._socket.recvfrom(64)
            flow = _flow(packet, address[1])
            self.flows.add(flow)
            if (flow.target, flow.target_port) == CONTROL:
                self.saw_control.set()


def _flow(packet: bytes, ethernet_type: int) -> Flow:
    if ethernet_type != _ETH_P_IP:
        return Flow(f"ethernet 0x{ethernet_type:04x}")
    protocol, header = packet[9], 4 * (packet[0] & 15)
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    if protocol not in (_TCP, _UDP):
        return Flow(f"ip {protocol}", source, 0, target, 0)
    source_port, target_port = struct.unpack_from("!HH", packet, header)
    return Flow("tcp" if protocol == _TCP else "udp", source, source_port, target, target_port)


def main(flows: Path, command: list[str]) -> int:
    """Runs `command`; its exit status, or 99 when the record cannot be trusted."""
    # Neighbour and router discovery would be the kernel's packets, not the command's.
    for knob in Path("/proc/sys/net/ipv6/conf").glob("*/disable_ipv6"):
        knob.write_text("1")
    for line in _CABLE.strip().splitlines():
        subprocess.run(line.split(), check=True)
    recorder = Recorder()
    status = subprocess.run(command).returncode
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.sendto(b"control", CONTROL)
    if not recorder.saw_control.wait(10) or recorder.lost():
        return 99
    flows.write_text(json.dumps([asdict(flow) for flow in sorted(recorder.flows)], indent=1))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
