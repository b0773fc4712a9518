"""Messages of banking.proto ↔ the words of banking."""

from __future__ import annotations

from tellerline.banking import model
from tellerline.banking.authentication import Authenticated
from tellerline.banking.authorisation import Refusal
from tellerline.banking.books import OrderRow, OrderState
from tellerline.banking.enquiries import Asked, CardsSeen
from tellerline.banking.orders import Quoted
from tellerline.rpc import banking_pb2 as pb


class Unintelligible(Exception):
    """A request that means nothing; the text says what would, and quotes none of it."""


def asked(request: pb.CallRequest) -> Asked:
    """On which call something is asked."""
    return Asked(request.call_id, request.turn_id, request.speculative)


def refusal(value: Refusal | None) -> str:
    """The name of the message enum of a refusal; REFUSAL_NONE for None."""
    return "REFUSAL_NONE" if value is None else value.value


def money(value: model.Money) -> pb.Money:
    """An amount."""
    return pb.Money(minor_units=value.minor_units, currency=value.currency)


def authentication(value: Authenticated) -> pb.AuthenticationReply:
    """What is known of a caller."""
    return pb.AuthenticationReply(
        level=value.level.name,
        stale=value.stale,
        locked=value.locked,
        last_attempt=value.last_attempt,
        closed=value.closed,
        language=value.language,
    )


def account(value: model.Account) -> pb.Account:
    """An account."""
    return pb.Account(
        account_id=value.account_id,
        kind=value.kind,
        name=value.name,
        ending=value.ending,
        balance=money(value.balance),
        available=money(value.available),
    )


def transaction(value: model.Transaction) -> pb.Transaction:
    """One entry of an account."""
    return pb.Transaction(
        date=value.booked_on.isoformat(), description=value.description, amount=money(value.amount)
    )


def cards(value: CardsSeen) -> pb.CardsReply:
    """Cards, with their digits where those may be told."""
    return pb.CardsReply(
        cards=(
            pb.Card(
                card_id=card.card_id,
                kind=card.kind,
                ending=card.ending if value.with_endings else "",
                state=card.state,
            )
            for card in value.cards
        )
    )


def card_delivery(value: model.CardDelivery) -> pb.CardDeliveryReply:
    """Where a card is."""
    return pb.CardDeliveryReply(
        status=value.status,
        posted_on=value.posted_on.isoformat() if value.posted_on else "",
        expected_on=value.expected_on.isoformat() if value.expected_on else "",
    )


def bill(value: model.Bill) -> pb.Bill:
    """A bill."""
    return pb.Bill(
        bill_id=value.bill_id,
        biller=value.biller,
        amount=money(value.amount),
        due_on=value.due_on.isoformat(),
    )


def payee(value: model.Payee) -> pb.Payee:
    """A payee."""
    return pb.Payee(payee_id=value.payee_id, name=value.name, ending=value.ending)


def branch(value: model.Branch) -> pb.Branch:
    """A branch and its hours."""
    hours = (
        pb.OpeningHours(weekday=h.weekday, opens=f"{h.opens:%H:%M}", closes=f"{h.closes:%H:%M}")
        for h in value.hours
    )
    return pb.Branch(name=value.name, address=value.address, hours=hours)


def order(request: pb.QuoteRequest) -> model.Order:
    """The order of a request. Raises Unintelligible."""
    try:
        return _order(request)
    except ValueError as error:
        raise Unintelligible(str(error)) from error


def _order(request: pb.QuoteRequest) -> model.Order:
    match request.WhichOneof("order"):
        case "transfer":
            given = request.transfer
            if given.amount.minor_units <= 0:
                raise ValueError("a transfer moves more than nothing")
            return model.TransferOrder(
                given.from_account_id,
                model.Money(given.amount.minor_units, given.amount.currency),
                payee_id=given.payee_id or None,
                to_account_id=given.to_account_id or None,
            )
        case "bill":
            return model.BillOrder(request.bill.from_account_id, request.bill.bill_id)
        case _:
            raise ValueError("a quote is for a transfer or for a bill")


def confirmation(request: pb.ExecuteRequest) -> str:
    """How the caller confirmed. Raises Unintelligible."""
    if request.confirmed_by not in ("keypad", "voice"):
        raise Unintelligible("an order is confirmed by keypad or by voice")
    return request.confirmed_by


def quote(value: Quoted) -> pb.QuoteReply:
    """What is read back."""
    return pb.QuoteReply(
        quote_id=str(value.quote_id),
        payee=value.quote.payee,
        payee_ending=value.quote.payee_ending,
        from_kind=value.quote.from_kind,
        from_ending=value.quote.from_ending,
        amount=money(value.quote.amount),
        fee=money(value.quote.fee),
        token=value.token,
        valid_seconds=value.valid_seconds,
    )


def execution(value: OrderRow) -> pb.ExecuteReply:
    """What became of an order; one that is begun is as much in doubt as one the bank did not answer for."""
    state = {
        OrderState.EXECUTED: pb.ExecuteReply.EXECUTED,
        OrderState.REFUSED: pb.ExecuteReply.REFUSED,
        OrderState.BEGUN: pb.ExecuteReply.PENDING,
        OrderState.IN_DOUBT: pb.ExecuteReply.PENDING,
    }[value.state]
    return pb.ExecuteReply(state=state, refusal=refusal(value.refusal), reference=value.reference)
