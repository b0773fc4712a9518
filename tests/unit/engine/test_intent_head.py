"""The linear head: what it learns, what it answers, and what file it refuses."""

from pathlib import Path

import numpy as np
import pytest

from tellerline.engine.router import head, learning
from tellerline.engine.router.head import Head
from tellerline.engine.router.learning import Sample
from tellerline.engine.router.measuring import figures
from tellerline.errors import ModelError
from tellerline.language.intents import INTENTS

_CENTRES = {
    ("our balance", "balance"): (1, 0, 0),
    ("our loan", "out_of_scope"): (0, 1, 0),
    ("joke", "out_of_scope"): (0, 0, 1),
}


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Three clouds on a sphere: one intent, and two things out of scope."""
    chance = np.random.default_rng(7)
    made = []
    for (name, intent), centre in _CENTRES.items():
        cloud = np.array(centre) + 0.2 * chance.standard_normal((40, 3))
        made.append(Sample(name, intent, (cloud / np.linalg.norm(cloud, axis=1)[:, None]).astype(np.float32)))
    return made


@pytest.fixture(scope="module")
def trained(samples: list[Sample]) -> Head:
    return learning.train("an-embedding", samples, penalty=1e-3, threshold=0.6, about={"examples": "clouds"})


def at(*place: float) -> np.ndarray:
    return np.array(place, dtype=np.float32)


def test_what_lies_in_a_cloud_is_given_its_intent(trained: Head) -> None:
    assert trained.route(at(1, 0, 0)).intent == "balance"
    assert trained.route(at(0, 1, 0)).intent == "out_of_scope"
    assert trained.route(at(0, 0, 1)).intent == "out_of_scope"


def test_what_lies_between_is_not_accepted(trained: Head) -> None:
    routed = trained.route(at(0.66, 0.75, 0))
    assert not routed.accepted
    assert routed.intent == "out_of_scope"
    assert 0.2 < next(g.probability for g in routed.guesses if g.intent == "balance") < 0.6


def test_guesses_are_all_intents_likeliest_first_and_sum_to_one(trained: Head) -> None:
    guesses = trained.route(at(0.5, 0.5, 0.7)).guesses
    assert sorted(guess.intent for guess in guesses) == sorted(INTENTS)
    probabilities = [guess.probability for guess in guesses]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)


def test_out_of_scope_is_never_accepted_however_likely(trained: Head) -> None:
    routed = trained.route(at(0, 1, 0))
    assert routed.guesses[0].probability > 0.6
    assert not routed.accepted


def test_training_again_gives_the_same_head(trained: Head, samples: list[Sample]) -> None:
    again = learning.train("an-embedding", samples, penalty=1e-3, threshold=0.6, about={})
    assert np.array_equal(again.weights, trained.weights)


def test_a_heavier_sample_pulls_the_border(samples: list[Sample]) -> None:
    heavy = [Sample(s.name, s.intent, s.vectors, 50.0 if s.intent == "balance" else 1.0) for s in samples]
    light = learning.train("an-embedding", samples, 1e-2, 0.6, {}).route(at(0.7, 0.7, 0))
    pulled = learning.train("an-embedding", heavy, 1e-2, 0.6, {}).route(at(0.7, 0.7, 0))
    assert pulled.guesses[0].intent == "balance"
    assert pulled.guesses[0].probability > light.guesses[0].probability


def test_a_saved_head_answers_alike(trained: Head, tmp_path: Path) -> None:
    trained.save(tmp_path / "en.npz")
    loaded = head.load(tmp_path / "en.npz")
    assert (loaded.model, loaded.intents, loaded.about) == (trained.model, trained.intents, trained.about)
    place = at(0.8, 0.3, 0.5)
    for one, other in zip(loaded.route(place).guesses, trained.route(place).guesses, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=5e-3)


@pytest.mark.parametrize("content", [b"", b"not a head", b"PK\x03\x04 torn"])
def test_a_damaged_file_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "en.npz"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="train_intents"):
        head.load(path)


def test_a_head_of_other_intents_is_refused(trained: Head, tmp_path: Path) -> None:
    path = tmp_path / "en.npz"
    Head("an-embedding", trained.weights, trained.bias, ("balance", "juggling", "joke"), 0.5).save(path)
    with pytest.raises(ModelError, match="other intents"):
        head.load(path)


def test_figures_of_a_small_table() -> None:
    # Three of four balances found, one taken for a transfer; one of two jokes taken for a balance.
    found = figures(
        [("balance", "balance")] * 3
        + [("balance", "transfer"), ("out_of_scope", "out_of_scope"), ("out_of_scope", "balance")]
    )
    assert found.recall_in_scope == 0.75
    assert found.false_accepts == 0.5
    assert found.mistaken == 0.25
    assert found.f1 == {"balance": pytest.approx(6 / 8), "out_of_scope": pytest.approx(2 / 3)}
    assert found.macro_f1 == pytest.approx((6 / 8 + 2 / 3) / 2)
    assert found.confusion["balance", "transfer"] == 1


def test_figures_of_nothing_are_zero() -> None:
    assert figures([]).macro_f1 == 0
