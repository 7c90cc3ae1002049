"""The feature store: Feast over the snapshots on disk, for point-in-time retrieval."""
