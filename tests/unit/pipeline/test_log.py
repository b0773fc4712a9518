"""What a daemon's log may hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import loguru
import pytest

from tellerline.monitoring import notify


@pytest.fixture
def silenced() -> Iterator[None]:
    notify.silence_loguru()
    yield
    loguru.logger.remove()


@pytest.mark.usefixtures("silenced")
def test_a_librarys_warning_says_where_and_not_what(caplog: pytest.LogCaptureFixture) -> None:
    loguru.logger.warning("the caller said swordfish")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert __name__ in caplog.text
    assert "swordfish" not in caplog.text


@pytest.mark.usefixtures("silenced")
def test_a_librarys_error_names_its_kind_and_not_its_text(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("swordfish")
    except ValueError:
        loguru.logger.exception("the caller said swordfish")
    assert "ValueError" in caplog.text
    assert "swordfish" not in caplog.text


@pytest.mark.usefixtures("silenced")
def test_a_librarys_chatter_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    loguru.logger.debug("the caller said swordfish")
    loguru.logger.info("the caller said swordfish")
    assert caplog.records == []
