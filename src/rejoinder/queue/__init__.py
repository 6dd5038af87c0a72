# SPDX-License-Identifier: Apache-2.0
"""Doing what the store's jobs say, once each, whatever dies on the way.

``queue.backoff`` says when a job is tried again; ``queue.worker`` is the one loop that claims jobs, keeps
their leases and hands them to handlers. What a job means is its handler's affair. ``queue.turns`` lets those
who want to do the same thing do it one after the other. ``queue.housekeeping`` puts away what
nobody asks for any more.
"""
