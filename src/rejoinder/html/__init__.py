# SPDX-License-Identifier: Apache-2.0
"""HTML that a stranger wrote: made harmless, quoted, or read as plain text.

``tokens`` splits it, ``outline`` makes a bounded and balanced tree's walk of it, ``sanitise`` and ``text``
write that walk anew. Each is linear in its input, in time and in size. Knows nothing of mail beyond ``cid:``.
"""
