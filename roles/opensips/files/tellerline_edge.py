#!/usr/bin/python3
"""tellerline-edge: what operators, Ansible and keepalived ask of the edge on this host.

Speaks JSON-RPC to OpenSIPS over its unix socket, SIP to its UDP socket, and its own protocol to rtpengine.
Nothing but Python's own library: the edge has no virtual environment.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/opensips/edge.json")
START_SECONDS = 10.0
DATAGRAM_BYTES = 65536


# Beside the management socket: where those who ask await their answers.
REPLIES = "replies"


class EdgeError(Exception):
    """What went wrong, in words for an operator."""


# ---- OpenSIPS' management interface


def ask(path: str, method: str, params: Sequence[Any] = (), seconds: float = 5.0) -> Any:
    """What OpenSIPS answers to `method`. Raises EdgeError when it refuses or is not there."""
    # OpenSIPS' /tmp is its own: what it answers to is beside what it is asked at.
    replies = Path(path).parent / REPLIES
    with (
        tempfile.TemporaryDirectory(
            prefix="tellerline-edge-", dir=replies if replies.is_dir() else None
        ) as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
    ):
        mine = f"{folder}/reply"
        channel.bind(mine)
        # OpenSIPS runs as another user, and answers to this name.
        os.chmod(folder, 0o711)
        os.chmod(mine, 0o666)
        channel.settimeout(seconds)
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            channel.sendto(json.dumps(request).encode(), path)
            reply = json.loads(channel.recv(DATAGRAM_BYTES))
        except OSError as error:
            raise EdgeError(f"OpenSIPS does not answer at {path}: {error}") from None
    if "error" in reply:
        raise EdgeError(f"{method}: {reply['error'].get('message', reply['error'])}")
    return reply.get("result")


def lanes(path: str) -> list[dict[str, Any]]:
    """Every lane: name, address, id, up (probed), drained (by hand), calls, capacity."""
    found = []
    for lane in ask(path, "lb_list").get("Destinations", []):
        [resource] = lane["Resources"]
        found.append(
            {
                "lane": lane.get("attrs", ""),
                "address": lane["uri"].removeprefix("sip:"),
                "id": lane["id"],
                "up": lane["enabled"] == "yes",
                "drained": lane["auto-reenable"] == "off",
                "calls": resource["load"],
                "capacity": resource["max"],
            }
        )
    return found


def chosen(path: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """The lanes of these names: `host/0-1`, `host` for all of a host, or an address. EdgeError for none."""
    known = lanes(path)
    picked = []
    for name in names:
        hits = [
            lane
            for lane in known
            if name
            in (lane["lane"], lane["lane"].split("/")[0], lane["address"], lane["address"].split(":")[0])
        ]
        if not hits:
            raise EdgeError(
                f"{name}: no lane of this edge; there are {', '.join(lane['lane'] for lane in known)}"
            )
        picked += hits
    return picked


def set_drained(path: str, names: Sequence[str], drained: bool) -> None:
    """Takes lanes out (no new calls; the running ones go on), or back."""
    for lane in chosen(path, names):
        ask(path, "lb_status", [lane["id"], 0 if drained else 1])
        print(f"{lane['lane']}: {'drained' if drained else 'takes calls'}, {lane['calls']} calls")


def show(path: str, as_json: bool) -> None:
    """Prints the lanes, and how many calls there are."""
    found = lanes(path)
    calls = ask(path, "get_statistics", [["active_dialogs", "early_dialogs"]])
    if as_json:
        print(json.dumps({"lanes": found, "calls": int(calls["dialog:active_dialogs"])}))
        return
    print(f"{calls['dialog:active_dialogs']} calls, {calls['dialog:early_dialogs']} being set up")
    for lane in found:
        state = "drained" if lane["drained"] else "up" if lane["up"] else "SILENT"
        print(f"{lane['lane']:<24} {lane['address']:<22} {state:<8} {lane['calls']}/{lane['capacity']}")


# ---- alive?


def options(address: str, port: int, seconds: float = 1.0) -> int:
    """The status an OPTIONS to this UDP socket of OpenSIPS gets, asked from a lane's place; 0 for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind((address, 0))
        channel.settimeout(seconds)
        here = "{}:{}".format(*channel.getsockname())
        branch, tag = secrets.token_hex(8), secrets.token_hex(4)
        lines = [
            f"OPTIONS sip:edge@{address}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP {here};branch=z9hG4bK{branch};rport",
            "Max-Forwards: 1",
            f"From: <sip:keepalived@{here}>;tag={tag}",
            f"To: <sip:edge@{address}:{port}>",
            f"Call-ID: {branch}@{here}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
            "",
            "",
        ]
        try:
            channel.sendto("\r\n".join(lines).encode(), (address, port))
            start = channel.recv(DATAGRAM_BYTES).split(b"\r\n", 1)[0].split()
        except OSError:
            return 0
    return int(start[1]) if len(start) > 1 and start[1].isdigit() else 0


def rtpengine_says(address: str, command: bytes, seconds: float = 1.0) -> dict[str, Any]:
    """What rtpengine's control socket (`udp:host:port`) answers to a command in bencoding; {} for nothing."""
    _, host, port = address.split(":")
    cookie = secrets.token_hex(4).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(seconds)
        try:
            channel.sendto(cookie + b" " + command, (host, int(port)))
            answer, _ = bdecoded(channel.recv(DATAGRAM_BYTES).partition(b" ")[2])
        except (OSError, ValueError):
            return {}
    return answer if isinstance(answer, dict) else {}


def bdecoded(data: bytes, at: int = 0) -> tuple[Any, int]:
    """A value of bencoding (BEP 3) and where it ends. Raises ValueError for what is none."""
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        found: list[Any] = []
        at += 1
        while data[at : at + 1] != b"e":
            value, at = bdecoded(data, at)
            found.append(value)
        return (found if kind == b"l" else dict(zip(found[::2], found[1::2], strict=True))), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1 : end].decode("utf-8", "replace"), end


def rtpengine_answers(address: str, seconds: float = 1.0) -> bool:
    """True when rtpengine answers a ping."""
    return rtpengine_says(address, b"d7:command4:pinge", seconds).get("result") == "pong"


# ---- sound


def sound(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each call: how long it lasts, and what came from its trunk and from its lane.

    Raises EdgeError when OpenSIPS or rtpengine do not answer.
    """
    inside = {lane["address"].split(":")[0] for lane in lanes(settings["socket"])}
    # So many names of calls go into a datagram.
    listed = rtpengine_says(settings["rtpengine"], b"d7:command4:list5:limiti500ee", 5.0)
    if "calls" not in listed:
        raise EdgeError("rtpengine does not answer")
    found = []
    for call in listed["calls"]:
        name = call.encode()
        asked = b"d7:call-id%d:%s7:command5:querye" % (len(name), name)
        about = rtpengine_says(settings["rtpengine"], asked, 5.0)
        if about.get("result") != "ok":
            # It has ended since.
            continue
        row: dict[str, Any] = {"call": call, "seconds": int(time.time()) - about["created"]}
        for party in about["tags"].values():
            for stream in (media["streams"][0] for media in party["medias"] if media["streams"]):
                end = stream["endpoint"]
                row["lane" if end["address"] in inside else "trunk"] = {
                    "from": f"{end['address']}:{end['port']}",
                    "packets": stream["stats"]["packets"],
                    "errors": stream["stats"]["errors"],
                    "silent": int(time.time()) - stream["last packet"],
                }
        found.append(row)
    return found


def show_sound(settings: dict[str, Any], as_json: bool) -> None:
    """Prints it."""
    found = sound(settings)
    if as_json:
        print(json.dumps(found))
        return
    print(f"{'CALL':<36} {'SECONDS':>7}  SIDE   {'PACKETS':>8} {'ERRORS':>6} {'SILENT':>6}  FROM")
    for row in found:
        for side in ("trunk", "lane"):
            one = row.get(side, {"from": "nothing yet", "packets": 0, "errors": 0, "silent": row["seconds"]})
            print(
                f"{row['call'][:36]:<36} {row['seconds']:>7}  {side:<6} {one['packets']:>8}"
                f" {one['errors']:>6} {one['silent']:>4} s  {one['from']}"
            )


def alive(settings: dict[str, Any]) -> None:
    """Raises EdgeError unless this edge can take a call: keepalived asks every second."""
    if Path(settings["leave"]).exists():
        raise EdgeError(f"{settings['leave']} says that this edge takes no new calls")
    # The inside address is a lane's or nobody's; a request from there is answered either way.
    if not options(settings["inside_address"], settings["port"]):
        raise EdgeError("OpenSIPS does not answer OPTIONS")
    if not rtpengine_answers(settings["rtpengine"]):
        raise EdgeError("rtpengine does not answer")


# ---- tables: OpenSIPS reads them when it starts, and when it is asked to

# Folder → what takes its tables up. Lanes that are drained stay drained, and calls stay counted: both go by
# the lane's id.
TABLES = {"tables": ("lb_reload", "address_reload"), "tls": ("tls_reload",)}


def digest(folder: Path) -> str:
    """Of everything that is written in a folder of tables."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("[!.]*")):
        content = path.read_bytes()
        found.update(f"{path.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _mark(settings: dict[str, Any], name: str) -> Path:
    # Not in OpenSIPS' own folder: root writes no file where another user could have left a link.
    return Path(settings["leave"]).parent / f"{name}.read"


def _mark_read(settings: dict[str, Any], name: str, read: str) -> None:
    mark = _mark(settings, name)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(read)


def unread(settings: dict[str, Any]) -> list[str]:
    """Folders whose tables are not what a running OpenSIPS has read.

    Who writes a table and has it read may be killed in between: the next one asks here.
    """
    if not Path(settings["socket"]).exists():
        return []
    found = []
    for name in TABLES:
        if name == "tls" and not settings["tls"]:
            # What is left of a site that had TLS once: no module is loaded that could read it.
            continue
        folder, mark = Path(settings["folder"]) / name, _mark(settings, name)
        if folder.is_dir() and (not mark.exists() or mark.read_text() != digest(folder)):
            found.append(name)
    return found


def read_tables(settings: dict[str, Any]) -> list[str]:
    """Has a running OpenSIPS read what it has not read yet; returns the folders."""
    names = unread(settings)
    for name in names:
        folder = Path(settings["folder"]) / name
        # Before OpenSIPS reads: what is written meanwhile is read the next time.
        read = digest(folder)
        ask(settings["socket"], "dbt_reload", [str(folder)])
        for method in TABLES[name]:
            ask(settings["socket"], method)
        _mark_read(settings, name, read)
    return names


# ---- certificates


def escaped(text: str) -> str:
    """A field of a table of db_text."""
    for plain, written in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), (":", "\\:")):
        text = text.replace(plain, written)
    return text


COLUMNS = (
    "id(int,auto) domain(string) match_ip_address(string,null) match_sip_domain(string,null) type(int)"
    " method(string,null) verify_cert(int,null) require_cert(int,null) certificate(blob,null)"
    " private_key(blob,null) crl_check_all(int,null) crl_dir(string,null) ca_list(blob,null)"
    " ca_dir(string,null) cipher_list(string,null) dh_params(blob,null) ec_curve(string,null)"
)
# Forward secrecy and authenticated encryption; TLS 1.3 has no others.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"


def certificate_table(certificate: str, key: str, authority: str) -> str:
    """The table of tls_mgm: what this edge shows, and whom it believes, as server (2) and as client (1)."""
    rows = []
    for number, (name, kind) in enumerate((("trunk_in", 2), ("trunk_out", 1)), 1):
        fields = [
            str(number),
            name,
            "*",
            "*",
            str(kind),
            "TLSv1_2-TLSv1_3",
            "1",
            "1",
            certificate,
            key,
            "",
            "",
            authority,
            "",
            CIPHERS,
            "",
            "",
        ]
        rows.append(":".join(escaped(field) for field in fields))
    return "\n".join([COLUMNS, *rows, ""])


def write_certificates(settings: dict[str, Any]) -> bool:
    """Writes the table from the PEM files; True when it differs from what was there."""
    table = certificate_table(
        *(Path(settings[name]).read_text() for name in ("certificate", "key", "authority"))
    )
    folder = Path(settings["folder"]) / "tls"
    path = folder / "tls_mgm"
    if path.exists() and path.read_text() == table:
        return False
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    partial = folder / ".tls_mgm"
    partial.unlink(missing_ok=True)
    # It holds the key: nobody may open it before it is its user's alone.
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(table)
    shutil.chown(partial, settings["user"], settings["user"])
    partial.chmod(0o400)
    partial.replace(path)
    return True


def renew_certificates(settings: dict[str, Any]) -> None:
    """Writes the table and has a running OpenSIPS read it: connections that stand keep what they have.

    Without a trunk over TLS there is nobody to show a certificate to, and no module that reads the table.
    """
    if not settings["tls"]:
        print("unchanged")
        return
    written = write_certificates(settings)
    print("changed" if "tls" in read_tables(settings) or written else "unchanged")


# ---- does it start?

_REHEARSAL = "TELLERLINE_EDGE_REHEARSAL"
# Tables of db_text as OpenSIPS 3.6 has them (scripts/dbtext of its sources).
VERSIONS = "table_name(string) table_version(int)\ndialog:12"
DIALOG_COLUMNS = (
    "dlg_id(long) callid(string) from_uri(string) from_tag(string) to_uri(string) to_tag(string)"
    " mangled_from_uri(string,null) mangled_to_uri(string,null) caller_cseq(string) callee_cseq(string)"
    " caller_ping_cseq(int) callee_ping_cseq(int) caller_route_set(string,null) callee_route_set(string,null)"
    " caller_contact(string,null) callee_contact(string,null) caller_sock(string) callee_sock(string)"
    " state(int) start_time(int) timeout(int) vars(blob,null) profiles(string,null)"
    " script_flags(string,null) module_flags(int) flags(int) rt_on_answer(string,null)"
    " rt_on_timeout(string,null) rt_on_hangup(string,null)"
)


def check(config: str, settings: dict[str, Any], seconds: float = START_SECONDS) -> None:
    """Starts OpenSIPS on `config` where nobody can reach it, and asks it something.

    `opensips -C` stops before modules are initialised: a missing certificate, a malformed table, a value only
    the module can judge or a port twice would all be found out on the trunk. Raises EdgeError with OpenSIPS'
    own words.
    """
    if os.environ.get(_REHEARSAL) is None:
        # A network and mounts of its own; what it starts dies with it.
        os.environ[_REHEARSAL] = "1"
        namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.execvp("unshare", ["unshare", *namespaces, sys.executable, *sys.argv])
    _furnish(settings)
    # What it says is wanted here, not in the log.
    rehearsed = Path(settings["socket"]).parent / "rehearsed.cfg"
    text = Path(config).read_text()
    rehearsed.write_text(text.replace("stderror_enabled = no", "stderror_enabled = yes"))
    with tempfile.TemporaryFile("w+") as said:
        command = ["opensips", "-F", "-f", str(rehearsed), "-m", "64", "-M", "16"]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            _wait_started(process, settings["socket"], seconds)
        except EdgeError as error:
            said.seek(0)
            lines = [line for line in said if "ERROR" in line or "CRITICAL" in line]
            raise EdgeError(f"{error}\n{''.join(lines[:20])}") from None
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)


def _furnish(settings: dict[str, Any]) -> None:
    """Puts into these namespaces what a start needs: addresses, and folders of their own."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_nonlocal_bind").write_text("1")
    for folder in (Path(settings["socket"]).parent, Path(settings["state"])):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(folder)], check=True)
    write_state(settings)


def write_state(settings: dict[str, Any]) -> None:
    """Makes the tables OpenSIPS keeps its calls in over a restart, where there are none."""
    folder = Path(settings["state"]) / "dialogs"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, lines in (("version", VERSIONS), ("dialog", DIALOG_COLUMNS)):
        path = folder / name
        if not path.exists():
            path.write_text(lines + "\n")
            path.chmod(0o600)
    with contextlib.suppress(LookupError):
        for path in (folder.parent, folder, *folder.iterdir()):
            shutil.chown(path, settings["user"], settings["user"])


def prepare(settings: dict[str, Any]) -> None:
    """What has to be there before OpenSIPS starts."""
    replies = Path(settings["socket"]).parent / REPLIES
    replies.mkdir(exist_ok=True)
    # As /tmp: whoever may ask makes a folder of their own in it.
    replies.chmod(0o1777)
    write_state(settings)
    if settings["tls"]:
        write_certificates(settings)
    for name in TABLES:
        _mark_read(settings, name, digest(Path(settings["folder"]) / name))


def _wait_started(process: subprocess.Popen[bytes], path: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EdgeError("OpenSIPS does not start with this configuration")
        if Path(path).exists():
            with contextlib.suppress(EdgeError):
                ask(path, "uptime", seconds=1.0)
                # TCP and TLS are listened to a moment later, and a port that is taken is its end.
                time.sleep(0.5)
                if process.poll() is None:
                    return
        time.sleep(0.1)
    raise EdgeError(f"OpenSIPS started, but did not answer within {seconds:.0f} s")


# ---- taking this edge out


def leave(settings: dict[str, Any], gone: bool) -> None:
    """Has keepalived give the shared address to the other edge, or lets it come back."""
    marker = Path(settings["leave"])
    if gone:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    else:
        marker.unlink(missing_ok=True)


def wait_empty(path: str, seconds: float) -> None:
    """Waits until no call is left here. Raises EdgeError when some are after `seconds`."""
    deadline = time.monotonic() + seconds
    for _ in itertools.count():
        calls = int(ask(path, "get_statistics", [["active_dialogs"]])["dialog:active_dialogs"])
        if not calls:
            return
        if time.monotonic() > deadline:
            raise EdgeError(f"{calls} calls are left after {seconds:.0f} s")
        time.sleep(1.0 + random.random())


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tellerline-edge", description="The edge on this host.")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="lanes, their calls, and which are out")
    status.add_argument("--json", action="store_true")
    for name, what in (("drain", "give lanes no new calls"), ("undrain", "give them calls again")):
        lane = commands.add_parser(name, help=what)
        lane.add_argument("lanes", nargs="+", metavar="LANE", help="gpu1/0-1, or gpu1 for all of a host")
    heard = commands.add_parser(
        "sound", help="the sound of each call: what comes from its trunk and its lane"
    )
    heard.add_argument("--json", action="store_true")
    commands.add_parser("alive", help="exit with 0 if this edge can take a call")
    commands.add_parser("leave", help="hand the shared address to the other edge; calls here go on")
    commands.add_parser("join", help="be ready for the shared address again")
    wait = commands.add_parser("wait-empty", help="wait until no call is left")
    wait.add_argument("seconds", type=float)
    commands.add_parser("certificates", help="have OpenSIPS use the certificate that is on disk")
    tables = commands.add_parser("tables", help="have OpenSIPS read the tables it has not read yet")
    tables.add_argument("--look", action="store_true", help="only say which")
    commands.add_parser("prepare", help="make the files OpenSIPS needs to start (its unit does so)")
    checking = commands.add_parser(
        "check", help="start OpenSIPS on a configuration where nobody can reach it"
    )
    checking.add_argument("config")
    raw = commands.add_parser("ask", help="any command of OpenSIPS' management interface")
    raw.add_argument("method")
    raw.add_argument("params", nargs="*")
    return parser


def run(given: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Does what was asked for."""
    match given.command:
        case "status":
            show(settings["socket"], given.json)
        case "drain" | "undrain":
            set_drained(settings["socket"], given.lanes, given.command == "drain")
        case "sound":
            show_sound(settings, given.json)
        case "alive":
            alive(settings)
        case "leave" | "join":
            leave(settings, given.command == "leave")
        case "wait-empty":
            wait_empty(settings["socket"], given.seconds)
        case "certificates":
            renew_certificates(settings)
        case "tables":
            print(*(unread if given.look else read_tables)(settings), sep="\n")
        case "prepare":
            prepare(settings)
        case "check":
            check(given.config, settings)
        case "ask":
            print(json.dumps(ask(settings["socket"], given.method, given.params), indent=2))


def main() -> int:
    """Entry point."""
    given = arguments().parse_args()
    try:
        run(given, json.loads(given.settings.read_text()))
    except (EdgeError, OSError) as error:
        print(f"tellerline-edge: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
