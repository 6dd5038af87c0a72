# SPDX-License-Identifier: Apache-2.0
"""Making HTML harmless: nothing that runs, submits, frames or paints outside its place.

Kept: text, structure, links, pictures (also remote ones: whether they are fetched is the reader's choice),
and the style properties of type, colour and boxes. Style sheets go, and so do ids, names, classes but
Gmail's marks of quotations, relative addresses, and style properties that could place something over
other content or fetch something. The surprise: nh3 judges, but it is shown only what ``outline`` wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import Final

import nh3

from rejoinder.html.outline import KNOWN, outline
from rejoinder.html.tokens import End, Start, Token

_ANYWHERE: Final = {"align", "bgcolor", "class", "dir", "height", "lang", "style", "title", "valign", "width"}
_ATTRIBUTES: Final[dict[str, set[str]]] = {
    "*": _ANYWHERE,
    "a": {"href"},
    "img": {"alt", "border", "src"},
    "font": {"color", "face", "size"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing"},
    "td": {"colspan", "nowrap", "rowspan"},
    "th": {"colspan", "nowrap", "rowspan"},
}
_NAMES: Final = frozenset().union(*_ATTRIBUTES.values())
_MARKS: Final = {"gmail_quote", "gmail_quote_container", "gmail_attr"}
_STYLE: Final = {
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left",
    "border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width",
    "color", "direction", "display", "font", "font-family", "font-size", "font-style", "font-weight",
    "height", "line-height", "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right",
    "margin-top", "max-height", "max-width", "min-width", "padding", "padding-bottom", "padding-left",
    "padding-right", "padding-top", "table-layout", "text-align", "text-decoration", "text-transform",
    "vertical-align", "white-space", "width", "word-break", "word-wrap",
}  # fmt: skip
_CALL: Final = re.compile(r"([^\s:,(]*+)\(")
_NEGATIVE: Final = re.compile(r"-[\d.]")
_COLOURS: Final = frozenset({"rgb", "rgba", "hsl", "hsla"})
_SCHEMES: Final = {"href": {"http", "https", "mailto", "tel"}, "src": {"http", "https", "cid", "data"}}
_PICTURE: Final = re.compile(r"(?ai)data:image/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=\s]*+")
_MAX_VALUE: Final = 8_192
_RUN: Final = 4_096


def sanitise(html: str) -> str:
    """The same content as a harmless fragment: every element closed, at most 500 deep."""
    return nh3.clean(
        "".join(_written(html)),
        tags=KNOWN,
        clean_content_tags=set(),
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES["href"] | _SCHEMES["src"],
        url_relative="deny",
        filter_style_properties=_STYLE,
    )


def _written(html: str) -> Iterator[str]:
    for is_text, group in groupby(outline(html), lambda token: isinstance(token, str)):
        if is_text:
            text = "".join(token for token in group if isinstance(token, str))
            # nh3 needs the square of the time for "&" and no-break spaces in one text; a comment, which it
            # drops, makes two of one.
            runs = (text[at : at + _RUN] for at in range(0, len(text), _RUN))
            yield "<!---->".join(escape(run, quote=False) for run in runs)
        else:
            yield from map(_tag, group)


def _tag(token: Token) -> str:
    match token:
        case Start(name=name, attributes=attributes):
            judged = ((each, _judged(each, value)) for each, value in attributes.items() if each in _NAMES)
            kept = "".join(f' {each}="{escape(value)}"' for each, value in judged if value is not None)
            return f"<{name}{kept}>"
        case End(name=name):
            return f"</{name}>"
        case str():
            return escape(token, quote=False)


def _judged(attribute: str, value: str) -> str | None:
    """What stays of a value; None where the attribute must go. nh3 looks at it again, less finely."""
    if len(value) > _MAX_VALUE:
        return value if attribute == "src" and _PICTURE.fullmatch(value) else None
    match attribute:
        case "class":
            return " ".join(name for name in value.split() if name in _MARKS) or None
        case "src" | "href":
            address = value.strip()
            scheme = address.partition(":")[0].lower()
            if scheme not in _SCHEMES[attribute]:
                return None
            return address if scheme != "data" or _PICTURE.fullmatch(address) else None
        case "style":
            return ";".join(filter(_stays_in_place, value.split(";"))) or None
        case _:
            return value


def _stays_in_place(declaration: str) -> bool:
    """Whether it fetches and computes nothing, and moves nothing over other content."""
    if declaration.partition(":")[0].strip().lower() not in _STYLE:
        return False
    if "\\" in declaration or "/*" in declaration or _NEGATIVE.search(declaration):
        return False
    return _COLOURS.issuperset(_CALL.findall(declaration.lower()))
