"""The shop's picture of its customers: pure functions over the rows before a moment, and what keeps their results."""
