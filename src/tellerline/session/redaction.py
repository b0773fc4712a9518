"""Takes cards, accounts, telephone numbers and national ids out of what was said, before it is stored.

How: figures and number words are put together to runs of digits (number_runs.py), whatever is said between
them. What is plainly an amount, a day or a time is left alone; of the rest, six digits or more go, and fewer
where the words before tell what they are. Check digits (Luhn, ISO 13616, TCKN) choose the name of what is
put in the place, and never decide that a number may stay: a recogniser that mishears one digit of a card has
still written down most of it.

PCI DSS 4.0.1: 3.3.1 (a PIN or card code is kept in no form), 3.4.1 (a card's last four digits may show).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from stdnum import iban, luhn, numdb
from stdnum.tr import tckimlik

from tellerline.session import number_runs
from tellerline.session.number_runs import Run, Token, Words

# As many digits as name an account or a person without any word that says so.
_DIGITS_MIN = 6
# As many behind "number", and as many of those said one by one.
_NUMBER_DIGITS_MIN = 4
_ONE_BY_ONE_MIN = 4
# Three digits, or two that were three: "eighty, four".
_SECRET_DIGITS = range(2, 13)
# A sentence of nothing but digits, one by one, is no amount.
_ALONE_MIN = 3
_WORDS_BEFORE = 6
_WORDS_BEHIND = 4
_CARD_DIGITS = range(12, 20)

_NUM = r"(?:\d{1,3}(?:[.,]\d{3}){1,3}(?:[.,]\d{1,2})?|\d{1,9}(?:[.,]\d{1,2})?)"
_CURRENCY = (
    r"(?:[€$£₺%]|(?:usd|eur|gbp|try|tl|lira\w*|euro\w*|avro\w*|dollars?|dolar\w*|pounds?|quid|sterlin\w*"
    r"|pence|cents?|kuruş\w*|percent)\b)"
)
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20|21)\d\d"
_TIME = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
# What is plainly no number of anything: amounts with their currency or two decimals, days, times.
_PLAIN = re.compile(
    rf"(?<!\d)(?<!\d[\s.,-])(?:[€$£₺]|\b(?:usd|eur|gbp|try|tl)\b)\s?{_NUM}(?![\s.,-]?\d)"
    rf"|(?<!\d)(?<!\d[\s.,-]){_NUM}\s?{_CURRENCY}"
    r"|(?<!\d)(?<!\d[\s.,-])(?:\d{1,3}(?:,\d{3})*\.\d\d|\d{1,3}(?:\.\d{3})*,\d\d)(?![\s.,-]?\d)"
    rf"|(?<![\d-]){_YEAR}-{_MONTH}-{_DAY}(?![\d-])(?:[T ]{_TIME})?"
    rf"|(?<![\d/.-]){_DAY}([/.-]){_MONTH}\1{_YEAR}(?![\d/-])"
    rf"|(?<![\d:]){_TIME}(?:\s?[-–]\s?{_TIME})?(?![\d:])",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]+@\w[\w-]*(?:\.\w[\w-]+)+")
_IBAN_BEGINS = re.compile(r"(?<![^\W_])([A-Za-z]{2})[\s-]?\d[\s-]?\d")
# The United Kingdom's national insurance number: two letters, six digits, one letter.
_NINO = re.compile(r"(?<!\w)[A-Za-z]{2}(?:[\s-]?\d\d){3}[\s-]?[A-Da-d](?!\w)")

_Span = tuple[int, int, str]


def redact(text: str, language: str) -> str:
    """`text` with every number that names a person, card or account replaced by its kind in brackets.

    `language`: "en" or "tr" (another is read as English). Kinds: [card], [iban], [account], [phone], [id],
    [secret], [email], and [number] for what could be any. Written and spoken forms; doing it twice changes
    nothing. Takes about 0.3 ms for twenty words.
    """
    code = language if language in ("en", "tr") else "en"
    for pattern, kind in ((_EMAIL, "email"), (_NINO, "id")):
        text = pattern.sub(f"[{kind}]", text)
    text = _replaced(text, list(_ibans(text)))
    known = number_runs.words(code)
    plain = [match.span() for match in _PLAIN.finditer(text)]
    found = [_unless_plain(token, plain) for token in number_runs.tokens(text, code)]
    return _replaced(text, list(_spans(text, found, known, code)))


def _replaced(text: str, spans: Sequence[_Span]) -> str:
    for start, end, kind in reversed(spans):
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text


# ---- IBANs as they are written


@cache
def _iban_shape(country: str) -> re.Pattern[str] | None:
    """An IBAN of `country` (ISO 13616's registry) with nothing between; None where there is none."""
    properties = numdb.get("iban").info(country)[0][1]
    parts = re.findall(r"(\d+)!([nac])", properties.get("bban", ""))
    classes = {"n": r"\d", "a": "[A-Z]", "c": r"[A-Z\d]"}
    body = "".join(f"{classes[kind]}{{{count}}}" for count, kind in parts)
    return re.compile(country + r"\d\d" + body) if parts else None


@cache
def _iban_length(country: str) -> int:
    properties = numdb.get("iban").info(country)[0][1]
    return 4 + sum(int(count) for count in re.findall(r"(\d+)!", properties.get("bban", "")))


def _ibans(text: str) -> Iterator[_Span]:
    position = 0
    while match := _IBAN_BEGINS.search(text, position):
        position = match.end()
        country = match[1].upper()
        shape = _iban_shape(country)
        end = _end_of(text, match.start(), _iban_length(country)) if shape else 0
        if not shape or not end:
            continue
        written = "".join(c for c in text[match.start() : end] if c.isalnum()).upper()
        # The shape alone will do where most of it is figures: a recogniser may have misheard one.
        if iban.is_valid(written) or (shape.fullmatch(written) and sum(c.isdigit() for c in written) >= 10):
            yield match.start(), end, "iban"
            position = end


def _end_of(text: str, start: int, length: int) -> int:
    """The index behind `length` letters and figures from `start`, three others between at most; else 0."""
    count = others = 0
    for index in range(start, len(text)):
        if text[index].isalnum():
            count, others = count + 1, 0
        elif (others := others + 1) > 3 or text[index] == "\n":
            return 0
        if count == length:
            goes_on = index + 1 < len(text) and text[index + 1].isalnum()
            return 0 if goes_on else index + 1
    return 0


# ---- runs of digits


def _unless_plain(token: Token, plain: Sequence[tuple[int, int]]) -> Token:
    """`token`, as a word that ends a run where it lies in one of the places `plain`."""
    if token.kind == "figure" and any(start <= token.start < end for start, end in plain):
        return Token(token.start, token.end, token.text, token.folded, "other")
    return token


def _spans(text: str, found: list[Token], known: Words, code: str) -> Iterator[_Span]:
    behind = 0
    for run in number_runs.runs(found, code):
        kind = _kind(run, found, known, code)
        if not kind:
            continue
        first = _with_letters(run, found) if len(run.digits) >= _DIGITS_MIN else run.first
        start = found[first].start
        if text[start - 1 : start] == "+":
            start, kind = start - 1, "phone"
        yield max(start, behind), found[run.last].end, kind
        behind = found[run.last].end


def _kind(run: Run, found: Sequence[Token], known: Words, code: str) -> str:
    """What the run is to be called, "" where it may stay."""
    digits = run.digits
    before = [token.folded for token in found[max(0, run.first - _WORDS_BEFORE) : run.first]]
    behind = [token.folded for token in found[run.last + 1 : run.last + 1 + _WORDS_BEHIND]]
    secret = known.has("secret", before) or known.has("secret", behind)
    if len(digits) in _SECRET_DIGITS and secret and not _quantity(run, behind, known):
        return "secret" if len(digits) < _DIGITS_MIN else _name(run, before, known, code)
    if known.has("ending", before[-4:]) or known.has("ending_behind", behind[:2]):
        return "" if len(digits) <= 4 else _name(run, before, known, code)
    if _stays(run, found, before, behind, known):
        return ""
    return _name(run, before, known, code)


def _stays(run: Run, found: Sequence[Token], before: list[str], behind: list[str], known: Words) -> bool:
    count = len(run.digits)
    numbered = known.has("number", before) or known.has("number", behind[:1])
    if _quantity(run, behind, known) or _day(run, before, known):
        return True
    if all(group.in_full for group in run.groups):
        # A number said in full: an amount, unless it was called a number; and two of them are two amounts.
        named = numbered or any(known.has(name, before) for name in ("account", "phone", "identity", "card"))
        parts = len(run.groups) > 1 and (known.hundreds_are_parts or named)
        if not parts and len(run.groups) <= 2 and not (numbered and count >= _DIGITS_MIN):
            return True
    if count >= _DIGITS_MIN:
        return False
    one_by_one = all(len(group.digits) == 1 for group in run.groups)
    alone = run.first == 0 and run.last == len(found) - 1
    if one_by_one and (count >= _ONE_BY_ONE_MIN or (alone and count >= _ALONE_MIN)):
        return False
    if known.has("digits_of", before) and count >= _ALONE_MIN:
        return False
    return not (numbered and count >= _NUMBER_DIGITS_MIN)


def _quantity(run: Run, behind: list[str], known: Words) -> bool:
    """Whether a quantity's name follows one or two numbers that are not longer than quantities are."""
    if not known.has("quantities", behind[:1]):
        return False
    return len(run.groups) <= 2 and all(len(group.digits) <= 9 for group in run.groups)


def _day(run: Run, before: list[str], known: Words) -> bool:
    """Whether the run goes on a month: "May 12 2026", "May twelve twenty twenty six"."""
    if not known.has("months", before[-1:]) or not run.groups:
        return False
    day, year = run.groups[0].digits, "".join(group.digits for group in run.groups[1:])
    return int(day) <= 31 and (not year or re.fullmatch(_YEAR, year) is not None)


def _with_letters(run: Run, found: Sequence[Token]) -> int:
    """The token the run is cut from: letters spelled before it and an IBAN's beginning belong to it."""
    first = run.first
    while first > max(0, run.first - 2) and found[first].follows:
        if found[first - 1].kind not in ("letter", "capitals"):
            break
        first -= 1
    letters = "".join(token.text for token in found[first : run.first])
    if len(letters) < 2:
        first = run.first
    # "gb eighty two west": two letters, two digits, and the bank's four letters said as a word.
    bank = run.first - 1
    if len(run.digits) >= 12 and bank >= 2 and len(found[bank].text) == 4 and found[bank].kind == "other":
        for country in range(bank - 1, max(-1, bank - 4), -1):
            if found[country].kind == "other":
                known = len(found[country].text) == 2 and _iban_shape(found[country].text.upper())
                return country if known and country < bank - 1 else first
    return first


def _name(run: Run, before: list[str], known: Words, code: str) -> str:
    """What the digits of `run` are, as far as one can tell."""
    digits = run.digits
    if known.has("secret", before[-3:]) and not known.has("card", before) and len(digits) < _CARD_DIGITS[0]:
        return "secret"
    if _iban_in(run) or len(digits) >= 20:
        return "iban"
    if any(
        luhn.is_valid(digits[start : start + length])
        for length in range(13, 20)
        for start in range(len(digits) - length + 1)
    ):
        return "card"
    if len(digits) in _CARD_DIGITS and (known.has("card", before) or len(digits) == 16):
        return "card"
    if (code == "tr" and tckimlik.is_valid(digits)) or known.has("identity", before):
        return "id"
    mobile = code == "tr" and len(digits) == 10 and digits[0] == "5"
    if known.has("phone", before) or mobile or (len(digits) in range(10, 15) and digits[0] in "09"):
        return "phone"
    return "account" if known.has("account", before) or len(digits) in range(_DIGITS_MIN, 13) else "number"


def _iban_in(run: Run) -> bool:
    return len(run.digits) >= 14 and re.search(r"\d[A-Z]{4}\d{6}", run.spelled) is not None
