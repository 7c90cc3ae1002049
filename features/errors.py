"""Errors a user can act on. Each message says what was wrong, where, what was found, and what to do."""


class RegularsError(Exception):
    """Base of every error shown as a message without a traceback; the command line exits with 1."""


class DataError(RegularsError):
    """Data that cannot be used as it is: a missing column, an empty file, too little history."""


class ConfigError(RegularsError):
    """A setting or mapping file that is wrong: an unknown key, a wrong type."""


class NotOnSparkError(ConfigError):
    """Something that is computed on DuckDB alone, asked for with engine = "spark"."""


class NotReadyError(RegularsError):
    """Something that must be made first is not there: no data loaded, no champion, no scores."""


class GateError(RegularsError):
    """A promotion that was refused, with the reasons."""
