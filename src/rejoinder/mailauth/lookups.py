# SPDX-License-Identifier: Apache-2.0
"""A resolver for one message: each question is asked once, the foreseeable ones all together.

SPF, DKIM and DMARC are each written as if they were alone and ask for what they need; that their first
questions go out in parallel, and none twice, is arranged here.
"""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.dns import Answer, Question, RdType, Resolver, key_of


class Lookups:
    """Remembers the answers of one message's authentication."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._answers: dict[Question, Answer] = {}

    async def query(self, name: str, rdtype: RdType) -> Answer:
        """The answer to one question."""
        question = Question(key_of(name), rdtype)
        answer = self._answers.get(question)
        if answer is None:
            answer = self._answers[question] = await self._resolver.query(question.name, rdtype)
        return answer

    async def many(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers in the order of the questions; what is not known yet is asked in parallel."""
        keys = [Question(key_of(question.name), question.rdtype) for question in questions]
        new = [question for question in dict.fromkeys(keys) if question not in self._answers]
        if new:
            self._answers.update(zip(new, await self._resolver.many(new), strict=True))
        return [self._answers[key] for key in keys]
