from __future__ import annotations

import pytest

from tellerline.connector.user_to_user import value


def test_a_reference_is_sent_as_text_for_an_application() -> None:
    assert value("TL-4f3a9c") == "TL-4f3a9c;encoding=ascii;purpose=app"


def test_a_value_with_parameters_is_sent_as_it_is() -> None:
    given = "56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar"  # the example of RFC 7433 section 4.1
    assert value(given) == given


@pytest.mark.parametrize(
    "given", ["Jane wants her card", "a\r\nX: y", "a;", "a;b", '"quoted";encoding=ascii', "", "a" * 129]
)
def test_prose_and_header_breaks_are_not_sent(given: str) -> None:
    assert value(given) is None
