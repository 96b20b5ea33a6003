"""The errors a user can act on. Each message says what was given, what was expected, what to do."""

from __future__ import annotations


class MadgSpeechError(Exception):
    """Base of every error that the command line prints without a traceback.

    ``exit_status`` is what the process returns: 2, nothing usable came out; 1, part of a batch failed.
    """

    exit_status = 2


class UnknownLanguageError(MadgSpeechError):
    """A code or name that is no language, or a language without a URIEL entry."""


class ManifestError(MadgSpeechError):
    """A manifest line that cannot be read; names file and line."""


class AudioError(MadgSpeechError):
    """Audio that cannot be decoded or holds nothing to transcribe; names the file."""


class ConfigError(MadgSpeechError):
    """A configuration value or key that does not fit; names file and key."""


class CheckpointError(MadgSpeechError):
    """A checkpoint that is incomplete, or made for another backbone."""


class BackboneError(MadgSpeechError):
    """Backbone weights that cannot be found, fetched or verified."""


class DataError(MadgSpeechError):
    """Training or evaluation data from which nothing usable is left."""


class PartialFailure(MadgSpeechError):
    """Some files of a batch failed; the others are done."""

    exit_status = 1
