"""Reads what a caller said: numbers written or spoken, clock times, and the words of a small lexicon."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from tellerline import language
from tellerline.language import numbers

_APART = re.compile(r"\b([ap])\. ?m\b\.?")
_HYPHEN = re.compile(r"(?<=[a-z])[-‐‑](?=[a-z])")
_PIECE = re.compile(
    r"(?P<iso>\d{4}-\d\d-\d\d)(?!\d)"
    r"|(?P<numeric>\d{1,2}(?P<slash>[/.-])\d{1,2}(?P=slash)(?:\d{4}|\d\d))(?!\d)"
    r"|(?P<yearless>\d{1,2}/\d{1,2})(?![\d/])"
    r"|(?P<clock>\d{1,2}:\d\d)(?!\d)"
    # "2 000" is one number.
    r"|(?P<figure>\d{1,3}(?: \d{3})+(?:[.,]\d\d?)?(?![\d.,]*\d)|\d+(?:[.,]\d+)*)(?:'(?=[a-z]))?"
    r"|(?P<word>[a-z]+(?:'[a-z]+)?)"
    r"|(?P<mark>[^\w\s'])"
)


@dataclass(frozen=True)
class Token:
    """A number, a clock time, a date in figures, an entry of the lexicon, or any other word.

    `sign` is what patterns are written in: "N15" a number, "O15" an ordinal ("OS15" one in words), "C9:30",
    "D2022-03-15" or "D-03-15", an entry's name in capitals ("MONTHS"), or the word itself.
    """

    sign: str
    number: Decimal | None = None
    # Said in words rather than written in figures.
    spoken: bool = False
    # As it was written, folded.
    text: str = ""


class Lexicon:
    """Phrases of one language and the names they go by; endings that change nothing are passed over."""

    def __init__(self, code: str, entries: Mapping[str, Sequence[str]]) -> None:
        ending = language.data(code, "numbers")["word_ending"]
        self._ending = re.compile(f"(?:{ending})")
        phrases = [
            (tuple(language.fold(str(phrase), code).replace("'", "").split()), name)
            for name, listed in entries.items()
            for phrase in listed
        ]
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for words, name in sorted(phrases, key=lambda entry: -len(entry[0])):
            self._phrases.setdefault(words[0][:2], []).append((words, name))

    def match(self, words: Sequence[str], start: int) -> tuple[str, int] | None:
        """The entry at `start`, the longest there is, and the index behind it."""
        best: tuple[int, int, str] | None = None
        for phrase, name in self._phrases.get(words[start][:2], ()):
            end = start + len(phrase)
            if end > len(words) or tuple(words[start : end - 1]) != phrase[:-1]:
                continue
            last = words[end - 1]
            exact = last == phrase[-1]
            if exact or self._is_form(last, phrase[-1]):
                rank = (len(phrase), len(phrase[-1]) + 100 * exact, name)
                best = max(best, rank) if best else rank
        return (best[2], start + best[0]) if best else None

    def _is_form(self, word: str, stem: str) -> bool:
        return word.startswith(stem) and bool(self._ending.fullmatch(word, len(stem)))


@cache
def lexicon(code: str, name: str) -> Lexicon:
    """The lexicon under `heard` in language/<code>/<name>.yml."""
    return Lexicon(code, language.data(code, name)["heard"])


def read(text: str, code: str, name: str) -> list[Token]:
    """The tokens of `text` (language `code`), the words of lexicon `name` recognised among them."""
    pieces = list(_pieces(language.fold(text, code), code))
    texts = [piece.text if isinstance(piece, numbers.Word) else "" for piece in pieces]
    entries, tokens, index = lexicon(code, name), [], 0
    while index < len(pieces):
        piece = pieces[index]
        if isinstance(piece, Token):
            tokens.append(piece)
            index += 1
        elif texts[index] and (entry := entries.match(texts, index)):
            tokens.append(Token(entry[0], text=" ".join(texts[index : entry[1]])))
            index = entry[1]
        elif number := numbers.compose(pieces, index, code):
            tokens.append(_number(number, piece))
            index = number.end
        else:
            tokens.append(_other(piece, code))
            index += 1
    return tokens


def signs(tokens: Sequence[Token]) -> str:
    """The signs of `tokens`, each between spaces: what patterns are matched against."""
    return " " + "  ".join(token.sign for token in tokens) + " "


def _number(number: numbers.Number, first: numbers.Word) -> Token:
    kind = "N" if not number.ordinal else "OS" if number.spoken else "O"
    value = number.value.normalize() if number.spoken else number.value
    return Token(f"{kind}{value:f}", number.value, spoken=number.spoken, text=first.text)


def _other(word: numbers.Word, code: str) -> Token:
    vocabulary = numbers.vocabulary(code)
    if vocabulary.is_half(word.text):
        return Token("HALF", text=word.text)
    if word.text in vocabulary.articles:
        return Token("A", text=word.text)
    return Token(word.text, text=word.text)


def _pieces(text: str, code: str) -> Iterator[numbers.Word | Token]:
    vocabulary = numbers.vocabulary(code)
    text, position = _HYPHEN.sub(" ", _APART.sub(r"\1m", text)), 0
    while match := _PIECE.search(text, position):
        position = match.end()
        kind, piece = match.lastgroup, match[0]
        if kind == "iso":
            yield Token(f"D{piece}", text=piece)
        elif match["numeric"]:
            yield _numeric_date(match["numeric"], match["slash"])
        elif kind == "yearless":
            day, month = piece.split("/")
            yield Token(f"D-{int(month):02}-{int(day):02}", text=piece)
        elif kind == "clock":
            yield Token(f"C{piece}", text=piece)
        elif kind == "figure":
            ending = vocabulary.figure_ending.match(text, position)
            position = ending.end() if ending else position
            yield numbers.Word(
                match["figure"],
                figure=vocabulary.figure(match["figure"]),
                ordinal=bool(ending and ending["ordinal"]),
            )
        elif kind == "word":
            stem, _, ending_text = piece.partition("'")
            # Turkish names end behind an apostrophe ("Mart'ın"); English ones only in 's ("Anna's").
            keeps = code == "en" and ending_text != "s"
            yield numbers.Word(stem + ending_text if keeps else stem, ended=bool(ending_text))
        else:
            yield numbers.Word(piece)


def _numeric_date(text: str, mark: str) -> Token:
    day, month, year = (int(part) for part in text.split(mark))
    return Token(f"D{year + 2000 if year < 100 else year}-{month:02}-{day:02}", text=text)
