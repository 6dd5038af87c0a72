# SPDX-License-Identifier: Apache-2.0
"""Who sent a message, as far as the DNS can prove it: SPF, DKIM and DMARC, and the signature we add.

Everything here is pure but for awaiting the Resolver that it is given; the deadline is the caller's.
The surprise: ``Verdict.reverse_path_proven`` is as important as ``dmarc_valid``. DMARC proves the author,
but an answer goes to the reverse-path, and a signed message can be replayed with any reverse-path.
"""
