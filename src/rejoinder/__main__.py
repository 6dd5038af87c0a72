# SPDX-License-Identifier: Apache-2.0
"""``python -m rejoinder`` is the command ``rejoinder``."""

from __future__ import annotations

from rejoinder.cli import main

if __name__ == "__main__":
    main()
