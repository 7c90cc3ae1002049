"""Candidate sources: each is fitted on a history and proposes products to customers, with a score for any pair."""
