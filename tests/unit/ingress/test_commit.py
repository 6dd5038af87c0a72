# SPDX-License-Identifier: Apache-2.0
"""What a mail leaves that is not kept after all."""

from __future__ import annotations

from pathlib import Path

import pytest

from rejoinder.errors import StoreError
from rejoinder.ingress.commit import Committer, SeenElsewhere
from rejoinder.ingress.decide import OK
from rejoinder.store.raw import RawStore
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.settings import StoreSettings
from tests.unit.ingress.test_rows import handled
from tests.unit.runtime.desk import open_desk

pytestmark = pytest.mark.anyio


async def test_a_mail_that_is_not_kept_leaves_no_file(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        committer = Committer(
            store=desk.store,
            raw_store=RawStore(
                StoreSettings(data_dir=tmp_path, inline_max=0),
                desk.ids,
                desk.clock,
                RawFiles(tmp_path / "raw"),
            ),
            concluder=desk.concluder,
            clock=desk.clock,
            ids=desk.ids,
            hostname="mx.desk.example",
            owner="me",
            lease=30.0,
        )
        arrival, handling = handled()
        await committer.commit(arrival, [handling], OK)
        kept = list((tmp_path / "raw").glob("*/*"))
        assert len(kept) == 1
        with pytest.raises(SeenElsewhere):
            await committer.commit(arrival, [handling], OK)
        arrival, handling = handled("From: alice@customer.example\r\n")
        with pytest.raises(StoreError):  # its id is there already
            await committer.commit(arrival, [handling], OK)
        assert list((tmp_path / "raw").glob("*/*")) == kept
