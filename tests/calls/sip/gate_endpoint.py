"""A bare pjsua2 endpoint behind the gate: argument SIP port; commands on standard input, one a line.

`ready`, `drain SECONDS`, `beat`, `quit`.
Each is answered with a line.
"""

from __future__ import annotations

import sys

import pjsua2 as pj

from tellerline.connector import sip_module


def say(line: str) -> None:
    # One write: print() makes two, and the SIP thread says things too.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(port: int) -> None:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 1
    config.uaConfig.threadCnt = 1
    endpoint.libInit(config)
    sip_module.register(lambda method, status: say(f"refused {method} {status}"))
    transport = pj.TransportConfig()
    transport.port, transport.boundAddress = port, "127.0.0.1"
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.audDevManager().setNullDev()
    endpoint.libStart()
    say("started")
    for line in sys.stdin:
        match line.split():
            case ["ready"]:
                sip_module.set_ready(True, 5)
            case ["drain", seconds]:
                sip_module.set_ready(False, int(seconds))
            case ["beat"]:
                sip_module.heartbeat()
            case ["quit"]:
                break
        say("done")
    endpoint.libDestroy()


if __name__ == "__main__":
    main(int(sys.argv[1]))
