"""A copy of the last scoring that answered, kept beside the live data, for a start when the scores cannot be read.

The copy shares its bytes with the original (hard links) where the file system allows it.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from features.errors import DataError
from features.home import Home, new_directory, write_text
from serving.state import CURRENT, State, read_state

LAST_GOOD = "last-good"
PINNED = "pinned"
STATIC = "popular.txt"


def keep(home: Home, version: str, *, under: str) -> Path:
    """The copy of a scoring below `under`, made if it is not there yet. Raises OSError when it cannot be made."""
    target = home.live / under / version
    if not target.is_dir():
        with new_directory(target) as aside:
            shutil.copytree(home.scores / "versions" / version, aside, copy_function=_link_or_copy, dirs_exist_ok=True)
    return target


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target


def remember(home: Home, state: State) -> None:
    """Make `state` the last good one, with its popular products as a list that needs nothing else to be read."""
    if state.version is None:
        return
    folder = home.live / LAST_GOOD
    keep(home, state.version, under=LAST_GOOD)
    if state.catalogue is not None:
        now = datetime.now(UTC).timestamp()
        sellable = state.catalogue.offers.at(now).sellable
        products = [state.catalogue.ids[code] for code in state.catalogue.popular if sellable[code]]
        write_text(folder / STATIC, "".join(f"{product}\n" for product in products[:1000]))
    write_text(folder / CURRENT, state.version)
    for other in folder.iterdir():
        if other.is_dir() and other.name != state.version and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)


def recall(home: Home) -> State | None:
    """The last good scoring, checked like any other; None when none was kept. Raises DataError when it is broken."""
    folder = home.live / LAST_GOOD
    try:
        version = (folder / CURRENT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return read_state(folder / version, version=version)


def static_list(home: Home, own: Path | None) -> tuple[str, ...]:
    """Product ids to give when there is nothing else: the shop's own file, else what was popular when last known.

    Raises DataError when the shop's own file cannot be read.
    """
    path = own or home.live / LAST_GOOD / STATIC
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        if own is None:
            return ()
        raise DataError(f"{own}: does not exist. Correct the setting fallback_file, or unset it.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}). It must be text, a product id a line.") from None
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
