# SPDX-License-Identifier: Apache-2.0
"""The one door out: ``rules`` says whether a reply may go, ``compose`` builds it, ``submit`` stores it.

``rules`` and ``compose`` are pure; ``submit`` is a unit of work. Callers only name the policy.
"""
