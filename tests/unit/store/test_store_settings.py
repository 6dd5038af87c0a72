# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from rejoinder.store.settings import StoreSettings


def test_by_default_everything_lies_in_the_data_folder() -> None:
    settings = StoreSettings()
    assert (settings.data_dir, settings.url, settings.raw_url) == (Path("data"), "", "")
    assert settings.inline_max == 1024 * 1024


def test_sizes_are_written_with_units() -> None:
    assert StoreSettings.model_validate({"inline_max": "64KiB"}).inline_max == 65536


@pytest.mark.parametrize("wrong", [{"url": "postgresql://x"}, {"raw_url": "s3://bucket"}])
def test_what_this_version_cannot_use_is_refused_by_name(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="cannot be used"):
        StoreSettings.model_validate(wrong)
