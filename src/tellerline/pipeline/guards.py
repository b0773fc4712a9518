"""Checks between the language model and the caller's ear: no figures, no prying, no rambling, no repeats."""

from __future__ import annotations

import re
import unicodedata

from tellerline import language
from tellerline.language import numbers

# The starter model rambles; two spoken sentences are an answer.
MAX_SENTENCES = 2
MAX_WORDS = 45

_SENTENCE_ENDS = re.compile(r"[.!?](?=\s)")


class FigureGuard:
    """Finds what a model must never say: numbers, amounts, percentages, dates, times."""

    def __init__(self, words: language.Language) -> None:
        self._words = words
        self._beginnings = tuple(words.number_beginnings)
        self._vocabulary = numbers.vocabulary(words.code)

    def speaks_figures(self, text: str) -> bool:
        """Whether `text` holds a digit, a number word, a currency, a percentage, a date or a time.

        Numbers are found in words run together ("fivehundred") too: a voice speaks those as well.
        """
        if any(c.isdigit() or c == "%" or unicodedata.category(c) in ("Sc", "Nl", "No") for c in text):
            return True
        heard = _Heard(language.words(_plain(text)), self._words.code)
        return any(
            self._is_figure(word, heard) or self._is_figure_here(heard, index)
            for index, word in enumerate(heard.words)
        )

    def _is_figure(self, word: str, heard: _Heard) -> bool:
        stem = word if word in self._words.dates else word.split("'")[0]
        if self._is_number(stem) or any(
            stem.startswith(opening) and self._is_number(stem.removeprefix(opening))
            for opening in self._words.number_openings
        ):
            return True
        return heard.is_form(stem, self._words.dates) or heard.is_form(stem, self._words.units)

    def _is_number(self, stem: str) -> bool:
        return (
            stem in self._words.numbers
            or (bool(self._beginnings) and stem.startswith(self._beginnings))
            or any(part in stem for part in self._words.number_parts)
            or self._vocabulary.is_counting(stem)
        )

    def _is_figure_here(self, heard: _Heard, index: int) -> bool:
        word = heard.at(index)
        if f"{word} {heard.at(index + 1)}" in self._words.time_pairs:
            return True
        if word in self._words.months_and_verbs:
            return heard.at(index - 1) in self._words.may_is_a_month_after
        if word in self._words.ordinals:
            return self._is_a_date(heard, index)
        if word in self._words.ones:
            return self._counts(heard, index) or not self._is_pronoun(heard, index)
        return word in self._words.spans_begin and self._begins_a_span(heard, index)

    def _is_a_date(self, heard: _Heard, index: int) -> bool:
        before, after = heard.at(index - 1), heard.at(index + 1)
        follows = heard.at(index - 2) in self._words.dates_follow
        if before in self._words.articles and (not after or follows):
            return True
        is_one_of = after in self._words.of_words and heard.at(index + 2) not in self._words.never_of
        return is_one_of or not self._words.months_and_verbs.isdisjoint((before, after))

    def _counts(self, heard: _Heard, index: int) -> bool:
        following = index + 1
        while heard.at(following) in self._words.passed_over:
            following += 1
        return heard.is_form(heard.at(following), self._words.periods)

    def _is_pronoun(self, heard: _Heard, index: int) -> bool:
        return (
            heard.at(index - 1) in self._words.one_is_a_pronoun_after
            or heard.at(index + 1) in self._words.one_is_a_pronoun_before
        )

    def _begins_a_span(self, heard: _Heard, index: int) -> bool:
        word, after = heard.at(index), heard.at(index + 1)
        if word in self._words.indefinites:
            # "Just a minute": patience is no figure.
            return heard.is_form(after, self._words.periods - self._words.patience)
        return heard.is_form(after, self._words.periods | self._words.parts_of_day)


class _Heard:
    """Words one after another, hyphens opened; "" beyond either end."""

    def __init__(self, words: list[str], code: str) -> None:
        self.words = [part for word in words for part in word.split("-") if part]
        self._code = code
        self._ending = re.compile(language.data(code, "numbers")["word_ending"])

    def at(self, index: int) -> str:
        return self.words[index] if 0 <= index < len(self.words) else ""

    def is_form(self, word: str, listed: frozenset[str]) -> bool:
        """Whether `word` is one of those `listed`, perhaps with an ending: "euros", "liraya"."""
        return any(
            word[:length] in listed and self._is_ending(word[length:]) for length in range(len(word), 0, -1)
        )

    def _is_ending(self, rest: str) -> bool:
        # The endings are written without accents and dotless i's (language/<code>/numbers.yml).
        return not rest or bool(self._ending.fullmatch(language.fold(rest, self._code)))


def _plain(text: str) -> str:
    # Full-width letters and invisible characters are spoken like plain ones.
    return "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")


class SecretsGuard:
    """Finds what a model must never ask for on a line where nobody has proved who they are."""

    def __init__(self, words: language.Language) -> None:
        self._words = words

    def asks_for_secrets(self, sentence: str) -> bool:
        """Whether `sentence`, perhaps still without its end, asks for numbers, codes or personal details."""
        heard = _Heard(language.words(_plain(sentence)), self._words.code)
        if not any(self._is_secret(heard, index) for index in range(len(heard.words))):
            return False
        asks = "?" in sentence or heard.words[-1] in self._words.pleases
        return asks or any(heard.is_form(word, self._words.asking_words) for word in heard.words)

    def _is_secret(self, heard: _Heard, index: int) -> bool:
        word, before, after = heard.at(index), heard.at(index - 1), heard.at(index + 1)
        if heard.is_form(word, self._words.secret_things):
            return heard.is_form(before, self._words.secret_owners)
        is_pair = f"{before} {after}" in self._words.harmless_pairs
        harmless = is_pair or heard.at(index - 2) in self._words.harmless_after
        return heard.is_form(word, self._words.secrets) and not harmless


class PromiseGuard:
    """Finds what a model cannot know or do: promises, advice, deeds at the bank, and read-backs of orders."""

    def __init__(self, words: language.Language) -> None:
        self._promises = tuple(f" {' '.join(language.words(entry))} " for entry in words.commands["promises"])

    def promises(self, sentence: str) -> bool:
        """Whether `sentence` promises, advises, claims that something was done, or asks to confirm it."""
        heard = f" {' '.join(language.words(_plain(sentence)))} "
        return any(promise in heard for promise in self._promises)


class RambleGuard:
    """Ends an answer that has said enough, or says the same again."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._words = 0
        self._sentences = 0

    def allows(self, clause: str) -> bool:
        """Whether `clause` may still be spoken; counts it if so."""
        heard = " ".join(language.words(clause))
        if not heard or heard in self._said or self._sentences >= MAX_SENTENCES or self._words >= MAX_WORDS:
            return False
        self._said.append(heard)
        self._words += len(heard.split())
        self._sentences += clause.rstrip().endswith((".", "!", "?"))
        return True


def is_enough(answer: str) -> bool:
    """Whether `answer` holds all that RambleGuard would let through."""
    return len(_SENTENCE_ENDS.findall(answer)) >= MAX_SENTENCES or len(answer.split()) > MAX_WORDS
