"""Where contract tables come from: each source names, per table, a file and how its columns map."""
