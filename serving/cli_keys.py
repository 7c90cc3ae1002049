"""The commands that make, list and revoke API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from features.settings import current_settings
from features.terminal import out, print_json, print_table
from serving.scopes import KeyScope

if TYPE_CHECKING:
    from serving.keys import ApiKey, Keys

app = typer.Typer(
    no_args_is_help=True, help="API keys: create, list, revoke.", epilog="Example:  regulars keys create --scope site"
)
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PER_MINUTE = 60_000


@app.command(
    epilog="Example:  regulars keys create --scope site --name 'shop front'   or, of several shops, --tenant NAME"
)
def create(
    scope: Annotated[
        KeyScope,
        typer.Option(help="site: recommendations, events. retention: customers. stock: what is in stock. admin: all."),
    ],
    name: Annotated[str, typer.Option(help="Who will use it; shown in the list.")] = "",
    per_minute: Annotated[
        int, typer.Option(min=1, max=100_000_000, help="Requests it may make a minute.")
    ] = PER_MINUTE,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once; only the hash of its secret is kept."""
    from serving.keys import now_utc

    key, text = _keys().create(scope, name=name, per_minute=per_minute, at=now_utc())
    if as_json:
        print_json({**_shown(key), "key": text})
        return
    out.print(text, soft_wrap=True, highlight=False)
    out.print(f"[yellow]note[/] Keep it now: it cannot be shown again. Id {key.key_id}, scope {key.scope}.")


@app.command("list", epilog="Example:  regulars keys list --json")
def list_keys(as_json: AsJson = False) -> None:
    """Every key ever made, without its secret."""
    found = [_shown(key) for key in _keys().all()]
    if as_json:
        print_json(found)
        return
    rows = [tuple(escape(str(value if value is not None else "")) for value in key.values()) for key in found]
    print_table("API keys", ("id", "scope", "name", "per minute", "created", "revoked"), rows)


@app.command(epilog="Example:  regulars keys revoke 4f1d09a2b7c3")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, from the list.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Make a key useless, on every server of this database, within a minute at most."""
    from serving.keys import now_utc

    key = _keys().revoke(key_id, at=now_utc())
    if as_json:
        print_json(_shown(key))
    else:
        out.print(f"Key {key.key_id} ({key.scope}) is revoked.")


def _keys() -> Keys:
    from serving.database import open_database
    from serving.keys import Keys

    settings = current_settings()
    return Keys(open_database(settings), tenant=settings.tenant)


def _shown(key: ApiKey) -> dict[str, str | int | None]:
    return {
        "id": key.key_id,
        "scope": key.scope.value,
        "name": key.name,
        "per_minute": key.per_minute,
        "created_at": f"{key.created_at.isoformat(timespec='seconds')}Z",
        "revoked_at": None if key.revoked_at is None else f"{key.revoked_at.isoformat(timespec='seconds')}Z",
    }
