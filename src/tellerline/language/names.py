"""Which account, card or payee a caller means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from tellerline import language
from tellerline.language import amounts, reading
from tellerline.language.reading import Token

# What of a name must be heard: "Schmidt" and "Shmit" share 0.83, "Anna" and "Hannah" 0.8.
_ALIKE = 0.8
# Names heard this much worse than the best are not meant.
_STANDS_OUT = 0.08
_SOUNDS_THE_SAME = 0.97
# Shorter names must be heard whole.
_SHORT = 3


class Account(Protocol):
    """What is needed of an account; banking.proto's message fits, and so does a card."""

    @property
    def kind(self) -> str:
        """ "current", "savings", "credit_card"; of a card "debit", "credit"."""

    @property
    def ending(self) -> str:
        """The last four digits."""


class Payee(Protocol):
    """What is needed of a payee; banking.proto's message fits."""

    @property
    def name(self) -> str:
        """Whom the bank pays."""


A = TypeVar("A", bound=Account)
P = TypeVar("P", bound=Payee)
E = TypeVar("E")


def which_account(text: str, code: str, accounts: Sequence[A]) -> list[A]:
    """Those of `accounts` that `text` (language `code`) may mean, by kind, name or ending.

    One: that is it. None: no account was named. Several: the caller has to choose. `account.name`, where
    there is one, counts too ("the holiday account"), and so does their order ("the second one").
    """
    tokens = reading.read(text, code, "accounts")
    ways = (
        _by_ending(tokens, accounts, announced=True),
        _by_name(text, code, accounts),
        _by_kind(tokens, code, accounts),
    )
    meant: list[A] = []
    for found in ways:
        if meant and found:
            # "The savings account ending in 1234": both say something, and where they clash, all are meant.
            meant = [a for a in meant if a in found] or [a for a in accounts if a in meant or a in found]
        meant = meant or found
    return meant or _by_bare_digits(text, code, tokens, accounts) or _by_order(tokens, accounts)


def from_and_to(text: str, code: str, accounts: Sequence[A]) -> tuple[list[A], list[A]]:
    """Those of `accounts` that money is to come from, and that it is to go to, by `text` (language `code`).

    English says so before them ("from my current account to savings"), Turkish in their endings
    ("vadesiz hesabımdan tasarrufa"). An account without either is where money comes from.
    """
    data = language.data(code, "accounts")
    parts = {"from": "", "to": "", "": ""}
    for words, part in _directed(text, code, data):
        parts[part] += f" {words}"
    source, target, plain = (which_account(parts[part], code, accounts) for part in ("from", "to", ""))
    return source or [account for account in plain if account not in target], target


def which_payee(text: str, code: str, payees: Sequence[P]) -> list[P]:
    """Those of `payees` whose names are heard in `text`, the likeliest alone where one stands out.

    Spelling may differ as recognisers spell ("Katherine", "Catherine"; "Ayse", "Ayşe'ye"); names that sound
    the same ("John", "Jon") are all meant. Where a payee has an `ending`, that counts too.
    """
    heard = _Heard(text, code)
    tokens = reading.read(text, code, "accounts")
    if ended := _by_ending(tokens, payees, announced=True):
        return ended
    likeness = [(heard.likeness(payee.name), payee) for payee in payees]
    best = max((how for how, _ in likeness), default=(0, 0.0))
    if not best[0]:
        return _by_bare_digits(text, code, tokens, payees)
    return [payee for how, payee in likeness if how[0] == best[0] and how[1] > best[1] - _STANDS_OUT]


# ---- accounts


def _by_ending(tokens: Sequence[Token], things: Sequence[E], *, announced: bool) -> list[E]:
    """Those whose last digits are said: behind "ending in" two are enough, `announced` or not four."""
    runs: list[tuple[str, bool]] = []
    digits, named, before = "", False, ""
    for token in [*tokens, Token("")]:
        if token.number is not None:
            named = named or before == "ENDING"
            digits += token.text if token.text.isdigit() else f"{token.number:f}"
        elif digits:
            runs.append((digits, named or token.sign == "ENDED"))
            digits, named = "", False
        before = token.sign
    ends = [run for run, is_named in runs if is_named == announced and len(run) >= (2 if announced else 4)]
    return [thing for thing in things if any(_ending(thing).endswith(run) for run in ends)]


def _by_bare_digits(text: str, code: str, tokens: Sequence[Token], things: Sequence[E]) -> list[E]:
    """Those whose last digits are said and no word of it: not the euros that happen to be as many."""
    amount = amounts.parse_amount(text, code, "")
    units = (
        amount.minor_units // 10 ** amounts.exponent(amount.currency) if amount and amount.currency else None
    )
    found = _by_ending(tokens, things, announced=False)
    return [thing for thing in found if int(_ending(thing) or 0) != units]


def _ending(thing: object) -> str:
    return str(getattr(thing, "ending", ""))


def _by_name(text: str, code: str, accounts: Sequence[A]) -> list[A]:
    heard = _Heard(text, code)
    found = []
    for account in accounts:
        words = _telling(getattr(account, "name", "") or "", code)
        if any(heard.word_likeness(word) >= _ALIKE for word in words):
            found.append(account)
    return found


def _telling(name: str, code: str) -> list[str]:
    """The words of an account's name that tell it from others: not "account", nor what names a kind."""
    data = language.data(code, "accounts")
    kinds = [phrase for key, listed in data["heard"].items() if key.startswith("KIND_") for phrase in listed]
    plain = {*data["generic"], *(str(phrase) for phrase in kinds)}
    words = [word for word in language.words(language.fold(name, code)) if word not in plain]
    return [word for word in words if len(word) > _SHORT] or words


def _by_kind(tokens: Sequence[Token], code: str, accounts: Sequence[A]) -> list[A]:
    same: dict[str, str] = language.data(code, "accounts")["same_kinds"]
    kinds = set()
    for index, token in enumerate(tokens):
        before = tokens[index - 1].sign if index else ""
        before_that = tokens[index - 2].sign if index > 1 else ""
        behind = tokens[index + 1].sign if index + 1 < len(tokens) else ""
        taken_back = "NOT" in (before, before_that) or behind == "NOT_THAT"
        if token.sign.startswith("KIND_") and not taken_back:
            kind = token.sign.removeprefix("KIND_")
            kinds |= {kind, same.get(kind, kind)}
    return [account for account in accounts if account.kind in kinds]


def _by_order(tokens: Sequence[Token], accounts: Sequence[A]) -> list[A]:
    if any(token.sign == "LAST_ONE" for token in tokens):
        return list(accounts[-1:])
    ordinals = [token.number for token in tokens if token.sign.startswith("O") and token.number is not None]
    if len(ordinals) != 1 or not 1 <= ordinals[0] <= len(accounts):
        return []
    return [accounts[int(ordinals[0]) - 1]]


def _directed(text: str, code: str, data: Any) -> Iterator[tuple[str, str]]:
    """Pieces of `text` and whether they name where money comes "from" or goes "to", or neither ("")."""
    before, waiting = "", ""
    for word in re.findall(r"[\w'’]+", text):
        folded = language.fold(word, code)
        if part := next((part for part in ("from", "to") if folded in data[f"{part}_words"]), ""):
            yield waiting, before
            before, waiting = part, ""
            continue
        waiting += f" {word}"
        if part := next((part for part in ("from", "to") if _ends(folded, data[f"{part}_endings"])), ""):
            yield waiting, part
            waiting = ""
    yield waiting, before


def _ends(word: str, endings: Sequence[str]) -> bool:
    return word.partition("'")[2] in endings or (len(word) > 2 * _SHORT and word.endswith(tuple(endings)))


# ---- names


class _Heard:
    """What was said, as names may hide in it."""

    def __init__(self, text: str, code: str) -> None:
        data = language.data(code, "accounts")
        self._code = code
        self._company_words = frozenset(data["company_words"])
        self._ending = re.compile(language.data(code, "numbers")["word_ending"])
        words = [word for word in re.split(r"[^\w'’]+", text) if word]
        # "Can" is a name, and "can" is none; a sentence begins with a capital in any case.
        words = [
            word
            for index, word in enumerate(words)
            if language.fold(word, code) not in data["words_too"] or (index and word[0].isupper())
        ]
        stems = [language.fold(word, code).partition("'")[0] for word in words]
        # A recogniser may write one name as two words.
        pairs = [first + second for first, second in pairwise(stems)]
        self._words = [stem for stem in stems if stem] + pairs

    def likeness(self, name: str) -> tuple[int, float]:
        """How many words of `name` were heard, and how well all in all (0 to 1)."""
        words = language.words(language.fold(name, self._code))
        telling = [word for word in words if word not in self._company_words] or words
        heard = [how for word in telling if (how := self.word_likeness(word)) >= _ALIKE]
        return len(heard), sum(heard) / len(heard) if heard else 0.0

    def word_likeness(self, word: str) -> float:
        """How well one word of a name was heard; short ones must be whole."""
        return max((self._alike(word, heard) for heard in self._words), default=0.0)

    def _alike(self, word: str, heard: str) -> float:
        if word == heard or (heard.startswith(word) and self._ending.fullmatch(heard, len(word))):
            return 1.0
        sounds = _sound(word), _sound(heard)
        if min(len(word), len(heard)) <= _SHORT:
            return _SOUNDS_THE_SAME if sounds[0] == sounds[1] else 0.0
        spelt = SequenceMatcher(None, word, heard, autojunk=False).ratio()
        sounded = SequenceMatcher(None, *sounds, autojunk=False).ratio()
        return max(spelt, _SOUNDS_THE_SAME * sounded)


_SOUNDS = (("ph", "f"), ("ck", "k"), ("c", "k"), ("q", "k"), ("y", "i"), ("z", "s"), ("th", "t"), ("w", "v"))


def _sound(word: str) -> str:
    """A word by its sound, roughly: letters that recognisers take for each other made one, doubles single."""
    for letters, sound in _SOUNDS:
        word = word.replace(letters, sound)
    return re.sub(r"(.)\1", r"\1", word[:1] + word[1:].replace("h", ""))
