"""What a user should know before reading a transcript: how far this language is from training."""

from __future__ import annotations

from madg_speech.checkpoint import ModelConfig
from madg_speech.conditioning import NONE, Conditioning
from madg_speech.languages import Language, resolve
from madg_speech.splits import Group, training_group
from madg_speech.typology import nearest, observed_share

_STANDING: dict[Group, str] = {
    "trained": "trained on",
    "clade": "not trained on, its clade was",
    "family": "not trained on, its family was",
    "unrelated": "not trained on, nor any relative",
}
_NEAREST = 3


def advise(conditioning: Conditioning, config: ModelConfig) -> str:
    """One line on the language and the adapter in use; no number that was not measured.

    Args:
        conditioning: what is about to be used.
        config: of the checkpoint: languages trained on, error rates measured per group.
    """
    language = conditioning.language
    if language is None:
        return f"{conditioning.label}: no language known here; {_adapter(conditioning)}"
    group = training_group(language.iso, config.languages)
    facts = [f"{language.name} ({language.iso}): {_STANDING[group]}"]
    if group != "trained" and config.languages:
        facts.append(f"nearest trained (share of features apart): {_nearest(language, config)}")
    if conditioning.origin == language.iso:
        facts.append(_observed(language))
        if group in config.expected_cer:
            facts.append(f"expect about {config.expected_cer[group]:.0%} character errors")
    else:
        facts.append(_adapter(conditioning))
    if "whisper" in language.known_to:
        facts.append("Whisper itself supports this language: plain Whisper is likely to do better")
    return "; ".join(facts)


def _adapter(conditioning: Conditioning) -> str:
    if conditioning.origin == NONE:
        return "no adapter in use"
    return f"adapter in use: {conditioning.origin}"


def _nearest(language: Language, config: ModelConfig) -> str:
    found = nearest(language.iso, config.languages, _NEAREST)
    return ", ".join(
        f"{resolve(near.iso).name} ({near.iso}, {near.distance:.2f})" for near in found
    )


def _observed(language: Language) -> str:
    share = observed_share(language.iso)
    if share == 0:
        return "nothing of its vector observed, all of it guessed from relatives and neighbours"
    return f"{share:.0%} of its vector observed"
