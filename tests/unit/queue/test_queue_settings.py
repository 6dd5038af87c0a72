# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from pydantic import ValidationError

from rejoinder.queue.settings import QueueSettings


def test_the_defaults_are_those_of_the_design() -> None:
    settings = QueueSettings()
    assert (settings.lease, settings.poll) == (30.0, 1.0)
    assert settings.rooms == {"run": 64, "deliver": 4}
    assert settings.failure_schedule == (1, 10, 60, 300, 1800, 7200, 21600)


def test_durations_are_written_with_units() -> None:
    settings = QueueSettings.model_validate({"lease": "1m", "failure_schedule": ["2s"]})
    assert (settings.lease, settings.failure_schedule) == (60.0, (2.0,))


@pytest.mark.parametrize(
    "wrong",
    [{"lease": 0}, {"poll": "0s"}, {"slots": 0}, {"failure_schedule": []}, {"rooms": {"run": 0}}, {"x": 1}],
)
def test_what_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QueueSettings.model_validate(wrong)


def test_a_kind_whose_room_is_not_named_keeps_its_own() -> None:
    assert QueueSettings(rooms={"deliver": 9}).rooms == {"run": 64, "deliver": 9}
