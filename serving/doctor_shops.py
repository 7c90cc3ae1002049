"""What the doctor says of a server of several shops: how each stands, in one line; `--tenant` tells all of one."""

from __future__ import annotations

from features.errors import RegularsError
from features.home import Home
from features.settings import Settings
from features.tenants import shop_settings
from serving import starting
from serving.doctor import Finding, Status, installed, served
from serving.exposure import any_key
from serving.state import load_state

AREA = "shops"


def examine_shops(server: Settings) -> list[Finding]:
    """What is installed, every shop in the order it is named, and whether a server answers."""
    shops = [_shop(server, name) for name in server.tenants]
    return [*installed(), *shops, *served(server)]


def _shop(server: Settings, name: str) -> Finding:
    more = f"regulars doctor --tenant {name}"
    try:
        settings = shop_settings(server, name)
        home = settings.home
        if not home.is_dir():
            return Finding(AREA, name, Status.MISSING, f"{home} does not exist", f"regulars ingest --tenant {name}")
        starting.check_shop(settings)
        state = load_state(Home(home))
        if state.version is None:
            return Finding(AREA, name, Status.MISSING, f"{home}: nothing is scored yet", more)
        if not any_key(settings):
            return Finding(AREA, name, Status.MISSING, f"{home}: no key", f"regulars keys create --tenant {name}")
    except (RegularsError, OSError, ValueError) as error:
        return Finding(AREA, name, Status.BROKEN, str(error), more)
    return Finding(AREA, name, Status.OK, f"{home}: {len(state.rows):,} customers as of {state.as_of}", more)
