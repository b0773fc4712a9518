"""Number words: what "two hundred and five", "yirmibeş" and "1.250,50" come to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from tellerline import language

# A part of a number: its rank ("unit", "teen", "tens", "hundred", "scale") and its value.
Part = tuple[str, int]


@dataclass(frozen=True)
class Word:
    """A word or written figure of what was said, folded."""

    text: str
    # What the figure comes to; None of a word, and of a figure that is no number ("1.2.3").
    figure: Decimal | None = None
    # A figure with an ordinal's ending: "15th".
    ordinal: bool = False
    # An ending was cut off it: nothing goes on a number behind it.
    ended: bool = False


@dataclass(frozen=True)
class Number:
    """A number and where it ends among the words."""

    value: Decimal
    end: int
    ordinal: bool
    spoken: bool


class Vocabulary:
    """One language's numbers.yml."""

    def __init__(self, code: str) -> None:
        self._code = code
        data = language.data(code, "numbers")
        self.articles = frozenset(data["articles"])
        self.joins = frozenset(data["joins"])
        self.points = frozenset(data["points"])
        self._halves = frozenset(data["halves"])
        self._parts: dict[str, Part] = {
            **{word: ("unit", value) for word, value in data["units"].items()},
            **{word: ("teen", value) for word, value in data["teens"].items()},
            **{word: ("tens", value) for word, value in data["tens"].items()},
            **{word: ("hundred", 100) for word in data["hundreds"]},
            **{word: ("scale", value) for word, value in data["scales"].items()},
        }
        self._ordinals: dict[str, int] = data["ordinals"]
        self._otherwise = frozenset(data["otherwise"])
        self._decimal_mark: str = data["decimal_mark"]
        ordinal, ending = data["ordinal_ending"], data["word_ending"]
        # English words take no number's ending but Turkish ones do: "beşte", "beşincisi".
        self._ending = re.compile(rf"(?P<ordinal>{ordinal})?(?:{ending})") if code == "tr" else re.compile("")
        self.figure_ending = re.compile(rf"(?P<ordinal>{ordinal})\b|(?<=')[a-z]+")
        longest_first = sorted(self._parts, key=len, reverse=True)
        self._prefix = re.compile("|".join(longest_first))

    def is_half(self, word: str) -> bool:
        """Whether `word` is a half."""
        return any(word == half or (word.startswith(half) and len(half) > 4) for half in self._halves)

    def is_counting(self, word: str) -> bool:
        """Whether `word` is a number on its own: "yirmibeş", "ikisi"; a one may be an article."""
        folded = language.fold(word, self._code)
        if folded in self._ordinals:
            return False
        split = self.split(folded)
        return split is not None and (len(split[0]) > 1 or split[0][0][1] != 1 or split[1])

    def split(self, word: str, *, goes_on: bool = False) -> tuple[list[Part], bool, bool] | None:
        """The parts of a number word, perhaps written together; whether it is an ordinal; whether it ended.

        None of any other word; behind another number word (`goes_on`) fewer words are others.
        """
        if word in self._ordinals:
            value = self._ordinals[word]
            return (
                [("unit" if value < 10 else "tens" if value % 10 == 0 and value > 10 else "teen", value)],
                True,
                True,
            )
        if word in self._otherwise and not goes_on:
            return None
        parts, rest = [], word
        while rest and (match := self._prefix.match(rest)):
            parts.append(self._parts[match[0]])
            rest = rest[match.end() :]
        if not parts:
            return None
        ending = self._ending.fullmatch(rest)
        if ending is None:
            return None
        ordinal = bool(rest and "ordinal" in ending.groupdict() and ending["ordinal"])
        return parts, ordinal, bool(rest)

    def figure(self, text: str) -> Decimal | None:
        """What a written number comes to, by this language's marks; None where they stand wrong.

        Three digits behind the other language's decimal mark are thousands, fewer a fraction: recognisers
        write both ("1,250" and "1,5"). Three behind one's own could be either ("1.500"), and are no number.
        """
        text = text.replace(" ", "")
        marks = [c for c in text if not c.isdigit()]
        if not marks:
            return Decimal(text)
        if len(marks) == 1 and marks[0] == self._decimal_mark and len(text.split(marks[0])[1]) == 3:
            return None
        decimal = marks[-1] if len(set(marks)) == 2 else self._single_mark(text, marks)
        whole, _, fraction = text.rpartition(decimal) if decimal else (text, "", "")
        groups = re.split("[.,]", whole)
        if len(groups) > 1 and not (len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])):
            return None
        return Decimal("".join(groups) + ("." + fraction if fraction else ""))

    def _single_mark(self, text: str, marks: list[str]) -> str:
        thousands = len(marks) > 1 or (marks[0] != self._decimal_mark and len(text.split(marks[0])[1]) == 3)
        return "" if thousands else marks[0]


@cache
def vocabulary(code: str) -> Vocabulary:
    """The number words of language `code`."""
    return Vocabulary(code)


def compose(words: Sequence[object], start: int, code: str) -> Number | None:
    """The number that begins with word `start`, as long as it goes on; None where none begins."""
    composer = _Composer(vocabulary(code))
    index = start
    while index < len(words) and not composer.closed:
        word = words[index]
        taken = composer.take(word, words[index + 1 : index + 4]) if isinstance(word, Word) else 0
        if not taken:
            break
        index += taken
    if index == start:
        return None
    return Number(composer.value, index, composer.ordinal, composer.spoken)


class _Composer:
    """A number under way. `closed` when nothing can go on it."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._total = Decimal(0)
        self._current: Decimal | None = None
        self._last = ""
        self._smallest: Decimal | None = None
        self.closed = self.ordinal = False
        self.spoken = True

    @property
    def value(self) -> Decimal:
        """What it comes to so far."""
        return self._total + (self._current or 0)

    def take(self, word: Word, following: Sequence[object]) -> int:
        """Takes `word` on, and perhaps some of those `following`; how many in all."""
        if word.figure is not None:
            return self._take_figure(word)
        if self._last:
            if more := self._take_fraction(word, following):
                return more
            if word.text in self._words.joins:
                return self._take_join(following)
        elif word.text in self._words.articles and self._begins(following, ("hundred", "scale")):
            return 1 + self.take(_word(following[0]), following[1:])
        elif self._words.is_half(word.text):
            return self._take_half_of(following)
        return self._take_parts(word)

    def _take_figure(self, word: Word) -> int:
        assert word.figure is not None
        if self._last not in ("", "scale") or (self._smallest and word.figure >= self._smallest):
            return 0
        self._current, self._last = word.figure, "figure"
        self.spoken = self._smallest is not None
        self.ordinal = word.ordinal
        self.closed = word.ordinal or word.ended
        return 1

    def _take_parts(self, word: Word) -> int:
        split = self._words.split(word.text, goes_on=bool(self._last))
        if not split:
            return 0
        parts, ordinal, ended = split
        saved = (self._total, self._current, self._last, self._smallest)
        if not all(self._take_part(*part) for part in parts):
            self._total, self._current, self._last, self._smallest = saved
            return 0
        self.ordinal = ordinal
        self.closed = ordinal or ended or word.ended
        return 1

    def _take_part(self, rank: str, value: int) -> bool:
        if rank == "scale":
            if self._smallest is not None and value >= self._smallest:
                return False
            self._total += (1 if self._current is None else self._current) * value
            self._current, self._last, self._smallest = None, "scale", Decimal(value)
            return True
        if rank == "hundred":
            if self._last == "hundred" or (self._current or 0) >= 100:
                return False
            self._current, self._last = (self._current or Decimal(1)) * 100, "hundred"
            return True
        fits = self._current is None or self._last == "hundred" or (rank == "unit" and self._last == "tens")
        if not fits or (value == 0 and self._last):
            return False
        self._current, self._last = (self._current or Decimal(0)) + value, rank
        return True

    def _take_join(self, following: Sequence[object]) -> int:
        if self._last not in ("hundred", "scale") or not self._begins(
            following, ("unit", "teen", "tens", "figure")
        ):
            return 0
        return 1 + taken if (taken := self.take(_word(following[0]), following[1:])) else 0

    def _take_fraction(self, word: Word, following: Sequence[object]) -> int:
        if word.text in self._words.points:
            return self._take_point(following)
        texts = [word.text, *(w.text for w in following if isinstance(w, Word))]
        skipped = 0
        while len(texts) > skipped and texts[skipped] in self._words.joins | self._words.articles:
            skipped += 1
        needs_join = bool(self._words.joins)
        if skipped + (not needs_join) < 1 or len(texts) <= skipped or not self._words.is_half(texts[skipped]):
            return 0
        if self._last == "scale":
            return 0
        self._current, self._last = (self._current or Decimal(0)) + Decimal("0.5"), "half"
        return skipped + 1

    def _take_half_of(self, following: Sequence[object]) -> int:
        # "Half a million", "yarım milyon".
        skipped = 0
        while following[skipped : skipped + 1] and _word(following[skipped]).text in self._words.articles:
            skipped += 1
        if not self._begins(following[skipped:], ("scale",)):
            return 0
        self._current = Decimal("0.5")
        return 1 + skipped + self._take_parts(_word(following[skipped]))

    def _take_point(self, following: Sequence[object]) -> int:
        digits, taken = "", 0
        for word in following:
            split = self._words.split(_word(word).text)
            if _word(word).figure is not None:
                digits += _word(word).text
            elif (
                split and len(split[0]) == 1 and split[0][0][1] < 100 and not (digits and split[0][0][1] > 9)
            ):
                digits += str(split[0][0][1])
            else:
                break
            taken += 1
        if not digits.isdigit():
            return 0
        self._current = (self._current or Decimal(0)) + Decimal(f"0.{digits}")
        self._last = "half"
        return 1 + taken

    def _begins(self, following: Sequence[object], ranks: Sequence[str]) -> bool:
        if not following or not isinstance(following[0], Word):
            return False
        if following[0].figure is not None:
            return "figure" in ranks
        split = self._words.split(following[0].text)
        return split is not None and split[0][0][0] in ranks


def _word(piece: object) -> Word:
    return piece if isinstance(piece, Word) else Word("")
