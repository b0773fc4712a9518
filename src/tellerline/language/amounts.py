"""Amounts of money, as callers say them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tellerline.language import reading
from tellerline.language.reading import Token

# Digits behind the point of a currency (ISO 4217); two where it is not listed.
_EXPONENTS = {"JPY": 0, "KRW": 0, "KWD": 3}


@dataclass(frozen=True)
class Money:
    """Whole minor units (cents, kuruş) of a currency (ISO 4217)."""

    minor_units: int
    currency: str


@dataclass(frozen=True)
class _Found:
    """An amount and the tokens it was found in, from `start` up to `end`."""

    major: Decimal
    minor: Decimal
    currency: str
    start: int
    end: int


def exponent(currency: str) -> int:
    """How many digits of `currency` stand behind the point."""
    return _EXPONENTS.get(currency, 2)


def parse_amount(text: str, code: str, currency: str) -> Money | None:
    """The amount in `text` (language `code`), in `currency` (ISO 4217) where the caller names none.

    None where there is no amount, where there are several and no telling which is meant ("two hundred of
    my five hundred euros"), and where the currency cannot hold it (a tenth of a cent).
    """
    tokens = reading.read(text, code, "money")
    found = [amount for amount in _amounts(tokens) if not _is_taken_back(tokens, amount)]
    named = any(amount.currency for amount in found)
    meant = _meant(
        tokens, [amount for amount in found if amount.currency or _is_money(tokens, amount, named)]
    )
    return _money(meant, currency) if meant else None


def _money(amount: _Found, currency: str) -> Money | None:
    currency = currency if amount.currency in ("", "?") else amount.currency
    minor_units = amount.major.scaleb(exponent(currency)) + amount.minor
    if minor_units != minor_units.to_integral_value():
        return None
    return Money(int(minor_units), currency)


def _amounts(tokens: Sequence[Token]) -> Iterator[_Found]:
    index = 0
    while index < len(tokens):
        if found := _amount_at(tokens, index):
            yield found
            index = found.end
        else:
            index += 1


def _amount_at(tokens: Sequence[Token], start: int) -> _Found | None:
    if sign := _currency(tokens, start):
        # "$250", but not "two dollars, three of them": a sign or a code stands before.
        number = _number(tokens, start + 1)
        stands_before = len(tokens[start].text) <= 3
        if number is None or not stands_before or _currency(tokens, start + 2):
            return None
        return _with_minor(tokens, number, sign, start, start + 2)
    number = _number(tokens, start)
    if number is None:
        return None
    if (minor_of := _minor(tokens, start + 1)) is not None:
        return _Found(Decimal(0), number, minor_of or "?", start, start + 2)
    if sign := _currency(tokens, start + 1):
        return _with_minor(tokens, number, sign, start, start + 2)
    second = _number(tokens, start + 1)
    if second is not None and _is_colloquial(tokens, start):
        # "Two fifty" is two hundred and fifty.
        whole, sign = number * 100 + second, _currency(tokens, start + 2)
        return _Found(whole, Decimal(0), sign, start, start + 2 + bool(sign))
    return _Found(number, Decimal(0), "", start, start + 1)


def _is_colloquial(tokens: Sequence[Token], start: int) -> bool:
    first, second = tokens[start], tokens[start + 1]
    assert first.number is not None and second.number is not None
    return first.spoken and second.spoken and first.number < 10 <= second.number < 100


def _with_minor(tokens: Sequence[Token], major: Decimal, sign: str, start: int, end: int) -> _Found:
    """`major` of currency `sign` and what follows of it: "and twenty cents", "fifty"."""
    plain = _Found(major, Decimal(0), sign, start, end)
    behind = end + (_sign(tokens, end) == "AND")
    number = _number(tokens, behind)
    if number is None or number >= 100 or major != major.to_integral_value():
        return plain
    if (minor_of := _minor(tokens, behind + 1)) is not None and minor_of in ("", sign):
        return _Found(major, number, sign, start, behind + 2)
    alone = behind == end and number >= 10 and number == number.to_integral_value()
    if alone and not _counts(tokens, behind + 1) and not _currency(tokens, behind + 1):
        return _Found(major, number, sign, start, behind + 1)
    return plain


def _number(tokens: Sequence[Token], index: int) -> Decimal | None:
    token = tokens[index] if index < len(tokens) else None
    return token.number if token and token.sign.startswith("N") else None


def _currency(tokens: Sequence[Token], index: int) -> str:
    sign = _sign(tokens, index)
    return sign.removeprefix("CUR_") if sign.startswith("CUR_") else ""


def _minor(tokens: Sequence[Token], index: int) -> str | None:
    """The currency whose hundredths token `index` names, "" where it may be any; None where it names none."""
    sign = _sign(tokens, index)
    return sign.removeprefix("MINOR").removeprefix("_") if sign.startswith("MINOR") else None


def _counts(tokens: Sequence[Token], index: int) -> bool:
    return _sign(tokens, index) in ("COUNTED", "THING")


def _sign(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].sign if 0 <= index < len(tokens) else ""


def _is_taken_back(tokens: Sequence[Token], amount: _Found) -> bool:
    """Whether the caller said that this is not it, or that it is a debt: "not 200", "minus 50"."""
    before, behind = _sign(tokens, amount.start - 1), _sign(tokens, amount.end)
    return before in ("NOT", "-", "minus", "eksi") or behind == "NOT_THAT"


def _is_money(tokens: Sequence[Token], amount: _Found, another_is_named: bool) -> bool:
    """Whether a number without a currency can be an amount: none that counts something or names a thing.

    Beside an amount with its currency a small number is something else.
    """
    if len(tokens) == 1:
        return True
    before = _sign(tokens, amount.start - 1)
    behind = amount.end
    while _number(tokens, behind) is not None:
        behind += 1
    is_one = tokens[amount.start].text in ("one", "bir")
    is_small = another_is_named and amount.major < 100 and before != "CORRECTION"
    # "Two payments", but "a 200 payment".
    is_count = _counts(tokens, behind) or (amount.major < 10 and _sign(tokens, behind) == "ORDER")
    return not (before in ("NUMBER_OF", "THING") or is_count or is_one or is_small)


def _meant(tokens: Sequence[Token], amounts: Sequence[_Found]) -> _Found | None:
    """The one amount, or the last behind a correction; None where it could be any of several."""
    if not amounts:
        return None
    last = amounts[-1]
    if len({(a.major, a.minor, a.currency) for a in amounts}) == 1:
        return last
    before = amounts[-2]
    corrected = any(token.sign == "CORRECTION" for token in tokens[before.end :])
    return last if corrected else None
