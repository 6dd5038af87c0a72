# SPDX-License-Identifier: Apache-2.0
"""Attachments as people send them: base64 in every form, types, limits."""

from __future__ import annotations

import tracemalloc
from base64 import b64encode, encodebytes
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.api import attachment_wire
from rejoinder.api.attachment_wire import attachments
from rejoinder.errors import FieldsConflict, MessageTooLarge, RemoteAttachment, RequestInvalid
from rejoinder.message.compose import Attached


def read(**file: object) -> Attached:
    [attached] = attachments("attachments", [{"filename": "a.pdf", "content": "YQ==", **file}])
    return attached


@given(st.binary(max_size=200), st.sampled_from(["", "data:;base64,", "data:a/b;x=y;base64,"]), st.booleans())
def test_base64_is_read_in_every_form(content: bytes, prefix: str, padded: bool) -> None:
    for encoded in (b64encode(content), encodebytes(content), encodebytes(content).replace(b"\n", b"\r\n ")):
        text = encoded.decode()
        assert read(content=prefix + (text if padded else text.rstrip("=\r\n "))).content == content


@pytest.mark.parametrize(
    "content", ["Y", "YQ=Q", "Y!==", "é", "data:text/plain,hello", "YWJ\x00", "_-_-", None, 7, [89]]
)
def test_what_is_no_base64_is_refused(content: object) -> None:
    with pytest.raises(RequestInvalid) as raised:
        read(content=content)
    assert raised.value.field == "attachments[0].content"


@pytest.mark.parametrize(
    ("file", "content_type"),
    [
        ({"content_type": "application/x-own"}, "application/x-own"),
        ({"contentType": "text/csv; charset=utf-8"}, "text/csv; charset=utf-8"),
        ({"content": "data:image/png;base64,YQ=="}, "image/png"),
        ({"content": "data:image/png;base64,YQ==", "content_type": "image/gif"}, "image/gif"),
        ({}, "application/pdf"),
        ({"filename": "a.PNG"}, "image/png"),
        ({"filename": "a.tar.gz"}, "application/octet-stream"),
        ({"filename": "unknown"}, "application/octet-stream"),
    ],
)
def test_the_type_is_the_declared_one_else_that_of_the_name(
    file: dict[str, object], content_type: str
) -> None:
    assert read(**file).content_type == content_type


def test_a_type_has_a_length() -> None:
    with pytest.raises(RequestInvalid) as raised:
        read(content_type="a/" + "b" * 300)
    assert raised.value.field == "attachments[0].content_type"


@pytest.mark.parametrize("field", ["content", "content_type"])
@pytest.mark.parametrize("repeated", [";", "a", ";a=b"])
def test_a_long_prefix_or_type_takes_no_more_memory_than_it_has(field: str, repeated: str) -> None:
    value = {"content": "data:", "content_type": "a/b"}[field] + repeated * 250_000
    tracemalloc.start()
    try:
        with suppress(RequestInvalid):
            read(**{field: value})
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("filename", [None, "", "  ", 7])
def test_a_file_needs_a_name(filename: object) -> None:
    with pytest.raises(RequestInvalid) as raised:
        read(filename=filename)
    assert raised.value.field == "attachments[0].filename"


@pytest.mark.parametrize("spelling", ["content_id", "contentId"])
@pytest.mark.parametrize("written", ["logo", "<logo>", " logo "])
def test_a_content_id_has_no_brackets(spelling: str, written: str) -> None:
    assert read(**{spelling: written}).content_id == "logo"


def test_two_types_conflict() -> None:
    with pytest.raises(FieldsConflict) as raised:
        read(content_type="a/b", contentType="a/c")
    assert raised.value.field == "attachments[0].content_type"


def test_a_file_elsewhere_is_not_fetched() -> None:
    with pytest.raises(RemoteAttachment, match="send the file in base64") as raised:
        read(path="https://files.example/a.pdf")
    assert raised.value.field == "attachments[0].path"


def test_an_empty_file_is_a_file() -> None:
    assert read(content="").content == b""


def test_twenty_files_can_be_attached_and_no_more() -> None:
    file = {"filename": "a", "content": "YQ"}
    assert len(attachments("attachments", [file] * 20)) == 20
    with pytest.raises(MessageTooLarge, match="21 files"):
        attachments("attachments", [file] * 21)


def test_each_file_and_all_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment_wire, "MAX_FILE", 30)
    monkeypatch.setattr(attachment_wire, "MAX_ALL", 50)
    largest = {"filename": "a", "content": b64encode(b"x" * 30).decode()}
    rest = {"filename": "a", "content": b64encode(b"x" * 20).decode()}
    assert len(attachments("attachments", [largest, rest])) == 2
    with pytest.raises(MessageTooLarge, match="31 bytes"):
        read(content=b64encode(b"x" * 31).decode())
    with pytest.raises(MessageTooLarge) as raised:
        attachments("attachments", [largest, rest, rest])
    assert raised.value.field == "attachments[2].content"
