"""The JSON of docs/bank-api.yaml: answers into the words of banking, orders out of them."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import pydantic

from tellerline.banking import model


class Garbled(Exception):
    """An answer does not follow the contract."""


@dataclass(frozen=True)
class Accounts:
    """Answer of `accounts`."""

    accounts: tuple[model.Account, ...]


@dataclass(frozen=True)
class Transactions:
    """Answer of `transactions`."""

    transactions: tuple[model.Transaction, ...]


@dataclass(frozen=True)
class Cards:
    """Answer of `cards`."""

    cards: tuple[model.Card, ...]


@dataclass(frozen=True)
class Bills:
    """Answer of `bills`."""

    bills: tuple[model.Bill, ...]


@dataclass(frozen=True)
class Payees:
    """Answer of `payees`."""

    payees: tuple[model.Payee, ...]


@dataclass(frozen=True)
class Branches:
    """Answer of `branches`."""

    branches: tuple[model.Branch, ...]


_Answer = TypeVar("_Answer")

# As docs/bank-api.yaml has it.
_DESCRIPTION_MAX = 140
_READERS: dict[type[Any], pydantic.TypeAdapter[Any]] = {}


def read(kind: type[_Answer], body: bytes) -> _Answer:
    """`body` as `kind`: strictly typed, unknown fields ignored.

    Raises Garbled naming the fields that are wrong and never what they hold.
    """
    reader = _READERS.get(kind)
    if reader is None:
        reader = _READERS[kind] = pydantic.TypeAdapter(kind)
    try:
        answer: _Answer = reader.validate_json(body, strict=True)
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        fields = sorted({".".join(map(str, fault["loc"])) or "the whole" for fault in faults})
        raise Garbled(
            f"its {kind.__name__} does not follow docs/bank-api.yaml in: {', '.join(fields[:5])}"
        ) from None
    tidied: _Answer = _tidied(answer)
    return tidied


def problem(body: bytes) -> str:
    """The `code` of an RFC 9457 problem; "" where there is none."""
    try:
        data = json.loads(body)
    except ValueError:
        return ""
    code = data.get("code") if isinstance(data, dict) else None
    return code if isinstance(code, str) else ""


def order(wanted: model.Order) -> dict[str, Any]:
    """`wanted` as an Order of the contract."""
    kind = "bill" if isinstance(wanted, model.BillOrder) else "transfer"
    given = {field: value for field, value in asdict(wanted).items() if value is not None}
    return {"kind": kind, **given}


def _tidied(answer: Any) -> Any:
    """What a bank may leave out filled in, and what strangers may write cut to what can be said."""
    match answer:
        case model.Execution(state=model.ExecutionState.REFUSED, reason=None):
            return replace(answer, reason=model.RefusalReason.REFUSED)
        case Transactions():
            return Transactions(
                tuple(replace(t, description=_plain(t.description)) for t in answer.transactions)
            )
    return answer


def _plain(text: str) -> str:
    """One line without control, format or surrogate characters (Unicode category C), 140 at most."""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(kept.split())[:_DESCRIPTION_MAX]
