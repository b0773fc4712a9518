"""Who the bank is, and who asks it: mutual TLS between the adapter and the sandbox bank."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tellerline.banking.rest import RestBank
from tellerline.errors import BankUnavailable, SettingsError
from tellerline.sandbox_bank import server
from tellerline.settings import BankSettings

from .certificates import Authority
from .conftest import EMMA


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def settings(authority: Authority) -> AsyncIterator[BankSettings]:
    """Settings that reach a bank that asks for a certificate."""
    bank, teller = authority.sign("bank"), authority.sign("teller")
    tls = {
        "ssl_certfile": str(bank.certificate),
        "ssl_keyfile": str(bank.key),
        "ssl_ca_certs": str(authority.certificate),
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }
    async with server.running(None, **tls) as (_, base_url):
        yield BankSettings(
            base_url=base_url,
            authority=authority.certificate,
            certificate=teller.certificate,
            key=teller.key,
        )


async def test_both_show_certificates(settings: BankSettings) -> None:
    async with RestBank(settings) as bank:
        assert await bank.accounts(EMMA)


async def test_a_bank_of_another_authority_is_sent_nothing(settings: BankSettings, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = Authority(folder)
    async with RestBank(settings.model_copy(update={"authority": other.certificate})) as bank:
        with pytest.raises(BankUnavailable):
            # Not in doubt: the order did not leave.
            await bank.execute(EMMA, "quote-000001", "0123456789abcdef")


async def test_a_teller_without_a_certificate_gets_no_answer(settings: BankSettings) -> None:
    async with RestBank(settings.model_copy(update={"certificate": None, "key": None})) as bank:
        with pytest.raises(BankUnavailable):
            await bank.accounts(EMMA)


async def test_a_missing_authority_stops_the_start(settings: BankSettings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"bank\.authority"):
        async with RestBank(settings.model_copy(update={"authority": tmp_path / "none.pem"})):
            pass
