# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from pydantic import ValidationError

from rejoinder.dns.settings import DnsSettings


def test_the_system_decides_unless_resolvers_are_named() -> None:
    assert DnsSettings().resolvers == ()
    assert DnsSettings().timeout == 5.0


@pytest.mark.parametrize("address", ["127.0.0.1:5353", "[::1]:53", "resolver:53"])
def test_a_resolver_has_a_port(address: str) -> None:
    assert DnsSettings.model_validate({"resolvers": [address]}).resolvers == (address,)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", ":53", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:dns", ""]
)
def test_what_is_no_resolver_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ValidationError, match="write address:port"):
        DnsSettings.model_validate({"resolvers": [address]})


def test_a_time_limit_is_needed() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        DnsSettings.model_validate({"timeout": "0s"})
