"""What `make demo` prints, its time and memory, from nothing: `python -m benchmarks.demo --write`.

It runs the demo once in an empty data home, a terminal of 100 columns and no colours. Memory is the resident memory of
the process and all its children together, sampled twice a second. `--write` puts the output into README.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.figures import README, put
from features.home import write_text

COLUMNS = 100


def resident_bytes(root: int) -> int:
    """Resident memory of a process and all that descend from it."""
    parents, pages = {}, {}
    for name in os.listdir("/proc"):  # noqa: PTH208  twice a second, so it must cost little
        if name.isdigit():
            try:
                text = Path(f"/proc/{name}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            fields = text[text.rindex(")") + 2 :].split()
            parents[int(name)], pages[int(name)] = int(fields[1]), int(fields[21])
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(pages.get(pid, 0) for pid in family) * os.sysconf("SC_PAGE_SIZE")


def run(home: Path) -> tuple[str, float, float, int]:
    """What the demo printed, the seconds it took, those of processor time, and the most memory it had."""
    environment = os.environ | {"REGULARS_HOME": str(home), "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    started, most = time.perf_counter(), 0
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", "demo", "--once"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def watch() -> None:
        nonlocal most
        while process.poll() is None:
            most = max(most, resident_bytes(process.pid))
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(output)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, time.perf_counter() - started, used.ru_utime + used.ru_stime, most


def as_markdown(output: str) -> str:
    """The first and the fourth answer, which say what the product is for, and all of the output folded away."""
    first = output[output.index("What will customer") : output.index("What goes with")].strip()
    fourth = output[output.index("Who is about to stop") : output.index("\nCustomer ")].strip()
    block = "```text\n{}\n```"
    everything = f"<details><summary>All of its output</summary>\n\n{block.format(output)}\n\n</details>"
    return block.format(f"{first}\n\n{fourth}") + "\n\n" + everything


def main() -> None:
    """Run it, print what it printed and what it took, and write it into the README if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the output into README.md")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        output, seconds, busy, most = run(Path(folder) / "home")
    shown = "\n".join(line.rstrip() for line in output.strip().splitlines())
    print(shown)
    memory = f"at most {most / 1e9:.2f} GB resident"
    print(f"\n{seconds:.0f} s, {busy:.0f} s of processor time, {memory}, {os.cpu_count()} cores")
    if write:
        write_text(README, put(README.read_text(encoding="utf-8"), "demo output", as_markdown(shown)))


if __name__ == "__main__":
    main()
