# SPDX-License-Identifier: Apache-2.0
"""Rejoinder: receive mail, run code on it, and answer in the thread."""

__version__ = "0.1.0"
