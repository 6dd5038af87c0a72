# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.runtime.child import Child
from rejoinder.runtime.settings import WorkersSettings
from rejoinder.runtime.zygote import Zygote

pytestmark = pytest.mark.anyio


async def test_a_child_that_is_being_killed_has_no_room() -> None:
    child = Child(WorkersSettings(), ManualClock(), Zygote(None), lambda _: None)
    child.rooms = 3
    assert child.room == 3
    child.kill()
    assert child.room == 0
