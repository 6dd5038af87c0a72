# SPDX-License-Identifier: Apache-2.0
"""The sample configuration file and the page of settings, written from the table of settings.

In the sample every setting stands as a comment with its default, so that the file as printed means
"all defaults" and a line without its ``#`` is a setting. The surprise: what has no default is shown
with an example, and lies in a repeated section, which as a comment is absent as a whole.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rejoinder.config.table import Section, sections, written

_HEAD: Final = """\
# Configuration of Rejoinder. Every setting stands here with its default; remove the "#" before a line
# to change it. A setting can also come from the environment: REJOINDER_SECTION__KEY.
"""
# What is shown where there is no default.
_EXAMPLES: Final[Mapping[str, object]] = {
    "domain.name": "desk.example",
    "domain.dkim_key": "desk.example.pem",
    "http.public_url": "https://mail.desk.example",
    "ingress.listen.address": "127.0.0.1:2525",
    "outbound.relay": "smtp://relay.example:25",
    "route.match": "support@desk.example",
    "route.worker": "tickets",
    "worker.file": "tickets.py",
    "worker.name": "tickets",
    "worker.python": "/opt/tickets/bin/python",
    "worker.variables": {"GREETING": "Hello"},
}
_PAGE_HEAD: Final = """\
# Settings

Settings stand in `rejoinder.toml` in the working directory, in the file that `--config` or
`REJOINDER_CONFIG` names, or in the environment as `REJOINDER_SECTION__KEY`, which wins. Durations are
written `"250ms"`, `"5s"`, `"1m"`, `"2h"`, `"7d"`; sizes `"512B"`, `"64KiB"`, `"25MiB"`, `"1GiB"`.
`rejoinder config sample` prints all of this as a file. This page is written from the program by
`make docs`.
"""


def sample(config: type[BaseModel]) -> str:
    """A commented sample file of all settings."""
    return "\n".join([_HEAD, *(line for section in sections(config) for line in _sample_of(section))]) + "\n"


def page(config: type[BaseModel]) -> str:
    """The documentation page of all settings, in Markdown."""
    return "\n".join([_PAGE_HEAD, *(line for section in sections(config) for line in _page_of(section))])


def _sample_of(section: Section) -> Iterator[str]:
    yield from _comment(_purpose(section))
    yield f"#{section.header}" if section.is_repeated else section.header
    for name, field in section.plain():
        yield from _comment(field.description or "")
        yield f"#{name} = {_shown(section, name, field)}"
    yield ""


def _page_of(section: Section) -> Iterator[str]:
    yield f"## {section.header}\n"
    yield f"{_purpose(section)}\n"
    for name, field in section.plain():
        yield f"### {section.name}.{name}\n"
        yield f"{field.description or ''}\n"
        yield f"{_standing(section, name, field)}\n"


def _standing(section: Section, name: str, field: FieldInfo) -> str:
    shown = _shown(section, name, field)
    if field.is_required():
        return f"Required, as in `{name} = {shown}`."
    default = field.get_default(call_default_factory=True)
    if _is_nothing(default):
        return f"Not set by default; as in `{name} = {shown}`."
    return f"Default: `{shown}`."


def _shown(section: Section, name: str, field: FieldInfo) -> str:
    """The default; where there is none, an example."""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return written(field, _EXAMPLES.get(f"{section.name}.{name}", "…") if _is_nothing(default) else default)


def _is_nothing(default: object) -> bool:
    return default is None or default == {}


def _purpose(section: Section) -> str:
    return (section.settings.__doc__ or "").split("\n\n")[0]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 100)]
