# SPDX-License-Identifier: Apache-2.0
"""Measures of whole roads, beside peers that do the same work in the same run."""
