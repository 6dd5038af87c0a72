# SPDX-License-Identifier: Apache-2.0
"""Which target a forward-path has: a pure table from the operator's routes and domains."""
