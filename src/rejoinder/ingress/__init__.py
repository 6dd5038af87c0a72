# SPDX-License-Identifier: Apache-2.0
"""The first stage: mail comes in over SMTP and is accepted, refused or deferred while the sender waits."""
