# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from pydantic import ValidationError

from rejoinder.ingress.settings import IngressSettings, Listener


def test_the_defaults_listen_on_loopback_and_limit_everything() -> None:
    settings = IngressSettings()
    assert settings.listen == (Listener(kind="mx", address="127.0.0.1:2525"),)
    assert settings.limits.max_size == 25 << 20
    assert settings.limits.max_recipients == 100


def test_sizes_and_durations_are_written_as_people_write_them() -> None:
    settings = IngressSettings.model_validate({"max_size": "1MiB", "command_timeout": "2m"})
    assert settings.limits.max_size == 1 << 20
    assert settings.command_timeout == 120.0


@pytest.mark.parametrize(("name", "value"), [("max_recipients", 99), ("command_timeout", 0), ("unknown", 1)])
def test_what_would_break_the_standard_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValidationError):
        IngressSettings.model_validate({name: value})


def test_every_setting_says_what_it_is() -> None:
    for model in (IngressSettings, Listener):
        assert all(field.description for field in model.model_fields.values())
