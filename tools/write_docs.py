# SPDX-License-Identifier: Apache-2.0
"""Write the page of settings from the program; `make docs` runs this, and a test compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rejoinder.config import Config
from rejoinder.config.sample import page

SETTINGS: Final = Path("docs/settings.md")

if __name__ == "__main__":
    SETTINGS.write_text(page(Config), encoding="utf-8")
    print(SETTINGS)
