"""Source files as they come: what they are, whether they can be read at all, and their rows in table `raw`."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import duckdb

from features.errors import ConfigError, DataError
from features.mapping import TableSource
from features.sql import text

PARQUET = (".parquet", ".pq")
_CHUNK = 1 << 22
_NUMBER = "file_row_number"
_FORGET_REJECTS = "DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans"
_HEADER_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")
#: First bytes of files that are often taken for CSV, and what to do about each.
_MAGIC = {
    b"PK\x03\x04": "an Excel workbook or a zip archive. Save it as CSV (in Excel: Save As, CSV UTF-8), or unpack it",
    b"\x1f\x8b": "compressed with gzip. Unpack it first:  gunzip FILE",
    b"PAR1": "a Parquet file. Name it with the ending .parquet",
}


@dataclass(frozen=True)
class SourceFile:
    """A source's file, read through once: its content's hash, and what reading it needs."""

    source: TableSource
    sha256: str
    state: tuple[tuple[int, int, int], ...]  # device file number, size and time of change, to see it change
    encoding: str
    mixed_line_ends: bool

    @property
    def is_parquet(self) -> bool:
        """Whether it is read as Parquet."""
        return _is_parquet(self.source)

    def check_unchanged(self) -> None:
        """Raises DataError when the file is no longer what was examined."""
        if _state(self.source) != self.state:
            raise DataError(
                f"{self.source.path}: changed while it was read. Nothing was loaded. "
                "Wait until the export is complete, or copy the file aside, then load again."
            )


def _is_parquet(source: TableSource) -> bool:
    return source.path.suffix.lower() in PARQUET


def _paths(source: TableSource) -> list[Path]:
    return [source.path, *([source.beside] if source.beside else [])]


def _state(source: TableSource) -> tuple[tuple[int, int, int], ...]:
    stats = [path.stat() for path in _paths(source)]
    return tuple((found.st_ino, found.st_size, found.st_mtime_ns) for found in stats)


def _codec(source: TableSource) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=source.encoding)  # refuses codecs that are not of text
        return codecs.lookup(source.encoding).name
    except LookupError:
        raise ConfigError(
            f"{source.where}: encoding '{source.encoding}' is not known. Try utf-8, latin-1, cp1252 or utf-16."
        ) from None


def _check_start(source: TableSource, start: bytes, encoding: str) -> None:
    if not start:
        raise DataError(f"{source.path}: the file is empty (0 bytes). Nothing was loaded. Export it again.")
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            raise DataError(f"{source.path}: this is {what}. Nothing was loaded.")
    if b"\0" in start and not encoding.startswith(("utf-16", "utf-32")):
        raise DataError(
            f"{source.path}: holds zero bytes, so it is not text in {source.encoding}. Nothing was loaded. "
            f'Name its encoding in {source.where}, probably encoding = "utf-16".'
        )


def examine(source: TableSource) -> SourceFile:
    """The file, read through once. Raises DataError when it is empty, not text, or not in the encoding named."""
    digest = hashlib.sha256()
    parquet = _is_parquet(source)
    encoding = "" if parquet else _codec(source)
    lines = windows_lines = 0
    try:
        state = _state(source)
        for path in _paths(source):
            decoder = None if parquet else codecs.getincrementaldecoder(encoding)()
            with path.open("rb") as file:
                start = file.read(_CHUNK)
                if not parquet:
                    _check_start(source, start, encoding)
                chunk, last = start, b""
                while chunk:
                    digest.update(chunk)
                    if decoder is not None:
                        try:
                            decoder.decode(chunk)
                        except UnicodeError as error:
                            _refuse_encoding(source, error, lines, chunk)
                        lines += chunk.count(b"\n")
                        windows_lines += (last + chunk).count(b"\r\n")
                        last = chunk[-1:]
                    chunk = file.read(_CHUNK)
                if decoder is not None:
                    try:
                        decoder.decode(b"", final=True)
                    except UnicodeError as error:
                        _refuse_encoding(source, error, lines, b"")
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}. Check that you may read it.") from None
    return SourceFile(source, digest.hexdigest(), state, encoding, 0 < windows_lines < lines)


def _refuse_encoding(source: TableSource, error: UnicodeError, lines: int, chunk: bytes) -> None:
    where = ""
    if isinstance(error, UnicodeDecodeError):
        line = lines + chunk[: error.start].count(b"\n") + 1
        where = f" (line {line}: {error.reason})"
    raise DataError(
        f"{source.path}: not written in {source.encoding}{where}. Nothing was loaded. "
        f'Name its encoding in {source.where}, for instance encoding = "latin-1", "cp1252" or "utf-16".'
    ) from None


def _as_utf8(file: SourceFile, scratch: Path) -> Path:
    """The CSV in UTF-8 with line ends of one kind: itself, or a copy."""
    if file.encoding == "utf-8" and not file.mixed_line_ends:
        return file.source.path
    copy = scratch / f"{file.source.table}.csv"
    with (
        file.source.path.open(encoding=file.encoding, newline="") as original,
        copy.open("w", encoding="utf-8", newline="") as out,
    ):
        held = ""
        while chunk := original.read(_CHUNK):
            joined = held + chunk
            # A "\r" at the edge may be half of "\r\n".
            held = "\r" if joined.endswith("\r") else ""
            out.write(joined[: len(joined) - len(held)].replace("\r\n", "\n"))
        out.write(held)
    return copy


def _header(source: TableSource, path: Path) -> tuple[str, list[str]]:
    """The delimiter and the names in the first line."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES).decode("utf-8-sig", errors="ignore")
    outside = Counter[str]()
    quoted = False
    for letter in start:
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in "\r\n":
            break
        elif not quoted:
            outside[letter] += 1
    delimiter = source.delimiter or max(_DELIMITERS, key=lambda one: outside[one])
    names = next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), [])
    return delimiter, [name.strip() for name in names]


def csv_view(con: duckdb.DuckDBPyConnection, path: Path, delimiter: str, width: int) -> None:
    """View `raw` of a CSV in UTF-8: columns c0, c1 and so on, as text."""
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(width))
    con.execute(_FORGET_REJECTS)
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW raw AS SELECT * FROM read_csv({text(str(path))}, auto_detect=false, header=true, "
        f"delim={text(delimiter)}, quote='\"', escape='\"', columns={{{columns}}}, store_rejects=true, rejects_limit=0)"
    )


def parquet_view(con: duckdb.DuckDBPyConnection, source: TableSource, rows: tuple[int, int] | None = None) -> None:
    """View `raw` of a Parquet file, or of some of its rows: from the first number on, and before the second."""
    options = "binary_as_string=true"
    main, *others = (f"read_parquet({text(str(path))}, {options})" for path in _paths(source))
    if rows is not None:
        main = (
            f"(SELECT * EXCLUDE ({_NUMBER}) FROM read_parquet({text(str(source.path))}, {options}, {_NUMBER}=true) "
            f"WHERE {_NUMBER} >= {rows[0]} AND {_NUMBER} < {rows[1]})"
        )
    joined = "".join(f" NATURAL JOIN {other} AS beside" for other in others)
    con.execute(f"CREATE OR REPLACE TEMP VIEW raw AS SELECT * FROM {main} AS main{joined}")


@dataclass(frozen=True)
class Found:
    """The columns of an opened source: names as the file has them, in order; name in `raw` and SQL type of each."""

    file: SourceFile
    names: Sequence[str]
    columns: Mapping[str, tuple[str, str]]
    path: Path  # of a CSV, in UTF-8
    delimiter: str

    def column(self, name: str, *, for_name: str) -> tuple[str, str]:
        """Name in `raw` and SQL type of a column. Raises DataError when it is missing, or there twice."""
        source = self.file.source
        if name not in self.columns:
            near = get_close_matches(name, self.names, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise DataError(
                f"{source.path.name}: column '{name}' named for {for_name} is missing (found: "
                f"{', '.join(self.names)}).{hint} Correct {source.where}."
            )
        if list(self.names).count(name) > 1:
            raise DataError(
                f"{source.path.name}: column '{name}' named for {for_name} is there {list(self.names).count(name)} "
                f"times (found: {', '.join(self.names)}). Give each column a name of its own in the file."
            )
        return self.columns[name]


def open_raw(con: duckdb.DuckDBPyConnection, file: SourceFile, scratch: Path) -> Found:
    """The columns found, with the rows in view `raw`. Raises DataError for a file that cannot be opened.

    A CSV must be read from `raw` once only: what cannot be read is noted at each reading.
    """
    path, delimiter = file.source.path, ""
    try:
        if file.is_parquet:
            parquet_view(con, file.source)
            columns = {str(row[0]): (str(row[0]), str(row[1])) for row in con.execute("DESCRIBE raw").fetchall()}
            names = list(columns)
        else:
            path = _as_utf8(file, scratch)
            delimiter, names = _header(file.source, path)
            csv_view(con, path, delimiter, len(names))
            columns = {name: (f"c{index}", "VARCHAR") for index, name in enumerate(names)}
    except duckdb.Error as error:
        raise unreadable(file.source, error) from None
    return Found(file, names, columns, path, delimiter)


def unreadable(source: TableSource, error: duckdb.Error) -> DataError:
    """What to tell about a file that DuckDB could not read."""
    first = str(error).splitlines()[0].rstrip(".")
    advice = "Check the file and its delimiter."
    if "state machine" in first:
        first = "a value that is not in quotes holds a line end (a carriage return)"
        advice = "Export it with all text in quotes, or without such values."
    return DataError(f"{source.path}: cannot be read: {first}. Nothing was loaded. {advice}")


def take_rejects(con: duckdb.DuckDBPyConnection, lines_before: int = 0) -> None:
    """The lines of the CSV last read that could not be split into columns, each once, in table `rejects`."""
    con.execute("CREATE OR REPLACE TEMP TABLE rejects (line BIGINT, row_text VARCHAR)")
    there = con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'").fetchone()
    if there and there[0]:
        con.execute(
            # Where lines end in "\\r\\n", DuckDB has the end of the line before at the beginning of some.
            f"INSERT INTO rejects SELECT line + {lines_before}, "
            "ltrim(arg_max(csv_line, line_byte_position), chr(13) || chr(10)) FROM reject_errors GROUP BY line"
        )
    con.execute(_FORGET_REJECTS)  # or a Parquet file read next would have them too
