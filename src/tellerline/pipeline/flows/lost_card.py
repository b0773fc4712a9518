"""A lost card, blocked with the lowest authentication: a thief gains nothing by blocking it."""

from __future__ import annotations

from tellerline.pipeline.flows import authentication, choosing
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Blocked, Key, Result, Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Block, Plan
from tellerline.pipeline.flows.state import Goal, State
from tellerline.rpc import banking_pb2 as pb

AUTHENTICATED = pb.AuthenticationReply.AUTHENTICATED


async def begin(desk: Desk, state: State, said: Said) -> Plan:
    """Asks whether to block the card that was named, or the only one; otherwise which.

    Below AUTHENTICATED banking tells no endings. Cards that cannot be told apart without them need the PIN.
    """
    cards = [card for card in await desk.reads.cards(desk.speculative) if card.state != "blocked"]
    if not cards:
        return desk.anything_else(state, desk.say("no_cards"))
    # A card that has not arrived is seldom the lost one.
    arrived = [card for card in cards if card.state != "in_delivery"] or cards
    meant = choosing.held(desk, said, cards) or arrived
    if len(meant) == 1:
        return _ask(desk, state, meant[0])
    names = [desk.card(card) for card in meant]
    if len(set(names)) < len(names) and state.level < AUTHENTICATED:
        return authentication.begin(desk, state, Goal("lost_card", said.text), AUTHENTICATED)
    question = desk.say("which_card", cards=desk.either(names))
    state = state.at("lost_card", "which", offered=[card.card_id for card in meant])
    return desk.answer(state, desk.say("all_right"), ask=choosing.offer(desk, state, question, names))


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """The card that was chosen, then yes or no; another card instead: "no, the credit card"."""
    if state.step == "blocking":
        return None
    cards = [card for card in await desk.reads.cards(desk.speculative) if card.state != "blocked"]
    if state.step == "which":
        offered = [card for card in cards if card.card_id in state.slots["offered"]]
        meant = choosing.held(desk, event, offered)
        return _ask(desk, state, meant[0]) if len(meant) == 1 else None
    if choosing.agrees(desk, event):
        card_id = state.slots["card_id"]
        blocking = state.at("lost_card", "blocking", card=state.slots["card"])
        return desk.answer(blocking, desk.say("all_right")).having(write=Block(card_id))
    if isinstance(event, Said):
        meant = choosing.held(desk, event, cards)
        if len(meant) == 1:
            return _ask(desk, state, meant[0])
    if isinstance(event, Key) or choosing.declines(desk, event):
        return desk.answer(state.open(), ask=desk.say("not_done"))
    return None


def written(desk: Desk, state: State, result: Result) -> Plan:
    """What became of it."""
    card = str(state.slots.get("card", ""))
    if not isinstance(result, Blocked) or result.reply is None:
        return desk.answer(state.open(), desk.say("bank_away"))
    if not result.reply.blocked:
        return desk.answer(state.open(), desk.say("card_not_blocked", card=card))
    replaced = desk.say("replacement_ordered") if result.reply.replacement_ordered else ()
    return desk.anything_else(state, desk.say("card_blocked", card=card), replaced)


def _ask(desk: Desk, state: State, card: pb.Card) -> Plan:
    called = desk.card(card)
    state = state.at("lost_card", "confirm", card_id=card.card_id, card=called)
    return desk.answer(state, desk.say("block_card", card=called), ask=desk.say("block_question"))


FLOW = Flow("lost_card", pb.AuthenticationReply.IDENTIFIED, begin, go_on, written)
