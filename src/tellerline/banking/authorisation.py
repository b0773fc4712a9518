"""Who may do what: levels of authentication, why something is refused, and what each operation asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """What is known of the caller; the values are those of AuthenticationReply.Level."""

    NOBODY = 0
    IDENTIFIED = 1
    AUTHENTICATED = 2


class Refusal(StrEnum):
    """Why something was not done; the values are the names of the message enum Refusal."""

    NOT_AUTHENTICATED = "NOT_AUTHENTICATED"
    STALE = "STALE"
    LIMIT_PER_CALL = "LIMIT_PER_CALL"
    LIMIT_PER_DAY = "LIMIT_PER_DAY"
    NOT_FOUND = "NOT_FOUND"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    CLOSED = "CLOSED"
    TOKEN_REFUSED = "TOKEN_REFUSED"
    REFUSED_BY_BANK = "REFUSED_BY_BANK"


class Refused(Exception):
    """An operation was refused; nothing was done."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a call's caller says they are, and from AUTHENTICATED on, who they are.

    `customer_number` is as typed. `customer_id` is the bank's reference, "" while the bank was not asked.
    `caller` is the user part of From.
    """

    call_id: str
    level: Level
    customer_number: str
    caller: str
    customer_id: str = ""
    language: str = ""

    def authenticated(self, customer_id: str, language: str) -> Identity:
        """The same caller after the bank has verified their PIN."""
        return replace(self, level=Level.AUTHENTICATED, customer_id=customer_id, language=language)


@dataclass(frozen=True, slots=True)
class Standing:
    """An identity, and whether it was used within the idle time (RTS 2018/389 Art. 4(3)(d): five minutes)."""

    identity: Identity
    fresh: bool


# What an operation needs; operations that are not here need nothing.
NEEDED = {
    "accounts": Level.AUTHENTICATED,
    "transactions": Level.AUTHENTICATED,
    "cards": Level.IDENTIFIED,
    "card_delivery": Level.AUTHENTICATED,
    # A thief gains nothing by blocking a card; its owner must not be kept from it by a forgotten PIN.
    "block_card": Level.IDENTIFIED,
    "bills": Level.AUTHENTICATED,
    "payees": Level.AUTHENTICATED,
    "quote": Level.AUTHENTICATED,
    "execute": Level.AUTHENTICATED,
}


def admit(operation: str, standing: Standing | None) -> Identity:
    """The caller, if they may do `operation` now. Raises Refused."""
    needed = NEEDED[operation]
    if standing is None or standing.identity.level < needed:
        raise Refused(Refusal.NOT_AUTHENTICATED)
    if needed is Level.AUTHENTICATED and not standing.fresh:
        raise Refused(Refusal.STALE)
    return standing.identity
