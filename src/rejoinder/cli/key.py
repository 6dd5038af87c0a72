# SPDX-License-Identifier: Apache-2.0
"""``rejoinder key``: keys of the HTTP API, made beside a running server."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from rejoinder.api.key import Scope, digest, new_key
from rejoinder.cli.option import ConfigFile
from rejoinder.clock.live import LiveClock
from rejoinder.config import Config, load
from rejoinder.errors import AccountNotFound
from rejoinder.ids import Ids
from rejoinder.store import keys
from rejoinder.store.records import ApiKey
from rejoinder.store.sqlite import SqliteStore


def build() -> typer.Typer:
    """The command and what is below it."""
    app = typer.Typer(help="Keys of the HTTP API.", no_args_is_help=True)
    app.callback()(_group)
    app.command("create")(create)
    return app


def create(
    config: ConfigFile = None,
    account: Annotated[
        str, typer.Option(metavar="NAME", help="The account that the key acts for.")
    ] = "default",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key may do; may be repeated. Without any it may do everything."),
    ] = None,
) -> None:
    """Make a key and print it, once, as the last word."""
    settings = load(config)
    _require_account(settings, account)
    secret = new_key(os.urandom)
    record = _record(secret, account, scope or [])
    asyncio.run(_keep(settings, record))
    typer.echo(f"{record.id} for the account {account} may do {record.scopes or 'everything'}.")
    typer.echo("Keep it now, for it is shown only once:")
    typer.echo(secret)


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


async def _keep(settings: Config, record: ApiKey) -> None:
    store = await SqliteStore.open(settings.store, LiveClock())
    try:
        await store.transaction(lambda: keys.insert(record))
    finally:
        await store.close()


def _group() -> None:
    """Keeps `key` a group while it has one command."""
