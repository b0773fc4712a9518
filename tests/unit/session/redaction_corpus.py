"""Sentences with and without numbers that name somebody, in English and Turkish, written and spoken.

Made without the product's word lists (num2words speaks the numbers), from a seed: the same every time.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import num2words
from stdnum import iban as iban_numbers
from stdnum import luhn
from stdnum.tr import tckimlik


@dataclass(frozen=True)
class Sentence:
    """A sentence, and what is in it: a kind of secret number, or "" for none."""

    text: str
    kind: str
    form: str
    # How many digits are to be gone.
    digits: int = 0


_CARRIERS = {
    "en": {
        "card": [
            "my card number is {}",
            "it's {} on the card",
            "the long number is {} and it expires soon",
            "{}",
            "I lost my card, {}, please block it",
            "Visa {} thanks",
            "yes sure, {}",
        ],
        "account": [
            "my account number is {}",
            "from account {} please",
            "account {} at your branch",
            "{}",
            "send it to {} for Anna",
            "customer number {}",
            "it should be {} I think",
        ],
        "iban": ["the IBAN is {}", "send it to {} please", "{}", "it says {} here", "iban {} if you need it"],
        "phone": [
            "my phone number is {}",
            "call me back on {}",
            "you can reach me at {} after work",
            "{}",
            "my mobile is {} thanks",
        ],
        "id": [
            "my national insurance number is {}",
            "the number on my passport is {}",
            "social security {}",
            "my identity number is {} if that helps",
        ],
        "secret": [
            "my PIN is {}",
            "the security code is {}",
            "the pin number I use is {} I believe",
            "{} is my PIN",
            "my passcode, that would be {}",
            "the CVV on the back says {}",
        ],
    },
    "tr": {
        "card": [
            "kart numaram {}",
            "kartın üzerinde {} yazıyor",
            "kartımı kaybettim, {}, kapatın lütfen",
            "{}",
            "Visa kartım {} sanırım",
            "evet tabii, {}",
        ],
        "account": [
            "hesap numaram {}",
            "{} numaralı hesaptan",
            "müşteri numarası {}",
            "{}",
            "şuraya gönder {} Anna için",
            "sanırım {} olması lazım",
        ],
        "iban": ["IBAN {}", "ibanım {} oraya gönderin", "{}", "burada {} yazıyor"],
        "phone": [
            "telefon numaram {}",
            "beni {} numarasından arayın",
            "cep telefonum {}",
            "{}",
            "bana {} ile ulaşabilirsiniz",
        ],
        "id": ["TC kimlik numaram {}", "kimlik numarası {}", "{}", "TC'm {} lazımsa"],
        "secret": [
            "şifrem {}",
            "kart şifresi {}",
            "güvenlik kodu {}",
            "telefona gelen kod {}",
            "{} şifrem buydu",
            "parolam {} sanırım",
        ],
    },
}
_FILLERS = {"en": ["uh", "um", "and then", "er", "dash", "and"], "tr": ["ıı", "eee", "sonra", "şey", "ve"]}
_HARMLESS = {
    "en": [
        "send {amount} to Anna",
        "pay {amount} from my savings account",
        "what did I spend on {date}",
        "are you open at {time}",
        "my card ending {last} is lost",
        "the last four digits are {last}",
        "I have {small} cards and {small} accounts",
        "I moved {spoken} {currency} last week",
        "can I transfer {spoken} {currency} on {date}",
        "your balance is {amount}.",
        "it was {amount} on {date} at {time}",
        "the fee is {amount}, the limit {amount}",
        "I called {small} times in {small} days",
        "between {spoken} and {spoken} {currency}",
        "it expires in {small} years",
        "send {spoken}",
        "I was born in {year}",
        "at {small} o'clock on the {small}th of May {year}",
    ],
    "tr": [
        "Anna'ya {amount} gönder",
        "vadesiz hesabımdan {amount} öde",
        "{date} tarihinde ne harcadım",
        "saat {time} açık mısınız",
        "sonu {last} ile biten kartım kayıp",
        "kartın son dört hanesi {last}",
        "{small} kartım ve {small} hesabım var",
        "geçen hafta {spoken} {currency} gönderdim",
        "bakiyeniz {amount}.",
        "{date} günü saat {time} sularında {amount} ödedim",
        "masraf {amount}, limit {amount}",
        "{small} günde {small} kez aradım",
        "{spoken} {currency} gönder",
        "{spoken} gönder",
        "{year} yılında doğdum",
        "{small} Mayıs {year} tarihinde",
    ],
}


def sensitive(code: str, count: int, seed: int = 1) -> Iterator[Sentence]:
    """`count` sentences with one sensitive number each."""
    chance = random.Random(f"{code} {seed}")
    for _ in range(count):
        kind = chance.choice(sorted(_CARRIERS[code]))
        number = _number(kind, code, chance)
        form, rendering = _rendered(number, kind, code, chance)
        carrier = chance.choice(_CARRIERS[code][kind])
        text = carrier.format(rendering)
        if chance.random() < 0.3:
            text = text.lower() if chance.random() < 0.5 else text[:1].upper() + text[1:] + "."
        yield Sentence(text, kind, form, sum(c.isdigit() for c in number))


def harmless(code: str, count: int, seed: int = 2) -> Iterator[Sentence]:
    """`count` sentences with amounts, days, times and counts, and nothing that names anybody."""
    chance = random.Random(f"{code} {seed}")
    for _ in range(count):
        template = chance.choice(_HARMLESS[code])
        text = re.sub(r"\{(\w+)\}", lambda match: _harmless(match[1], code, chance), template)
        yield Sentence(text, "", template)


# ---- numbers


def _digits(count: int, chance: random.Random) -> str:
    return "".join(chance.choice("0123456789") for _ in range(count))


def _number(kind: str, code: str, chance: random.Random) -> str:
    if kind == "card":
        body = chance.choice(["4", "51", "55", "2221", "6011", "9792"]) + _digits(18, chance)
        length = chance.choice([16, 16, 16, 16, 15, 13, 19])
        body = body[: length - 1]
        number = body + str(luhn.calc_check_digit(body))
        # A recogniser mishears a digit now and then: no check digit helps any more.
        return number if chance.random() < 0.85 else number[:7] + _digits(1, chance) + number[8:]
    if kind == "account":
        return _digits(chance.choice([6, 7, 8, 8, 9, 10, 12]), chance)
    if kind == "iban":
        country, body = chance.choice(
            [("TR", "0" + _digits(21, chance)), ("DE", _digits(18, chance))]
            if code == "tr"
            else [
                ("GB", chance.choice(["NWBK", "BARC", "LOYD"]) + _digits(14, chance)),
                ("DE", _digits(18, chance)),
                ("FR", _digits(23, chance)),
            ]
        )
        return country + iban_numbers.calc_check_digits(country + "00" + body) + body
    if kind == "phone":
        if code == "tr":
            return chance.choice(["0", "+90", ""]) + "5" + _digits(9, chance)
        return chance.choice(
            ["07" + _digits(9, chance), "+447" + _digits(9, chance), "+1" + _digits(10, chance)]
        )
    if kind == "id":
        if code == "tr":
            body = chance.choice("123456789") + _digits(8, chance)
            return body + str(tckimlik.calc_check_digits(body))
        if chance.random() < 0.5:
            return chance.choice(["AB", "JK", "SN"]) + _digits(6, chance) + chance.choice("ABCD")
        return _digits(9, chance)
    return _digits(chance.choice([3, 4, 4, 6]), chance)


# ---- how they are written and spoken


def _rendered(number: str, kind: str, code: str, chance: random.Random) -> tuple[str, str]:
    letters = re.match(r"([A-Z]{2})(\d\d)?([A-Z]{4})?", number) if kind in ("iban", "id") else None
    if letters and any(c.isalpha() for c in number):
        if chance.random() < 0.7:
            return "written with letters", _written(number, chance, kind)
        return "spelled", _spelled(number, code, chance)
    forms: list[tuple[str, Callable[[], str]]] = [
        ("written", lambda: _written(number, chance, kind)),
        ("written", lambda: _written(number, chance, kind)),
        ("digit by digit", lambda: _joined(_one_by_one(number, code, chance), code, chance)),
        ("digit by digit", lambda: _joined(_one_by_one(number, code, chance), code, chance)),
        ("in pairs", lambda: _joined(_in_groups(number, 2, code), code, chance)),
        ("mixed", lambda: _joined(_mixed(number, code, chance), code, chance)),
    ]
    if code == "tr":
        forms += [("in threes", lambda: _joined(_in_groups(number, 3, code), code, chance))] * 2
    name, form = chance.choice(forms)
    return name, form()


def _written(number: str, chance: random.Random, kind: str) -> str:
    plus = "+" if number.startswith("+") else ""
    plain = number.lstrip("+")
    if kind == "secret":
        return chance.choice([plain, " ".join(plain), ", ".join(plain)])
    size = chance.choice([3, 4, 4]) if kind != "iban" else 4
    pieces = [plain[i : i + size] for i in range(0, len(plain), size)]
    if kind == "phone" and chance.random() < 0.4 and len(plain) >= 10:
        rest = plain[:-10]
        last = plain[-10:]
        return f"{plus}{rest}{' ' if rest else ''}({last[:3]}) {last[3:6]} {last[6:8]} {last[8:]}"
    text = chance.choice(["", " ", " ", "-", ".", ", ", " - "]).join(pieces)
    return plus + (text.lower() if chance.random() < 0.2 else text)


def _say(value: int, code: str) -> str:
    said = num2words.num2words(value, lang=code)
    # "five hundred and thirty-two"; Turkish comes in one word, callers' recognisers write it apart.
    return _apart(said) if code == "tr" else said.replace(",", "")


_TURKISH = sorted(
    {num2words.num2words(n, lang="tr") for n in [*range(10), *range(10, 100, 10), 100, 1000]},
    key=len,
    reverse=True,
)


_TOGETHER = re.compile("(?:" + "|".join(_TURKISH) + ")+")


def _apart(word: str) -> str:
    return " ".join(re.findall("|".join(_TURKISH), word))


def _one_by_one(number: str, code: str, chance: random.Random) -> list[str]:
    digits = [c for c in number if c.isdigit()]
    oh = code == "en" and chance.random() < 0.5
    said: list[str] = []
    index = 0
    repeats = {2: "double", 3: "triple"} if code == "en" else {2: "iki tane", 3: "üç tane"}
    while index < len(digits):
        same = 1
        while index + same < len(digits) and digits[index + same] == digits[index] and same < 3:
            same += 1
        word = "oh" if oh and digits[index] == "0" else _say(int(digits[index]), code)
        if same > 1 and chance.random() < 0.6:
            said.append(f"{repeats[same]} {word}")
            index += same
        else:
            said.append(word)
            index += 1
    return said


def _in_groups(number: str, size: int, code: str) -> list[str]:
    digits = "".join(c for c in number if c.isdigit())
    said = []
    for start in range(0, len(digits), size):
        group = digits[start : start + size]
        zeros = len(group) - len(group.lstrip("0")) if group.strip("0") else len(group)
        said += [_say(0, code)] * zeros
        if group.strip("0"):
            said.append(_say(int(group), code))
    return said


def _mixed(number: str, code: str, chance: random.Random) -> list[str]:
    digits = "".join(c for c in number if c.isdigit())
    said, index = [], 0
    while index < len(digits):
        size = chance.choice([1, 2, 4])
        group = digits[index : index + size]
        said += [group] if chance.random() < 0.4 else _in_groups(group, 2, code)
        index += size
    return said


def _spelled(number: str, code: str, chance: random.Random) -> str:
    said = []
    for c in number:
        said.append(c if c.isalpha() else _say(int(c), code))
    return chance.choice([" ", " ", ", "]).join(said)


def _joined(pieces: list[str], code: str, chance: random.Random) -> str:
    style = chance.choice(["spaces", "spaces", "commas", "groups", "fillers"])
    text = ""
    for index, piece in enumerate(pieces):
        if not index:
            text = piece
        elif style == "commas":
            text += f", {piece}"
        elif style == "groups" and index % 4 == 0:
            text += f". {piece}"
        elif style == "fillers" and chance.random() < 0.12:
            text += f" {chance.choice(_FILLERS[code])} {piece}"
        else:
            text += f" {piece}"
    return text


# ---- what names nobody


def _harmless(what: str, code: str, chance: random.Random) -> str:
    if what == "amount":
        whole = chance.choice(
            [chance.randrange(1, 100), chance.randrange(100, 10_000), chance.randrange(10_000, 2_000_000)]
        )
        cents = chance.choice(["", "", f"{chance.randrange(100):02}"])
        thousands = f"{whole:,}" if chance.random() < 0.6 else str(whole)
        if code == "tr":
            thousands = thousands.replace(",", ".")
            number = thousands + ("," + cents if cents else "")
            return chance.choice([f"{number} lira", f"{number} TL", f"₺{number}", f"{number} avro"])
        number = thousands + ("." + cents if cents else "")
        return chance.choice(
            [f"£{number}", f"{number} pounds", f"{number} euros", f"${number}", f"€{number}"]
        )
    if what == "spoken":
        value = chance.choice(
            [
                chance.randrange(20, 1000),
                chance.randrange(1000, 100_000) // 10 * 10,
                chance.randrange(1, 90) * 1000,
            ]
        )
        return _say(value, code)
    if what == "currency":
        return chance.choice(["pounds", "euros", "dollars"] if code == "en" else ["lira", "avro", "dolar"])
    if what == "date":
        day, month, year = chance.randrange(1, 29), chance.randrange(1, 13), chance.randrange(2020, 2028)
        forms = [f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{day}/{month}/{year}"]
        forms.append(f"{day} May {year}" if code == "en" else f"{day} Mayıs {year}")
        return chance.choice([*forms, f"May {day}, {year}"] if code == "en" else forms)
    if what == "time":
        return f"{chance.randrange(24)}:{chance.randrange(60):02}"
    if what == "last":
        digits = _digits(4, chance)
        return chance.choice([digits, " ".join(digits), " ".join(_say(int(c), code) for c in digits)])
    if what == "year":
        return str(chance.randrange(1940, 2027))
    return str(chance.randrange(1, 13))


# ---- how much of a number is left


def digits_left(text: str, code: str) -> int:
    """How many digits can still be read out of `text`, in figures or in words; placeholders hold none."""
    left = 0
    for word in re.findall(r"\d|[^\W\d_]+", text):
        folded = word.replace("I", "ı" if code == "tr" else "i").lower()
        together = code == "tr" and len(folded) > 4 and _TOGETHER.fullmatch(folded)
        left += bool(word.isdigit() or folded in _number_words(code) or together)
    return left


@cache
def _number_words(code: str) -> set[str]:
    values = [*range(21), *range(30, 100, 10)]
    said = {num2words.num2words(value, lang=code) for value in values}
    return said | ({"oh", "double", "triple", "hundred", "thousand"} if code == "en" else {"yüz", "bin"})
