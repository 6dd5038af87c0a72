# SPDX-License-Identifier: Apache-2.0
"""What is kept: mail, threads, runs, what we send, events, jobs, keys.

One module per aggregate, each of whose verbs returns a ``Unit`` (see ``store.unit``); records in
``store.records``; the SQL, by name, in ``store/sql``; the schema in ``store/migrations``. A driver
(``store.sqlite``) runs units and is named by the composition root alone. The bytes of a message go
through ``store.raw``. The surprise: nothing here decides anything about mail.
"""
