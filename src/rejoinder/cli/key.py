# SPDX-License-Identifier: Apache-2.0
"""``rejoinder key``: keys of the HTTP API, made, listed and ended beside a running server.

The surprise: a running server knows a new key and forgets an ended one at its next request, because it asks
the store each time.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from rejoinder.api.key import Scope, digest, new_key
from rejoinder.cli.opened import done
from rejoinder.cli.option import ConfigFile
from rejoinder.clock import SECOND
from rejoinder.clock.live import LiveClock
from rejoinder.config import Config, load
from rejoinder.errors import AccountNotFound, KeyNotFound
from rejoinder.ids import Ids
from rejoinder.store import keys
from rejoinder.store.records import ApiKey
from rejoinder.store.unit import Unit


def build() -> typer.Typer:
    """The command and what is below it."""
    app = typer.Typer(help="Keys of the HTTP API.", no_args_is_help=True)
    app.command("create")(create)
    app.command("list")(list_keys)
    app.command("revoke")(revoke)
    return app


def create(
    config: ConfigFile = None,
    account: Annotated[
        str, typer.Option(metavar="NAME", help="The account that the key acts for.")
    ] = "default",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key may do; may be repeated. Without any: everything but reply:any."),
    ] = None,
) -> None:
    """Make a key and print it, once, as the last word."""
    settings = load(config)
    _require_account(settings, account)
    secret = new_key(os.urandom)
    record = _record(secret, account, scope or [])
    asyncio.run(done(settings, lambda: keys.insert(record)))
    typer.echo(f"{record.id} for the account {account} may do {_may_do(record)}.")
    typer.echo("Keep it now, for it is shown only once:")
    typer.echo(secret)


def list_keys(
    config: ConfigFile = None,
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the keys of this account.", show_default=False)
    ] = None,
) -> None:
    """List the keys, the oldest first: whose they are, what they may do, when each was used last."""
    for key in asyncio.run(done(load(config), lambda: keys.listing(account))):
        used = "never used" if key.last_used_at is None else f"last used {_day(key.last_used_at)}"
        ended = "" if key.revoked_at is None else f", revoked {_day(key.revoked_at)}"
        typer.echo(f"{key.id}  {key.account}  {_may_do(key)}  made {_day(key.created_at)}, {used}{ended}")


def revoke(
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="The key's id, as `rejoinder key list` shows it.")
    ],
    config: ConfigFile = None,
) -> None:
    """End a key for good; requests that bring it are unauthorized from now on."""
    now = LiveClock().now()
    key = asyncio.run(done(load(config), lambda: _revoked(key_id, now)))
    if key is None:
        raise KeyNotFound(f"there is no key {key_id}; `rejoinder key list` shows the ids")
    typer.echo(f"{key_id} of the account {key.account} is revoked.")


def _revoked(key_id: str, at: int) -> Unit[ApiKey | None]:
    yield from keys.revoke(key_id, at)
    return (yield from keys.get(key_id))


def _may_do(key: ApiKey) -> str:
    return key.scopes.replace(" ", ",") or "everything"


def _day(instant: int) -> str:
    return datetime.fromtimestamp(instant // SECOND, UTC).strftime("%Y-%m-%d %H:%M")


def _require_account(settings: Config, account: str) -> None:
    known = {"default", *(domain.account for domain in settings.domain)}
    if account not in known:
        raise AccountNotFound(
            f"there is no account {account}; known: {', '.join(sorted(known))}. An account exists when a "
            f'[[domain]] has account = "{account}"'
        )


def _record(secret: str, account: str, scopes: list[Scope]) -> ApiKey:
    now = LiveClock().now()
    key_id = Ids(os.urandom).new("key", now)
    return ApiKey(key_id, account, digest(secret), " ".join(scopes), now, last_used_at=None, revoked_at=None)
