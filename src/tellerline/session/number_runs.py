"""Finds runs of digits in what was said: figures, number words, spelled letters and what lies between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from tellerline import language
from tellerline.language import numbers

# Figures and words apart: "4929'u", "x2" and "TR33" are two tokens each.
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
# A run ends where more than so many words say no digit.
_FILLERS_MAX = 3
_LETTERS_MAX = 6
# Between the figures of one number stand space and punctuation, never the end of a line or a currency's sign.
_BREAK = re.compile(r"[\n\r€$£₺%]")


class Words:
    """The word lists of one language's redaction.yml."""

    def __init__(self, code: str) -> None:
        data = language.data(code, "redaction")
        self.numbers = numbers.vocabulary(code)
        self.digits: dict[str, int] = data["digits"]
        self.repeats: dict[str, int] = data["repeats"]
        self.homophones: dict[str, int] = data["homophones"]
        self.letters: dict[str, str] = data["letters"]
        self.times = frozenset(data["times"])
        self.fillers = frozenset(data["fillers"])
        self.letters_that_are_words = frozenset(data["letters_that_are_words"])
        self.hundreds_are_parts: bool = data["hundreds_are_parts"]
        # "Twelve hundred" is said in English.
        self.numbers_before_hundred = 9 if self.hundreds_are_parts else 99
        lists = {name: entries for name, entries in data.items() if isinstance(entries, list)}
        self._exact = {n: frozenset(e for e in entries if e[-1:] != "*") for n, entries in lists.items()}
        self._stems = {n: tuple(e[:-1] for e in entries if e[-1:] == "*") for n, entries in lists.items()}

    def has(self, name: str, folded: Iterable[str]) -> bool:
        """Whether one of the `folded` words is in the list `name`."""
        exact, stems = self._exact[name], self._stems[name]
        return any(word in exact or (bool(stems) and word.startswith(stems)) for word in folded)


@cache
def words(code: str) -> Words:
    """The word lists of language `code`."""
    return Words(code)


@dataclass(frozen=True)
class Token:
    """A figure or a word, where it stands, and what it is in a number."""

    start: int
    end: int
    text: str
    folded: str
    # "figure", "number", "repeat", "times", "homophone", "letter", "capitals", "filler" or "other".
    kind: str
    parts: tuple[numbers.Part, ...] = ()
    # Nothing but space and punctuation lies before it, no line's end and no currency sign.
    follows: bool = True


@dataclass
class Group:
    """One number within a run: a figure as written, or the number that words come to."""

    digits: str
    written: bool
    # Hundreds or more were said: "two hundred", not "two" or "twenty two".
    in_full: bool = False


@dataclass
class Run:
    """Tokens `first` to `last` (of all), and the numbers they come to."""

    first: int
    last: int
    groups: list[Group] = field(default_factory=list)
    # Figures and spelled letters in their order: "TR33...".
    spelled: str = ""

    @property
    def digits(self) -> str:
        """All digits, in order."""
        return "".join(group.digits for group in self.groups)


def tokens(text: str, code: str) -> list[Token]:
    """Every figure and word of `text`, in order."""
    known, found, behind = words(code), [], 0
    for match in _TOKEN.finditer(text):
        folded = language.fold(match[0], code)
        kind, parts = _kind(match[0], folded, known)
        follows = not _BREAK.search(text, behind, match.start())
        found.append(Token(match.start(), match.end(), match[0], folded, kind, parts, follows))
        behind = match.end()
    return found


def runs(found: Sequence[Token], code: str) -> Iterator[Run]:
    """The runs of digits among the tokens `found`, in order; none overlaps another."""
    index = 0
    while index < len(found):
        end = _run_end(found, index)
        if end > index:
            yield _composed(found, index, end, words(code))
            index = end
        else:
            index += 1


def _kind(text: str, folded: str, known: Words) -> tuple[str, tuple[numbers.Part, ...]]:
    if text.isdecimal():
        return "figure", ()
    if folded in known.digits:
        return "number", (("unit", known.digits[folded]),)
    # "K" is a thousand in numbers.yml, and more often a letter here.
    split = known.numbers.split(folded, goes_on=True) if len(folded) > 1 else None
    if split is not None and not split[1]:
        return "number", tuple(split[0])
    if folded in known.repeats:
        return "repeat", (("unit", known.repeats[folded]),)
    if folded in known.homophones:
        return "homophone", (("unit", known.homophones[folded]),)
    if folded in known.times:
        return "times", ()
    if folded in known.letters or len(folded) == 1:
        return "letter", ()
    if folded in known.fillers:
        return "filler", ()
    # A bank's letters of an IBAN: "NWBK".
    return ("capitals" if text.isupper() and len(text) <= 4 else "other"), ()


def _run_end(found: Sequence[Token], first: int) -> int:
    """The index behind the last number of the run that begins at `first`; `first` where none does."""
    if found[first].kind not in ("figure", "number", "repeat"):
        return first
    end, fillers, letters = first, 0, 0
    for index in range(first, len(found)):
        token = found[index]
        if index > first and not token.follows:
            break
        if token.kind in ("figure", "number"):
            end, fillers, letters = index + 1, 0, 0
        elif token.kind in ("letter", "capitals"):
            letters += len(token.text) if token.kind == "capitals" else 1
        elif token.kind != "other":
            fillers += token.kind in ("filler", "homophone")
        else:
            break
        if fillers > _FILLERS_MAX or letters > _LETTERS_MAX:
            break
    return end


def _composed(found: Sequence[Token], first: int, end: int, known: Words) -> Run:
    run = Run(first, end - 1)
    composer = _Composer(run, known)
    for index in range(first, end):
        token = found[index]
        if token.kind == "homophone":
            # Between two digits said one by one; elsewhere it is the word it looks like.
            around = (found[index - 1].parts, found[index + 1].parts) if first < index < end - 1 else ((), ())
            if all(len(parts) == 1 and parts[0][0] == "unit" for parts in around):
                composer.part(*token.parts[0])
            else:
                composer.close()
        elif token.kind == "letter":
            composer.letter(known.letters.get(token.folded, token.folded))
        elif token.kind == "capitals":
            composer.letter(token.folded)
        elif token.kind == "figure":
            composer.figure(token.text)
        elif token.kind == "times":
            composer.times()
        elif token.kind == "repeat":
            composer.repeat(token.parts[0][1])
        elif token.kind == "number":
            for part in token.parts:
                composer.part(*part)
        # "And" joins hundreds and the rest; other fillers lie between numbers.
        elif token.folded not in known.numbers.joins:
            composer.close()
    composer.close()
    return run


class _Composer:
    """Puts parts together to numbers: "five hundred thirty" and "two" to 532, "four" and "nine" to 4, 9."""

    def __init__(self, run: Run, known: Words) -> None:
        self._run = run
        self._hundreds_max = known.numbers_before_hundred
        self._repeat = 1
        self._total = self._smallest = 0
        self._current: int | None = None
        self._rank = self._figure = ""
        self._in_full = False

    def part(self, rank: str, value: int) -> None:
        """A part of a number word."""
        if rank == "scale":
            self._scale(value)
        elif rank == "hundred":
            if self._rank == "hundred" or not 1 <= (self._current or 1) <= self._hundreds_max:
                self.close()
            self._current, self._rank, self._in_full = (self._current or 1) * 100, rank, True
        else:
            fits = self._rank in ("", "scale", "hundred") or (self._rank == "tens" and rank == "unit")
            if not fits or (value == 0 and self._rank):
                self.close()
            self._current, self._rank = (self._current or 0) + value, rank
            if self._repeat > 1:
                self.close()

    def figure(self, text: str) -> None:
        """A written figure: a group as it stands, unless hundreds or thousands of it follow ("20 bin")."""
        if self._rank == "scale" and 0 < int(text) < self._smallest:
            # "4 thousand 500".
            self._current, self._rank = int(text), "figure"
            return
        self.close()
        self._current, self._rank, self._figure = int(text), "figure", "".join(str(int(c)) for c in text)

    def letter(self, letters: str) -> None:
        """A spelled letter, or several."""
        self.close()
        self._run.spelled += letters.upper()

    def repeat(self, count: int) -> None:
        """The next digit comes `count` times."""
        self.close()
        self._repeat = count

    def times(self) -> None:
        """What was just said is how often the next digit comes ("iki tane sıfır")."""
        count = self._current
        if count is not None and 2 <= count <= 9 and not self._in_full:
            self._clear()
            self._repeat = count
        else:
            self.close()

    def close(self) -> None:
        """The number under way is complete."""
        if self._current is None and not self._total:
            return
        written = self._rank == "figure" and not self._total
        digits = self._figure if written else str(self._total + (self._current or 0))
        for _ in range(self._repeat if len(digits) == 1 else 1):
            self._run.groups.append(Group(digits, written, self._in_full))
            self._run.spelled += digits
        self._repeat = 1
        self._clear()

    def _scale(self, value: int) -> None:
        if self._total and value >= self._smallest:
            # "Two thousand five thousand": the five belongs to the second.
            current, self._current = self._current, None
            self.close()
            self._current = current
        self._total += (1 if self._current is None else self._current) * value
        self._current, self._rank, self._in_full, self._smallest = None, "scale", True, value

    def _clear(self) -> None:
        self._total = self._smallest = 0
        self._current = None
        self._rank = self._figure = ""
        self._in_full = False
