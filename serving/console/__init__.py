"""The pages of the retention team, under /console, answered by the same server from the same state as the API."""
