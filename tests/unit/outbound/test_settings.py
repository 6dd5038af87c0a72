# SPDX-License-Identifier: Apache-2.0
"""The next hop as the operator writes it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rejoinder.outbound.settings import OutboundSettings


@pytest.mark.parametrize(
    ("relay", "hop"),
    [
        ("smtp://mail.example:2525", ("mail.example", 2525)),
        ("smtp://Mail.example", ("mail.example", 25)),
        ("smtp://127.0.0.1:25", ("127.0.0.1", 25)),
        ("smtp://[2001:db8::1]:2525", ("2001:db8::1", 2525)),
    ],
)
def test_a_relay_is_a_host_and_a_port(relay: str, hop: tuple[str, int]) -> None:
    assert OutboundSettings(route="relay", relay=relay).relay_host() == hop


@pytest.mark.parametrize(
    "relay",
    [
        "",
        "mail.example",
        "smtps://mail.example",
        "smtp://",
        "smtp://user:pass@mail.example",
        "smtp://a:b",
        "smtp://mail.example:99999",
        "smtp://mail.example/path",
    ],
)
def test_what_is_no_relay_is_refused_and_shown(relay: str) -> None:
    with pytest.raises(ValidationError, match="smtp://HOST:PORT"):
        OutboundSettings(route="relay", relay=relay)


def test_without_the_relay_route_no_relay_is_needed() -> None:
    assert OutboundSettings(relay="").route == "direct"
