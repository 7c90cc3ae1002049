"""Where Feast keeps the registry's one file: written whole by `regulars`, and only read by whoever opens the store.

`feature_store.yaml` names ReadOnlyRegistryStore by its path, so `feast apply`, `feast delete` and whatever Feast's UI
and servers would write is refused, whoever asks.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, NoReturn

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry

from features.errors import RegularsError
from features.home import new_file


class WholeFileRegistryStore(FileRegistryStore):
    """Feast's file, replaced whole: a reader sees the old registry or the new, never a part."""

    def _write_registry(self, registry_proto: Any) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(datetime.now(UTC))
        with new_file(self._filepath) as aside:
            aside.write_bytes(registry_proto.SerializeToString())


class ReadOnlyRegistryStore(FileRegistryStore):
    """Feast's file, of which nothing is ever written: an attempt raises RegularsError. No file is an empty registry."""

    def get_registry_proto(self) -> Any:
        """What the file says."""
        return super().get_registry_proto() if self._filepath.exists() else Registry()

    def update_registry_proto(self, registry_proto: Any) -> NoReturn:
        """Refused."""
        del registry_proto
        raise _refused()

    def set_project_metadata(self, project: str, key: str, value: str) -> NoReturn:
        """Refused."""
        del project, key, value
        raise _refused()

    def teardown(self) -> NoReturn:
        """Refused."""
        raise _refused()


def _refused() -> RegularsError:
    return RegularsError(
        "This registry is read-only: what it says comes from the definitions of features. Change those, then run:  "
        "regulars features build"
    )
