"""Champions and scores behind an HTTP API, and the command line."""
