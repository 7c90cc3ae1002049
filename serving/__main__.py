"""`python -m serving` is `regulars`, for where the console script is not installed."""

from serving.cli import main

main()
