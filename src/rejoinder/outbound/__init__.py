# SPDX-License-Identifier: Apache-2.0
"""The last stage: what we took responsibility for leaves, signed, to its next hop."""
