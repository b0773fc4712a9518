"""Who goes first on a CPU the models share."""

import threading

from tellerline.engine.precedence import Precedence


def test_nobody_waits_when_nothing_is_urgent() -> None:
    assert Precedence().give_way(60.0)


def test_giving_way_ends_with_the_urgent_work() -> None:
    precedence = Precedence()
    passed = threading.Event()
    with precedence.urgent():
        waiting = threading.Thread(target=lambda: (precedence.give_way(60.0), passed.set()))
        waiting.start()
        assert not passed.is_set()
    assert passed.wait(10.0)
    waiting.join()


def test_patience_ends() -> None:
    precedence = Precedence()
    with precedence.urgent():
        assert not precedence.give_way(0.001)
