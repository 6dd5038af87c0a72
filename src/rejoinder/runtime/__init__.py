# SPDX-License-Identifier: Apache-2.0
"""Runs the operator's workers in child processes and keeps what they did as values."""
