# SPDX-License-Identifier: Apache-2.0
"""SMTP as two sans-IO machines over one grammar: ``receiver`` (server side) and ``sender`` (client side).

Nothing here waits, opens or reads a clock: octets go in, octets and values come out. The asyncio shells
are ``ingress.server`` and ``outbound.connection``.
"""
