"""The power fails, on the control node and on the server; and what left the site in all this time."""

from __future__ import annotations

import time

from hosts import Capture, Host, wait_for
from installation import Appliance, Run, kill


def test_a_playbook_killed_in_the_middle_converges_when_run_again(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    # Something to do: a package's configuration and a daemon's are gone.
    teller1.ssh("rm -f /etc/tellerline/*.yml /etc/nftables.conf")
    running = server.start_play("site.yml")
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("TASK [session"):
            break
    kill(running)
    print(f"killed in {line.strip()}; run again it took {server.play('site.yml').seconds:.0f} s")
    assert server.play("site.yml").changed == 0
    assert server.call("bank_call", server.number("teller1"))["passed"]


def test_after_a_reboot_the_phone_answers_unattended(
    server: Appliance, teller1: Host, installed: Run
) -> None:
    began = time.monotonic()
    teller1.reboot()
    wait_for(lambda: server.answers(server.number("teller1")), "the phone to answer", 180)
    print(f"answered {time.monotonic() - began:.0f} s after the reboot was asked for")
    assert server.call("bank_call", server.number("teller1"))["passed"]


def test_no_packet_left_the_site(capture: Capture, installed: Run) -> None:
    """Installing, calling, breaking: all of it between the site's own addresses."""
    capture.stop()
    assert len(capture.packets("udp")) > 1000
    assert capture.strays() == []
