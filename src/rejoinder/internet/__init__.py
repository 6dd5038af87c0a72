# SPDX-License-Identifier: Apache-2.0
"""A small internet of our own, on loopback, for the demo, development and tests."""
