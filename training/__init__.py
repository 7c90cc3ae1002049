"""Data sets at cut-offs, models, back-tests, the registry and scores."""
