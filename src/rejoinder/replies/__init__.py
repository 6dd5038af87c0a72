# SPDX-License-Identifier: Apache-2.0
"""The one door out: ``rules`` says whether a reply may go, ``submit`` stores it.

Callers only name the policy. For a worker ``compose`` builds the message. For the API ``answer`` tells the
story: ``answered`` finds the mail, ``recipients`` who gets the answer, ``answer_compose`` builds it,
``fingerprint`` tells a repeat from another request, ``sent_mail`` reads back what was sent. What decides or
builds is pure; ``submit`` is a unit of work.
"""
