# SPDX-License-Identifier: Apache-2.0
"""The stage between receiving and sending: runs that go on, or are run again, after the sender's 250."""
