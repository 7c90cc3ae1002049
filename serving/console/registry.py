"""The model registry as the console sees it: by the list kept beside it, and through `regulars` as processes.

The registry's library takes seconds and hundreds of megabytes to load, which no worker of the server should carry for
a page that is opened now and then; and a change goes the one way it goes on the command line, gate and log included.
Whatever changes the registry through `regulars` keeps the list anew; only where something else did is it asked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from features.errors import RegularsError
from features.home import Home
from serving.mlflow_server import ServerAwayError, fetch_pictures, kept_pictures
from training.version_listing import kept_listing

SECONDS = 120.0
_PICTURES = ("artifacts", "pictures")


class RegistryBusyError(RegularsError):
    """The registry did not answer in time, or refused; the message is what it said."""


class Registry:
    """The registry of one data home. `tenant` names its shop, where a server has several."""

    def __init__(self, home: Home, *, tenant: str | None = None) -> None:
        self.home = home
        self.tenant = tenant
        self._asking = asyncio.Lock()

    async def at_hand(self) -> list[dict[str, Any]] | None:
        """The versions where the list kept is that of the registry as it is; None where it has to be asked."""
        return await asyncio.to_thread(kept_listing, self.home)

    async def versions(self) -> list[dict[str, Any]]:
        """Every finished version of every model, newest first of each, as `regulars models --json` gives them.

        Raises RegistryBusyError.
        """
        async with self._asking:
            found = await self.at_hand()
            if found is None:
                found = json.loads(await self._run(["models", "--json"], who=None))
            return found

    async def promote(self, model: str, version: int, *, who: str, why: str, force: bool) -> Mapping[str, Any]:
        """The entry of the promotion log. Raises RegistryBusyError with what the gate said."""
        arguments = ["promote", model, f"--version={version}", f"--why={why}", "--json"]
        return await self._change([*arguments, *(["--force"] if force else [])], who=who)

    async def rollback(self, model: str, *, who: str, why: str) -> Mapping[str, Any]:
        """The entry of the promotion log. Raises RegistryBusyError where no version was champion before."""
        return await self._change(["rollback", model, f"--why={why}", "--json"], who=who)

    def pictures(self, version: Mapping[str, Any]) -> list[str] | None:
        """Names of the back-test's plots that are at hand; None where a server has them and they were not fetched."""
        if self.home.mlflow_url is not None:
            kept = kept_pictures(self.home, version["run_id"])
            return None if kept is None else [path.name for path in kept]
        folder = self._folder(version)
        return sorted(path.name for path in folder.glob("*.png")) if folder.is_dir() else []

    def fetch_pictures(self, versions: Sequence[Mapping[str, Any]]) -> None:
        """Have the plots of these versions at hand, of as many as their server gives within its short wait."""
        for version in versions:
            try:
                fetch_pictures(self.home, version["run_id"])
            except ServerAwayError:
                return

    def picture(self, version: Mapping[str, Any], name: str) -> Path | None:
        """The file of one plot; None where there is none of that name."""
        return self._folder(version) / name if name in (self.pictures(version) or ()) else None

    def _folder(self, version: Mapping[str, Any]) -> Path:
        if self.home.mlflow_url is not None:
            return self.home.mlflow.joinpath("pictures", version["run_id"])
        return self.home.mlflow.joinpath("artifacts", version["model"], version["run_id"], *_PICTURES)

    async def _change(self, arguments: Sequence[str], *, who: str) -> Mapping[str, Any]:
        async with self._asking:
            found: Mapping[str, Any] = json.loads(await self._run(arguments, who=who))
            return found

    async def _run(self, arguments: Sequence[str], *, who: str | None) -> bytes:
        """What `regulars` with those arguments prints. They name no option but ours: values stand behind an =."""
        chosen = {"COLUMNS": "1000", "NO_COLOR": "1"}
        if self.tenant is None:
            chosen["REGULARS_HOME"] = str(self.home.root.resolve())
        else:
            chosen["REGULARS_TENANT"] = self.tenant
        if who is not None:
            chosen["REGULARS_WHO"] = who
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "serving", *arguments),
            env=os.environ | chosen,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            printed, said = await asyncio.wait_for(process.communicate(), SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise RegistryBusyError(f"The registry did not answer within {SECONDS:g} s. Try again.") from None
        if process.returncode != 0:
            raise RegistryBusyError(_last(said) or "The registry gave no reason.")
        return printed


def _last(said: bytes) -> str:
    """What the command said when it failed, without the mark before it."""
    text = " ".join(said.decode("utf-8", "replace").split())
    return text.removeprefix("error").lstrip(": ✗")
