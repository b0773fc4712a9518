"""What Tellerline says and listens for in each language: phrases, prompts and word lists."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Formatter
from typing import Any

import yaml

from tellerline.errors import SettingsError


@dataclass(frozen=True)
class Language:
    """One language's folder, read whole."""

    code: str
    # Fixed phrases by key.
    phrases: dict[str, str]
    # What is said with slots in it, by key: clauses, the first of them a fixed one where it can be.
    templates: dict[str, tuple[str, ...]]
    # What callers say that needs no model: lists of words by what they mean, each explained in commands.yml.
    commands: dict[str, Any]
    # What the language model is told to be.
    prompt: str
    # How it is to answer: pairs of what a caller says and a good answer, part of its prompt.
    examples: tuple[tuple[str, str], ...]
    # Word lists, each explained in words.yml.
    backchannels: frozenset[str]
    floor_words: frozenset[str]
    dangling: frozenset[str]
    goodbyes: frozenset[str]
    courtesies: frozenset[str]
    number_beginnings: frozenset[str]
    number_parts: frozenset[str]
    number_openings: frozenset[str]
    numbers: frozenset[str]
    ordinals: frozenset[str]
    articles: frozenset[str]
    of_words: frozenset[str]
    never_of: frozenset[str]
    dates_follow: frozenset[str]
    ones: frozenset[str]
    one_is_a_pronoun_after: frozenset[str]
    one_is_a_pronoun_before: frozenset[str]
    passed_over: frozenset[str]
    units: frozenset[str]
    periods: frozenset[str]
    spans_begin: frozenset[str]
    indefinites: frozenset[str]
    patience: frozenset[str]
    parts_of_day: frozenset[str]
    dates: frozenset[str]
    time_pairs: frozenset[str]
    months_and_verbs: frozenset[str]
    may_is_a_month_after: frozenset[str]
    secrets: frozenset[str]
    secret_things: frozenset[str]
    secret_owners: frozenset[str]
    asking_words: frozenset[str]
    pleases: frozenset[str]
    harmless_pairs: frozenset[str]
    harmless_after: frozenset[str]


@cache
def load(code: str) -> Language:
    """The language `code` ("en"). Raises SettingsError when there is no such folder."""
    folder = resources.files(__name__) / code
    if not (folder / "phrases.yml").is_file():
        raise SettingsError(
            f"language: {code!r} is not one of ours; there is a folder for each under language/"
        )
    words: dict[str, list[Any]] = data(code, "words")
    examples: list[dict[str, str]] = data(code, "examples")
    return Language(
        code=code,
        phrases=data(code, "phrases"),
        templates={
            key: (text,) if isinstance(text, str) else tuple(text)
            for key, text in data(code, "templates").items()
        },
        commands=data(code, "commands"),
        prompt=(folder / "prompt.md").read_text(encoding="utf-8").strip(),
        examples=tuple((pair["caller"], pair["bot"]) for pair in examples),
        **{name: frozenset(str(word) for word in entries) for name, entries in words.items()},
    )


@cache
def data(code: str, name: str) -> Any:
    """What language/<code>/<name>.yml holds; an empty dict where there is no such file."""
    file = resources.files(__name__) / code / f"{name}.yml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}


def clauses(code: str, key: str, **slots: str) -> tuple[str, ...]:
    """Template `key` in language `code`, its slots ("{amount}") filled with words from language/speech.py.

    A clause all of whose slots are empty is left out; each begins with a capital. Raises KeyError for a
    template or slot unknown.
    """
    filled = []
    for clause in load(code).templates[key]:
        names = [name for _, name, _, _ in Formatter().parse(clause) if name]
        if not names or any(slots[name] for name in names):
            filled.append(capital(clause.format(**slots), code))
    return tuple(filled)


def capital(text: str, code: str) -> str:
    """`text` with its first letter in capital; the Turkish i keeps its dot."""
    first = "İ" if code == "tr" and text.startswith("i") else text[:1].upper()
    return first + text[1:]


def fold(text: str, code: str) -> str:
    """`text` in lower case of language `code`, without accents; the Turkish dotless i like the dotted one.

    Recognisers and callers' keyboards drop accents as they please, and nothing here hangs on them.
    """
    if code == "tr":
        text = text.replace("İ", "i").replace("I", "i")
    text = text.lower().replace("ı", "i").replace("’", "'")
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def words(text: str) -> list[str]:
    """The words of `text`, lower case, apostrophes and inner hyphens kept, other punctuation gone."""
    cleaned = "".join(
        c if c.isalnum() or c in "'-" else " " for c in text.replace("İ", "i").lower().replace("’", "'")
    )
    return [word.strip("'-") for word in cleaned.split() if word.strip("'-")]


__all__ = ["Language", "capital", "clauses", "data", "fold", "load", "words"]
