# SPDX-License-Identifier: Apache-2.0
"""DKIM (RFC 6376 with RFC 8301 and RFC 8463): verify what comes in, sign what goes out."""
