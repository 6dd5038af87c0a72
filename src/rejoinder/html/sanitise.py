# SPDX-License-Identifier: Apache-2.0
"""Making HTML harmless: nothing that runs, submits, frames or paints outside its place.

Kept: text, structure, links, pictures (also remote ones: whether they are fetched is the reader's choice),
and the style properties of type, colour and boxes. Style sheets go, and so do ids, names, classes but
Gmail's marks of quotations, relative addresses, and style properties that could place something over
other content or fetch something. The surprise: nh3 judges, but it is shown only what ``outline`` wrote.
"""

from __future__ import annotations

import re
from html import escape
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
_PICTURES: Final = ("data:image/png;", "data:image/jpeg;", "data:image/gif;", "data:image/webp;")


def sanitise(html: str) -> str:
    """The same content as a harmless fragment: every element closed, at most 500 deep."""
    return nh3.clean(
        "".join(map(_written, outline(html))),
        tags=KNOWN,
        clean_content_tags=set(),
        attributes=_ATTRIBUTES,
        attribute_filter=_judged,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        url_relative="deny",
        filter_style_properties=_STYLE,
    )


def _judged(_element: str, attribute: str, value: str) -> str | None:
    """What is finer than nh3's lists; a value, or None to drop the attribute."""
    match attribute:
        case "class":
            return " ".join(name for name in value.split() if name in _MARKS) or None
        case "src" | "href":
            scheme = value.partition(":")[0].strip().lower()
            if scheme == "data":
                return value if attribute == "src" and value.lower().startswith(_PICTURES) else None
            return value if scheme != "cid" or attribute == "src" else None
        case "style":
            return ";".join(filter(_stays_in_place, value.split(";"))) or None
        case _:
            return value


def _stays_in_place(declaration: str) -> bool:
    """Whether it fetches and computes nothing, and moves nothing over other content."""
    if "\\" in declaration or "/*" in declaration or _NEGATIVE.search(declaration):
        return False
    return _COLOURS.issuperset(_CALL.findall(declaration.lower()))


def _written(token: Token) -> str:
    match token:
        case str():
            return escape(token, quote=False)
        case Start(name=name, attributes=attributes):
            kept = "".join(
                f' {each}="{escape(value)}"' for each, value in attributes.items() if each in _NAMES
            )
            return f"<{name}{kept}>"
        case End(name=name):
            return f"</{name}>"
