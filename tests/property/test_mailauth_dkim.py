# SPDX-License-Identifier: Apache-2.0
"""What relaxed canonicalization allows on the way changes nothing; all else breaks the signature."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rejoinder.dns.zone import Zone
from rejoinder.mailauth.dkim import verify
from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.dkim.sign import SIGNED_FIELDS, Signer
from rejoinder.mailauth.dkim.tags import TagError, parse_tags
from rejoinder.mailauth.verdict import DkimVerdict
from rejoinder.message.headers import split
from tests.unit.mailauth.signing import NOW, RSA, without_loop

SIGNER = Signer("customer.example", "sel", RSA)
ZONE = Zone({"sel._domainkey.customer.example": {"TXT": [public_record(RSA)]}})

WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
WORDS = st.lists(WORD, min_size=1, max_size=6)
FIELDS = st.lists(st.tuples(st.sampled_from([*SIGNED_FIELDS[1:], "X-Other"]), WORDS), max_size=6)
LINES = st.lists(st.lists(WORD, max_size=4), max_size=6)
SPACE = st.sampled_from([" ", "\t", "  ", " \t "])
VALUE = re.compile(rb"(?m)^[^:]+: ([^\r\n]*)")
FOLD = st.sampled_from([" ", "\t", "   ", "\r\n ", "\r\n\t", " \r\n  "])


def written(fields: list[tuple[str, list[str]]], lines: list[list[str]]) -> bytes:
    header = "From: ann@customer.example\r\n" + "".join(
        f"{name}: {' '.join(words)}\r\n" for name, words in fields
    )
    return (header + "\r\n" + "".join(" ".join(words) + "\r\n" for words in lines)).encode()


def verdict_on(raw: bytes) -> DkimVerdict:
    headers, body = split(raw)
    found = verify.find(headers, NOW)
    return without_loop(verify.verify(headers, raw[body:], found, ZONE))[0]


@given(FIELDS, LINES, st.data())
def test_a_signature_survives_refolding_respacing_and_trailing_lines(
    fields: list[tuple[str, list[str]]], lines: list[list[str]], data: st.DataObject
) -> None:
    raw = written(fields, lines)
    signature = SIGNER.sign(raw, NOW)
    header = "From : ann@customer.example" + data.draw(st.sampled_from(["", " ", "\t"])) + "\r\n"
    for name, words in fields:
        cased = data.draw(st.sampled_from([name, name.upper(), name.lower()]))
        header += f"{cased}:{data.draw(FOLD)}{data.draw(FOLD).join(words)}\r\n"
    body = ""
    for words in lines:
        body += data.draw(SPACE).join(words) + data.draw(st.sampled_from(["", " ", "\t "])) + "\r\n"
    body += data.draw(st.sampled_from(["", "\r\n", " \r\n\r\n"]))
    assert verdict_on(signature + header.encode() + b"\r\n" + body.encode()).proves


@given(FIELDS, LINES, st.data())
def test_no_word_can_change(
    fields: list[tuple[str, list[str]]], lines: list[list[str]], data: st.DataObject
) -> None:
    raw = written([field for field in fields if field[0] != "X-Other"], lines)
    signature = SIGNER.sign(raw, NOW)
    header, end, _ = raw.partition(b"\r\n\r\n")
    # Names of fields are signed without regard to case, so only what follows them is changed here.
    values = [line.start(1) + offset for line in VALUE.finditer(header) for offset in range(len(line[1]))]
    places = values + list(range(len(header + end), len(raw)))
    at = data.draw(st.sampled_from([place for place in places if raw[place] not in b" \r\n"]))
    octet = data.draw(st.integers(33, 126).filter(lambda octet: octet != raw[at]))
    assert not verdict_on(signature + raw[:at] + bytes([octet]) + raw[at + 1 :]).proves


@given(st.binary(max_size=200))
def test_any_octets_are_a_tag_list_or_refused(text: bytes) -> None:
    try:
        tags = parse_tags(text)
    except TagError:
        return
    assert parse_tags(";".join(f"{name}={value}" for name, value in tags.items()).encode()) == tags


@given(st.binary(max_size=400))
def test_any_signature_field_has_a_verdict(text: bytes) -> None:
    raw = (
        b"DKIM-Signature: "
        + text.replace(b"\r", b"").replace(b"\n", b"")
        + b"\r\nFrom: a@customer.example\r\n\r\n"
    )
    assert not verdict_on(raw).proves


@given(st.binary(max_size=300))
def test_any_key_record_has_a_verdict(record: bytes) -> None:
    raw = written([], [["x"]])
    raw = SIGNER.sign(raw, NOW) + raw
    headers, body = split(raw)
    zone = Zone({"sel._domainkey.customer.example": {"TXT": [record]}})
    (verdict,) = without_loop(verify.verify(headers, raw[body:], verify.find(headers, NOW), zone))
    assert not verdict.proves
