# SPDX-License-Identifier: Apache-2.0
"""The HTTP API: what came in and what became of it, behind a key.

Wire spellings stand in ``wire`` and nowhere else; the pages and the worker's door are not here. The
surprise: reading a mail changes nothing, also not whether it counts as read.
"""
