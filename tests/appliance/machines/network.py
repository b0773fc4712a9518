"""The network every site has."""

from __future__ import annotations

import ipaddress

NETWORK = ipaddress.IPv4Network("10.77.0.0/24")
BRIDGE = "site"
CONTROL = NETWORK[1]
