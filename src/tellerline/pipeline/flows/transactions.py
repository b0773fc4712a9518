"""What came and went on an account."""

from __future__ import annotations

from collections.abc import Sequence

from tellerline.pipeline.flows import choosing
from tellerline.pipeline.flows.desk import Desk
from tellerline.pipeline.flows.events import Key, Said
from tellerline.pipeline.flows.flow import Flow
from tellerline.pipeline.flows.plan import Plan
from tellerline.pipeline.flows.state import State
from tellerline.rpc import banking_pb2 as pb

# As many as a listener keeps in mind.
TOLD = 3
# A description is text from outside: so much of it is spoken, and never given to a model.
DESCRIPTION_CHARACTERS = 32


async def begin(desk: Desk, state: State, said: Said) -> Plan:
    """The newest of the account that was named, otherwise of the first."""
    accounts = await desk.reads.accounts(desk.speculative)
    if not accounts:
        return desk.anything_else(state, desk.say("no_accounts"))
    meant = choosing.held(desk, said, accounts)
    return (
        _which(desk, state, meant) if len(meant) > 1 else await _tell(desk, state, [*meant, accounts[0]][0])
    )


async def go_on(desk: Desk, state: State, event: Said | Key) -> Plan | None:
    """Those of the account that was chosen, or of another one."""
    if state.step == "told":
        if isinstance(event, Key):
            return None
        if choosing.declines(desk, event) and len(event.text.split()) <= 3:
            return None
    accounts = await desk.reads.accounts(desk.speculative)
    if state.step == "which":
        accounts = [account for account in accounts if account.account_id in state.slots["offered"]]
    meant = choosing.held(desk, event, accounts)
    return await _tell(desk, state, meant[0]) if len(meant) == 1 else None


async def _tell(desk: Desk, state: State, account: pb.Account) -> Plan:
    found = await desk.reads.transactions(account.account_id, TOLD, desk.speculative)
    called = desk.account(account)
    key = "transactions" if found else "no_transactions"
    entries = tuple(line for entry in found[:TOLD] for line in _entry(desk, entry))
    return desk.answer(
        state.at("transactions", "told"),
        desk.say("let_me_see"),
        desk.say(key, account=called),
        entries,
        ask=desk.say("anything_else"),
    )


def _which(desk: Desk, state: State, accounts: Sequence[pb.Account]) -> Plan:
    names = [desk.account(account) for account in accounts]
    slots = {"offered": [account.account_id for account in accounts]}
    question = desk.say("which_account", accounts=desk.either(names))
    return desk.answer(
        state.at("transactions", "which", **slots), ask=choosing.offer(desk, state, question, names)
    )


def _entry(desk: Desk, entry: pb.Transaction) -> tuple[str, ...]:
    out = entry.amount.minor_units < 0
    amount = pb.Money(minor_units=abs(entry.amount.minor_units), currency=entry.amount.currency)
    return desk.say(
        "transaction_out" if out else "transaction_in",
        date=desk.day(entry.date),
        amount=desk.money(amount),
        description=speakable(entry.description),
    )


def speakable(description: str) -> str:
    """What may be spoken of text from outside: its first words, without digits and marks.

    A sentence in it ends there, so that it cannot speak in the bank's place for long.
    """
    words: list[str] = []
    for word in description.replace("/", " ").replace("*", " ").split():
        plain = "".join(c for c in word if c.isalpha() or c in "'&-")
        if plain and sum(map(len, words)) + len(words) + len(plain) <= DESCRIPTION_CHARACTERS:
            words.append(plain)
        else:
            break
        if word.endswith((".", "!", "?", ":", ";")):
            break
    return " ".join(words)


FLOW = Flow("transactions", pb.AuthenticationReply.AUTHENTICATED, begin, go_on, settled=frozenset({"told"}))
