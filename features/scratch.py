"""A folder and a database in the data home for what is being written into the lake; both are gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import duckdb

from features.errors import RegularsError
from features.home import ASIDE, Home
from features.sql import text


class Limits(Protocol):
    """What a database may take of a machine."""

    @property
    def threads(self) -> int:
        """Cores."""

    @property
    def memory_limit(self) -> str:
        """For instance 4GB."""


@contextmanager
def scratch_folder(home: Home) -> Iterator[Path]:
    """A folder in the data home, where there is room; gone afterwards, or swept by the next load."""
    home.lake.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=home.lake) as folder:
        yield Path(folder)


@contextmanager
def scratch_database(home: Home, scratch: Path, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in the scratch folder. `limits`: the settings, or those of an executor."""
    con = duckdb.connect(str(scratch / "scratch.db"))
    try:
        con.execute(f"SET threads={limits.threads}; SET memory_limit={text(limits.memory_limit)}")
        con.execute(f"SET temp_directory={text(str(scratch))}")
        # In a notebook without ipywidgets it is off already, and DuckDB refuses to hear of it.
        if con.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (True,):
            con.execute("SET enable_progress_bar=false")
        yield con
    except duckdb.OutOfMemoryException as error:
        raise RegularsError(
            f"memory_limit {limits.memory_limit} is not enough for this load ({str(error).splitlines()[0]}). "
            "The lake is as it was. Raise REGULARS_MEMORY_LIMIT, or load the files in pieces: they add up."
        ) from None
    except (duckdb.IOException, OSError) as error:
        raise RegularsError(
            f"{home.root.resolve()}: cannot be written: {str(error).splitlines()[0]}. The lake is as it was. "
            "Free space there, or set REGULARS_HOME to another disk, then load again."
        ) from None
    finally:
        con.close()
