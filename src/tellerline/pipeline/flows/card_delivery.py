"""Where a card is that is on its way."""

from __future__ import annotations

from tellerline.pipeline.flows import choosing
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb

_STATUSES = ("ordered", "produced", "posted", "delivered", "returned")


async def begin(desk: Desk, state: State, said: Said) -> Plan:
    """Where the card is; the one that was named, where several are on their way."""
    cards = [card for card in await desk.reads.cards(desk.speculative) if card.state == "in_delivery"]
    if not cards:
        return desk.anything_else(state, desk.say("let_me_see"), desk.say("no_delivery"))
    meant = choosing.held(desk, said, cards) or cards
    if len(meant) > 1:
        names = [desk.card(card) for card in meant]
        question = desk.say("which_card", cards=desk.either(names))
        state = state.at("card_delivery", "which", offered=[card.card_id for card in meant])
        return desk.answer(state, ask=choosing.offer(desk, state, question, names))
    return await _tell(desk, state, meant[0])


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """The card that was chosen."""
    cards = [
        card for card in await desk.reads.cards(desk.speculative) if card.card_id in state.slots["offered"]
    ]
    meant = choosing.held(desk, event, cards)
    return await _tell(desk, state, meant[0]) if len(meant) == 1 else None


async def _tell(desk: Desk, state: State, card: pb.Card) -> Plan:
    delivery = await desk.reads.card_delivery(card.card_id, desk.speculative)
    if delivery.refusal or delivery.status not in _STATUSES:
        return desk.anything_else(state, desk.say("let_me_see"), desk.say("no_delivery"))
    lines = desk.say(
        f"delivery_{delivery.status}", card=desk.card(card), posted_on=desk.day(delivery.posted_on)
    )
    when: tuple[str, ...] = ()
    if delivery.status in ("ordered", "produced", "posted"):
        expected = desk.day(delivery.expected_on)
        when = (
            desk.say("delivery_expected", expected_on=expected) if expected else desk.say("delivery_unknown")
        )
    return desk.anything_else(state, desk.say("let_me_see"), lines, when)


FLOW = Flow("card_delivery", pb.AuthenticationReply.AUTHENTICATED, begin, go_on)
