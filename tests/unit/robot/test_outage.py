"""The outage benchmark without a stack: how records are counted, and what counts as told."""

from __future__ import annotations

from packet_traces import ACK_NS, MS, call, loud, spoke

from tellerline.robot import conversation, scenario
from tellerline.robot.benchmarks import outage
from tellerline.robot.benchmarks.bench import Result
from tellerline.robot.benchmarks.outage import Outage
from tellerline.rpc import conversation_pb2 as pb

ASKS = scenario.parse("name: x\nturns: [{say: a}]", "x")
LINE, VOICE = "connector@cpu-0", "pipeline@cpu-0/1"


def talked(said: str, ended_by: str = "caller") -> conversation.Conversation:
    """A call whose one question was answered with `said`."""
    trace = call(200, {80: loud()})
    trace.marks.append(spoke(20, 60))
    trace.ended_by = ended_by
    event = pb.ConversationEvent(at_ns=ACK_NS + 2_000 * MS, bot_spoke=pb.BotSpoke(text=said))
    return conversation.assemble(trace, ASKS, [event], None)


def missed(known: str, ended_by: str = "caller", stored: int = 3, closed: int = 2) -> list[str]:
    """The budgets missed where three records of one call were seen and `stored` arrived."""
    result = Result("outage")
    away = Outage(ACK_NS, ACK_NS + 60_000 * MS, waiting=2, empty_seconds=0.5, seen={("a", VOICE, 3)})
    arrived = {("a", VOICE, number) for number in range(1, stored + 1)}
    outage.judge(result, [talked(known, ended_by)], [talked("Today it is open.")], away, arrived, closed)
    return [budget.name for budget in result.budgets if not budget.held]


def test_everybody_served_and_everything_stored_holds() -> None:
    assert missed("Your current account holds ten pounds.") == []


def test_a_dropped_call_is_missed() -> None:
    assert missed("It holds ten pounds.", ended_by="bot") == ["calls dropped"]


def test_a_record_that_never_arrived_is_missed() -> None:
    assert missed("It holds ten pounds.", stored=2) == ["records in, less records out"]


def test_a_call_left_open_is_missed() -> None:
    assert missed("It holds ten pounds.", closed=1) == ["calls without a closed record"]


def test_an_apology_is_no_balance() -> None:
    names = missed("I am sorry, I cannot reach that part of the bank just now.")
    assert names == ["of them not answered with one", "callers not told a balance at the end"]


def test_records_before_one_that_was_seen_count_too() -> None:
    seen = {("a", LINE, 2), ("a", VOICE, 3), ("b", LINE, 1)}
    assert len(outage.numbered(seen)) == 6
