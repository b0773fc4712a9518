"""Which sequence serves which prompt: reuse, sharing, eviction."""

from tellerline.engine.llm.sequences import Sequences, Slot, clear, common_prefix

_SYSTEM = list(range(100, 150))


def served(sequences: Sequences, owner: str, prompt: list[int], answer: list[int]) -> Slot:
    """Plans, evaluates and answers `prompt`, as the decode thread would."""
    plan = sequences.plan(owner, prompt)
    assert plan is not None
    sequences.take(plan, owner, prompt)
    plan.slot.tokens = prompt + answer
    sequences.give_back(plan.slot)
    return plan.slot


def test_a_first_prompt_takes_a_free_slot() -> None:
    plan = Sequences(2).plan("call", [1, 2, 3])
    assert plan is not None and (plan.source, plan.keep) == (None, 0)


def test_the_next_turn_goes_on_from_the_last() -> None:
    sequences = Sequences(3)
    slot = served(sequences, "call", [1, 2, 3], [4, 5])
    plan = sequences.plan("call", [1, 2, 3, 4, 5, 6])
    assert plan is not None and plan.slot is slot and plan.keep == 5


def test_a_withdrawn_turn_keeps_what_is_still_true() -> None:
    sequences = Sequences(3)
    served(sequences, "call", [1, 2, 3], [4, 5])
    plan = sequences.plan("call", [1, 2, 9, 9])
    assert plan is not None and plan.keep == 2


def test_the_last_token_is_always_evaluated() -> None:
    sequences = Sequences(3)
    served(sequences, "call", [1, 2, 3], [])
    plan = sequences.plan("call", [1, 2, 3])
    assert plan is not None and plan.keep == 2


def test_a_new_call_shares_the_system_prompt() -> None:
    sequences = Sequences(3)
    prefix = served(sequences, "prefix:bank", _SYSTEM, [])
    plan = sequences.plan("call", [*_SYSTEM, 1])
    assert plan is not None and plan.source is prefix
    assert plan.slot is not prefix and plan.keep == len(_SYSTEM)


def test_a_busy_slot_is_shared_but_not_taken() -> None:
    sequences = Sequences(2)
    first = sequences.plan("a", [*_SYSTEM, 1])
    assert first is not None
    sequences.take(first, "a", [*_SYSTEM, 1])
    first.slot.tokens = [*_SYSTEM, 1]
    second = sequences.plan("a", [*_SYSTEM, 2])
    assert second is not None and second.slot is not first.slot and second.source is first.slot


def test_all_busy_means_wait() -> None:
    sequences = Sequences(1)
    plan = sequences.plan("a", [1, 2])
    assert plan is not None
    sequences.take(plan, "a", [1, 2])
    assert sequences.plan("b", [1, 2]) is None


def test_the_least_recently_used_call_gives_way_before_the_prefix() -> None:
    sequences = Sequences(3)
    served(sequences, "prefix:bank", _SYSTEM, [])
    older = served(sequences, "a", [*_SYSTEM, 1], [])
    served(sequences, "b", [*_SYSTEM, 2], [])
    plan = sequences.plan("c", [*_SYSTEM, 3])
    assert plan is not None and plan.slot is older


def test_a_cleared_slot_is_free() -> None:
    sequences = Sequences(2)
    slot = served(sequences, "a", [1, 2], [])
    clear(slot)
    assert sequences.owned_by("a") == [] and sequences.oldest_idle() is None


def test_common_prefix() -> None:
    assert [common_prefix([1, 2], other) for other in ([], [1], [1, 2, 3], [2])] == [0, 1, 2, 0]
