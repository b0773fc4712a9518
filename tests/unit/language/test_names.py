"""Which account, card or payee is meant, and what is a yes."""

from __future__ import annotations

import pytest

from tellerline.language import names
from tellerline.language.yes_no import is_agreement, is_no, is_yes
from tellerline.rpc import banking_pb2 as pb

ACCOUNTS = [
    pb.Account(account_id="current", kind="current", name="Everyday", ending="1175"),
    pb.Account(account_id="house", kind="savings", name="House deposit", ending="6021"),
    pb.Account(account_id="rainy", kind="savings", name="Rainy day", ending="6048"),
    pb.Account(account_id="card", kind="credit_card", ending="0042"),
]
TURKISH = [
    pb.Account(account_id="vadesiz", kind="current", ending="3390"),
    pb.Account(account_id="tatil", kind="savings", name="Tatil hesabı", ending="8812"),
    pb.Account(account_id="kart", kind="credit_card", ending="6127"),
]
PAYEES = [
    pb.Payee(payee_id=name, name=name, ending=ending)
    for name, ending in [
        ("John Smith", "2087"),
        ("Jon Smyth", "7740"),
        ("Joan Smith", "3359"),
        ("Maria Lopez", "5512"),
        ("Green Energy Limited", "6640"),
        ("Catherine Miller", "1209"),
        ("Ayşe Yılmaz", "4471"),
        ("Mehmet Can", "9035"),
        ("Will Turner", "8001"),
    ]
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("the current account", ["current"]),
        ("everyday", ["current"]),
        ("savings", ["house", "rainy"]),
        ("rainy day", ["rainy"]),
        ("the house account", ["house"]),
        ("no, the savings account ending in 6048", ["rainy"]),
        ("six oh four eight... 6048", ["rainy"]),
        ("ending zero zero four two", ["card"]),
        ("my visa", ["card"]),
        ("the second one", ["house"]),
        ("the last one", ["card"]),
        ("not the savings, the current account", ["current"]),
        ("my account", []),
        ("send two hundred", []),
        ("send 1175 euros", []),
        ("it is 1175", ["current"]),
    ],
)
def test_accounts_in_english(text: str, meant: list[str]) -> None:
    assert [account.account_id for account in names.which_account(text, "en", ACCOUNTS)] == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("vadesiz hesabımdan", ["vadesiz"]),
        ("tasarruf hesabım", ["tatil"]),
        ("tatil hesabıma", ["tatil"]),
        ("kredi kartımın borcu", ["kart"]),
        ("sonu 3390 olan", ["vadesiz"]),
        ("3390 ile biten", ["vadesiz"]),
        ("üç üç dokuz sıfır", ["vadesiz"]),
        ("ikincisi", ["tatil"]),
        ("vadesiz değil tasarruf", ["tatil"]),
        ("hesabım", []),
    ],
)
def test_accounts_in_turkish(text: str, meant: list[str]) -> None:
    assert [account.account_id for account in names.which_account(text, "tr", TURKISH)] == meant


@pytest.mark.parametrize(
    ("text", "code", "source", "target"),
    [
        ("move 200 from my current account to rainy day", "en", ["current"], ["rainy"]),
        ("to the house account from everyday", "en", ["current"], ["house"]),
        ("into my rainy day account", "en", [], ["rainy"]),
        ("the current account", "en", ["current"], []),
        ("vadesiz hesabımdan tasarruf hesabıma iki yüz lira aktar", "tr", ["vadesiz"], ["tatil"]),
        ("tasarruf hesabından vadesize", "tr", ["tatil"], ["vadesiz"]),
        ("tasarrufa yüz lira", "tr", [], ["tatil"]),
    ],
)
def test_where_money_comes_from_and_goes(text: str, code: str, source: list[str], target: list[str]) -> None:
    found = names.from_and_to(text, code, ACCOUNTS if code == "en" else TURKISH)
    assert tuple([account.account_id for account in side] for side in found) == (source, target)


@pytest.mark.parametrize(
    ("text", "code", "meant"),
    [
        ("to Maria", "en", ["Maria Lopez"]),
        ("Mario Lopes", "en", ["Maria Lopez"]),
        ("Katherine", "en", ["Catherine Miller"]),
        ("green energy", "en", ["Green Energy Limited"]),
        ("Joan", "en", ["Joan Smith"]),
        # The same in the ear: the caller has to choose, by the ending.
        ("John Smith", "en", ["John Smith", "Jon Smyth"]),
        ("the one ending in 7740", "en", ["Jon Smyth"]),
        ("send 2087 pounds to Maria", "en", ["Maria Lopez"]),
        ("send 2087 pounds", "en", []),
        ("will you send it", "en", []),
        ("send it to Will", "en", ["Will Turner"]),
        ("Ayşe'ye iki yüz lira", "tr", ["Ayşe Yılmaz"]),
        ("ayseye gönder", "tr", ["Ayşe Yılmaz"]),
        ("Mehmet Can'a", "tr", ["Mehmet Can"]),
        ("to Bob", "en", []),
        ("limited", "en", []),
        ("", "en", []),
    ],
)
def test_payees(text: str, code: str, meant: list[str]) -> None:
    assert [payee.name for payee in names.which_payee(text, code, PAYEES)] == meant


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Yes.", "en"),
        ("Yes please, go ahead.", "en"),
        ("Yeah, that's correct.", "en"),
        ("Uh, yes, I confirm.", "en"),
        ("Evet.", "tr"),
        ("EVET", "tr"),
        ("Evet, onaylıyorum.", "tr"),
        ("tamam gönder", "tr"),
    ],
)
def test_a_plain_yes(text: str, code: str) -> None:
    assert is_yes(text, code)
    assert is_agreement(text, code)
    assert not is_no(text, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("yes but make it 300", "en"),
        ("yes and send 300 to Anna", "en"),
        ("yes no", "en"),
        ("yes wait", "en"),
        ("I don't know", "en"),
        ("please", "en"),
        ("is that yes", "en"),
        ("", "en"),
        ("evet ama üç yüz", "tr"),
        ("evet değil", "tr"),
        ("bilmiyorum", "tr"),
    ],
)
def test_anything_beside_a_yes_is_none(text: str, code: str) -> None:
    assert not is_yes(text, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [("Okay.", "en"), ("sure, right", "en"), ("all right", "en"), ("tamam", "tr"), ("olur", "tr")],
)
def test_an_okay_agrees_and_confirms_nothing(text: str, code: str) -> None:
    assert is_agreement(text, code)
    assert not is_yes(text, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("No.", "en"),
        ("no, the savings account", "en"),
        ("don't", "en"),
        ("please cancel", "en"),
        ("hayır", "tr"),
        ("istemiyorum", "tr"),
        ("hayır, tasarruf hesabı", "tr"),
        ("VAZGEÇTİM", "tr"),
    ],
)
def test_a_no(text: str, code: str) -> None:
    assert is_no(text, code)
