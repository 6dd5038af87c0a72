# SPDX-License-Identifier: Apache-2.0
"""The resolver that asks the network: dnspython, its cache, and answers as values.

Equal questions that are asked at the same time are sent once; a caller that is cancelled leaves the
others' answer alone. The surprise: a name that cannot be (an empty label, one of 64 octets) is
answered NXDOMAIN without asking anybody, because no zone can hold it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from rejoinder.dns import Answer, Mx, Question, Rcode, RdType, Record
from rejoinder.dns.settings import DnsSettings
from rejoinder.errors import ConfigError

_EDNS_PAYLOAD: Final = 1232  # octets that fit every path; more comes over TCP
_PER_TRY: Final = 2.0  # seconds before the next resolver is asked


class LiveResolver:
    """Asks the configured resolvers, or the system's.

    Raises:
        ConfigError: none is configured and the system names none.
    """

    def __init__(self, settings: DnsSettings) -> None:
        self._resolver = _resolver(settings)
        self._asking: dict[Question, asyncio.Task[Answer]] = {}

    async def query(self, name: str, rdtype: RdType) -> Answer:
        """The answer to one question."""
        return await asyncio.shield(self._asked(Question(name, rdtype)))

    async def many(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers in the order of the questions, asked in parallel."""
        return await asyncio.gather(*(asyncio.shield(self._asked(question)) for question in questions))

    def _asked(self, question: Question) -> asyncio.Task[Answer]:
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.create_task(self._ask(question))
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return task

    async def _ask(self, question: Question) -> Answer:
        try:
            name = dns.name.from_text(question.name)
            found = await self._resolver.resolve(
                name, question.rdtype, raise_on_no_answer=False, search=False
            )
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            return Answer(question, Rcode.NXDOMAIN)
        except (dns.name.BadEscape, dns.name.IDNAException):
            return Answer(question, Rcode.NXDOMAIN)
        except dns.exception.Timeout:
            return Answer(question, Rcode.TIMEOUT)
        except (dns.exception.DNSException, OSError):
            return Answer(question, Rcode.SERVFAIL)
        return Answer(question, Rcode.NOERROR, tuple(_record(rdata) for rdata in found.rrset or ()))


def _resolver(settings: DnsSettings) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not settings.resolvers)
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigError(
            f"no DNS resolver is known: dns.resolvers is empty and the system names none ({error}); "
            'set dns.resolvers, as in ["127.0.0.1:53"]'
        ) from error
    if settings.resolvers:
        resolver.nameservers = [_nameserver(address) for address in settings.resolvers]
    resolver.timeout = min(_PER_TRY, settings.timeout)
    resolver.lifetime = settings.timeout
    resolver.use_edns(0, 0, _EDNS_PAYLOAD)
    resolver.cache = dns.resolver.LRUCache(settings.cache_size) if settings.cache_size else None
    return resolver


def _nameserver(address: str) -> dns.nameserver.Nameserver:
    host, _, port = address.rpartition(":")
    return dns.nameserver.Do53Nameserver(host.strip("[]"), int(port))


def _record(rdata: dns.rdata.Rdata) -> Record:
    match rdata:
        case TXT(strings=strings):
            return b"".join(strings)
        case MX(preference=preference, exchange=exchange):
            return Mx(preference, exchange.to_text(omit_final_dot=True).removesuffix(".").lower())
        case A(address=address) | AAAA(address=address):
            return str(address)
        case CNAME(target=target) | PTR(target=target):
            return str(target.to_text(omit_final_dot=True))
        case _:
            return rdata.to_text()
