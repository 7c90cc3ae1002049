"""The feature store: Feast over the snapshots on disk, for point-in-time retrieval.

While it is imported, Feast has each of its classes rewritten by typeguard, which then checks at every call what our
types say already. That takes longer than all the rest of the import, seconds of every command, so it is left out.
"""

from __future__ import annotations

from typing import Any

import typeguard


def _as_it_is(target: Any = None, **_options: Any) -> Any:
    """A decorator that changes nothing, called as typeguard's own may be: with the class, or with options."""
    return _as_it_is if target is None else target


vars(typeguard)["typechecked"] = _as_it_is
