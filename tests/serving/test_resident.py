"""A scoring that answers no longer keeps no memory, and is read from its files by whoever still asks for it."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np

from features.home import Home, write_text
from serving.last_good import CURRENT
from serving.reload import Holder
from serving.resident import let_go
from serving.state import current_version


def resident(folder: Path) -> int:
    """How many bytes of files under the folder this process holds in memory (proc(5), smaps)."""
    text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    pattern = rf"^[0-9a-f]+-\S+ .* {re.escape(str(folder.resolve()))}/.*\n(?:.*\n)*?Rss: +(\d+) kB"
    return sum(1024 * int(found) for found in re.findall(pattern, text, re.MULTILINE))


def test_pages_of_mapped_files_are_given_back_and_read_again_from_the_file(tmp_path: Path) -> None:
    values = np.arange(100_000)
    for folder in ("ours", "others"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "values.npy", values)
    ours = np.load(tmp_path / "ours" / "values.npy", mmap_mode="r")
    others = np.load(tmp_path / "others" / "values.npy", mmap_mode="r")
    assert ours.sum() == others.sum() == values.sum()
    assert resident(tmp_path / "ours") >= values.nbytes
    assert let_go(tmp_path / "ours") >= values.nbytes
    assert resident(tmp_path / "ours") == 0
    assert resident(tmp_path / "others") >= values.nbytes
    assert ours.sum() == values.sum()


def test_what_a_process_wrote_to_a_map_of_its_own_stays(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"file" * 1024)
    with (tmp_path / "page").open("rb") as file:
        own = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    own[:4] = b"mine"
    assert let_go(tmp_path) == 0
    assert own[:8] == b"minefile"
    own.close()


def test_after_a_new_scoring_is_taken_up_the_one_before_takes_no_memory_and_can_still_be_read(
    scored_home: Home, tmp_path: Path
) -> None:
    holder = Holder(scored_home)
    holder.refresh()
    before = holder.kept = holder.state
    assert before.ranking is not None
    first = before.ranking.lists.tolist()
    assert resident(scored_home.scores) > 0
    version = current_version(scored_home)
    versions = scored_home.scores / "versions"
    (versions / "later").symlink_to(versions / str(version))
    write_text(scored_home.scores / CURRENT, "later")
    assert holder.refresh()
    assert holder.state.version == "later"
    assert resident(scored_home.root) == 0
    assert before.ranking.lists.tolist() == first
