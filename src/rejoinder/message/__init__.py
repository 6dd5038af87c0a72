# SPDX-License-Identifier: Apache-2.0
"""Reading and writing mail: pure, tolerant when it reads, strict when it writes.

Worker files may import this package, so it needs the standard library and ``idna`` only. Raw bytes
are the truth; everything here is a view of them or makes new ones.
"""
