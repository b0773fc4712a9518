"""The modules behind role pki: an authority that names hosts by the inventory, keys that stay on theirs."""

from __future__ import annotations

import datetime
import getpass
import grp
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509

Plugin = Callable[[str], ModuleType]


@pytest.fixture
def authorities(plugin: Plugin) -> ModuleType:
    return plugin("modules/internal_authority")


@pytest.fixture
def hosts(plugin: Plugin) -> ModuleType:
    return plugin("modules/host_certificates")


@pytest.fixture
def authority(authorities: ModuleType, tmp_path: Path) -> Any:
    made = authorities.Authority(str(tmp_path / "pki"), "correct horse battery")
    made.make("Example Bank")
    return made


@pytest.fixture
def pair(hosts: ModuleType, tmp_path: Path) -> Callable[..., Any]:
    def make(name: str = "session", host: str = "data1", **changed: object) -> Any:
        folder = tmp_path / host
        folder.mkdir(exist_ok=True)
        wanted = {
            "name": name,
            "common_name": f"{name}.{host}",
            "dns": [host],
            "addresses": ["192.0.2.31"],
            "owner": getpass.getuser(),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "mode": "0400",
            "reload": "",
            **changed,
        }
        return hosts.Pair(str(folder), wanted)

    return make


def signed(authorities: ModuleType, authority: Any, pair: Any, days: int = 397) -> str:
    key, certificate = authority.open()
    content = authorities.sign(key, certificate, {**pair.wanted, "request": pair.request()}, days)
    assert isinstance(content, str)
    return content


def fault(pair: Any, authority: Any, *, strict: bool = True, days: int = 60) -> str | None:
    found = pair.fault(authority.trusted(), strict=strict, days=days)
    assert found is None or isinstance(found, str)
    return found


def test_a_host_without_a_certificate_asks_and_gets_one(
    authorities: ModuleType, authority: Any, pair: Callable[..., Any]
) -> None:
    session = pair()
    assert fault(session, authority) == "there is none"
    session.install(signed(authorities, authority, session))
    assert fault(session, authority) is None
    assert Path(session.key_path).stat().st_mode & 0o7777 == 0o400
    assert not session.access_differs()
    certificate = x509.load_pem_x509_certificate(Path(session.certificate_path).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["session.data1", "data1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.31"]


def test_two_daemons_of_it_shake_hands(
    authorities: ModuleType, authority: Any, pair: Callable[..., Any], tmp_path: Path
) -> None:
    session, pipeline = pair(), pair("pipeline", "gpu1", addresses=["192.0.2.21"])
    contexts = []
    for side, which in ((ssl.PROTOCOL_TLS_SERVER, session), (ssl.PROTOCOL_TLS_CLIENT, pipeline)):
        which.install(signed(authorities, authority, which))
        context = ssl.SSLContext(side)
        context.load_cert_chain(which.certificate_path, which.key_path)
        context.load_verify_locations(authority.certificate_path)
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    assert shake_hands(contexts[0], contexts[1], "session.data1")
    assert not shake_hands(contexts[0], contexts[1], "session.data2")


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
            waiting.remove(end)
    return not waiting


def test_names_come_from_the_inventory_not_from_the_host(
    authorities: ModuleType, authority: Any, pair: Callable[..., Any]
) -> None:
    greedy = pair("banking", "data1", dns=["data1", "session.data1"])
    key, certificate = authority.open()
    wanted = {**pair("banking").wanted, "request": greedy.request()}
    content = authorities.sign(key, certificate, wanted, 397)
    assert b"session.data1" not in x509.load_pem_x509_certificate(content.encode()).public_bytes(
        authorities.serialization.Encoding.DER
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"addresses": ["192.0.2.99"]}, "the host's names or addresses are others by now"),
        ({"dns": ["data1", "data1.bank.example"]}, "the host's names or addresses are others by now"),
    ],
)
def test_a_host_with_another_address_asks_again(
    authorities: ModuleType, authority: Any, pair: Callable[..., Any], changed: dict[str, Any], why: str
) -> None:
    session = pair()
    session.install(signed(authorities, authority, session))
    assert fault(pair(**changed), authority) == why


def test_a_certificate_near_its_end_is_asked_for_anew(
    authorities: ModuleType, authority: Any, pair: Callable[..., Any]
) -> None:
    session = pair()
    session.install(signed(authorities, authority, session, days=59))
    end = authorities.now() + datetime.timedelta(days=59)
    assert fault(session, authority) == f"it ends {end:%Y-%m-%d}"
    assert fault(session, authority, days=30) is None


def test_the_pair_in_use_stays_until_the_next_is_whole(
    authorities: ModuleType, authority: Any, pair: Callable[..., Any]
) -> None:
    session = pair()
    session.install(signed(authorities, authority, session))
    before = Path(session.key_path).read_bytes()
    first = session.request()
    # A run that was cut off here left its key: the next run asks with it again.
    assert (
        authorities.x509.load_pem_x509_csr(first.encode()).public_key()
        == authorities.x509.load_pem_x509_csr(session.request().encode()).public_key()
    )
    assert Path(session.key_path).read_bytes() == before and fault(session, authority) is None
    another = pair("pipeline", "gpu1")
    assert not session.takes(signed(authorities, authority, another))
    assert not session.takes("")
    content = signed(authorities, authority, session)
    assert session.takes(content)
    session.install(content)
    assert Path(session.key_path).read_bytes() != before and fault(session, authority) is None


def test_a_key_that_others_may_read_is_taken_back(
    hosts: ModuleType, authorities: ModuleType, authority: Any, pair: Callable[..., Any]
) -> None:
    session = pair()
    session.install(signed(authorities, authority, session))
    os.chmod(session.key_path, 0o644)
    assert session.access_differs()
    hosts.set_access(session.key_path, session.wanted)
    assert not session.access_differs()


class Run:
    """Stands for AnsibleModule."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        self.check_mode = check_mode
        defaults = {
            "organisation": "Example Bank",
            "replace": False,
            "forget": False,
            "days": 397,
            "requests": [],
        }
        self.params = {**defaults, **params}

    def fail_json(self, msg: str) -> None:
        raise AssertionError(msg)


def test_a_new_authority_is_trusted_beside_the_former_until_that_is_forgotten(
    authorities: ModuleType, authority: Any, pair: Callable[..., Any], tmp_path: Path
) -> None:
    chosen = {"folder": str(tmp_path / "pki"), "passphrase": "correct horse battery"}
    session = pair()
    session.install(signed(authorities, authority, session))
    former = authority.trusted()
    assert authorities.work(Run(**chosen))["changed"] is False
    assert authorities.work(Run(check_mode=True, **chosen, replace=True))["changed"] is True
    assert authority.trusted() == former
    done = authorities.work(Run(**chosen, replace=True))
    assert done["authority"].endswith(former) and done["authority"] != former
    # Both are trusted; ours asks for a certificate of the new one's.
    assert fault(session, authority) == "another authority signed it"
    assert fault(session, authority, strict=False) is None
    # A rotation that was cut off is taken up where it stood.
    again = authorities.work(Run(**chosen, replace=True))
    assert again == {"changed": False, "authority": done["authority"], "certificates": {}}
    session.install(signed(authorities, authority, session))
    assert fault(session, authority) is None
    assert former not in authorities.work(Run(**chosen, forget=True))["authority"]


def test_the_authoritys_key_opens_with_its_passphrase_alone(
    authorities: ModuleType, authority: Any, tmp_path: Path
) -> None:
    with pytest.raises(ValueError):
        authorities.Authority(str(tmp_path / "pki"), "wrong").open()
    assert b"ENCRYPTED" in Path(authority.key_path).read_bytes()
    assert Path(authority.key_path).stat().st_mode & 0o7777 == 0o600


def test_in_check_mode_nothing_is_made(authorities: ModuleType, tmp_path: Path) -> None:
    done = authorities.work(Run(check_mode=True, folder=str(tmp_path / "none"), passphrase="-"))
    assert done == {"changed": True, "authority": "", "certificates": {}}
    assert not (tmp_path / "none").exists()


def test_an_answer_to_another_request_is_refused_where_nothing_is_in_use(
    hosts: ModuleType, authorities: ModuleType, authority: Any, pair: Callable[..., Any]
) -> None:
    session, content = pair(), signed(authorities, authority, pair("banking"))
    session.request()
    with pytest.raises(AssertionError, match="session is not for the key"):
        hosts.installed(Run(certificates={"session": content}), [session])
    good = signed(authorities, authority, session)
    done = {"changed": True, "installed": ["session"]}
    assert hosts.installed(Run(certificates={"session": good}), [session]) == done
    # The same answer again, and the certificate in use: it has done its work.
    assert hosts.installed(Run(certificates={"session": good}), [session])["changed"] is False
