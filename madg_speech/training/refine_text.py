"""MAD-G-ft of text, as in the paper: a generated adapter tuned on a language's unlabelled sentences.

Masked-token prediction; backbone, head and, for λ, the generator stay frozen. Output as that of speech:
``evaluate-task --adapter-from refined:FOLDER`` reads ``FOLDER/<language>/adapter.safetensors``.
"""

from __future__ import annotations

from pathlib import Path

from accelerate import PartialState
from pydantic import Field
from transformers import set_seed

from madg_speech.checkpoint import checkpoint_folder
from madg_speech.config.text import MlmTrainingConfig
from madg_speech.data.text_batches import MaskedTextCollator
from madg_speech.errors import CheckpointError
from madg_speech.text_model import TextModel
from madg_speech.training.mlm import MLM, batch_plan
from madg_speech.training.monolingual import load_sentences
from madg_speech.training.refinement import Refined, RefinementConfig, read_refined, tune
from madg_speech.training.run import describe_run, open_run, training_arguments
from madg_speech.training.speech_trainer import SpeechTrainer
from madg_speech.training.starts import choose_start, starting_source


class TextRefineConfig(RefinementConfig):
    """A whole `madg-speech refine` run on text."""

    checkpoint: str = Field(description="Checkpoint folder of text.")
    texts: tuple[str, ...] = Field(min_length=1, description="Files, a sentence a line.")


def refine_text(
    config: TextRefineConfig, output: Path, device: str | None = None, resume: bool = False
) -> Refined:
    """Tune the adapter of one language and save it to ``output``.

    The score is the loss in nats per hidden piece, over those pieces that the checkpoint's head knows;
    the same ones are hidden each time. The best step is kept, or the start where nothing beat it.

    Raises:
        UnknownLanguageError: no such language, or no vector to generate its adapter from.
        ConfigError: ``output`` holds another run; λ of a checkpoint that has none.
        DataError: no usable sentence, or too few to hold a tenth out.
        CheckpointError: a model of speech, one without a masked-token head, or a broken one.
        BackboneError: as its name says.
    """
    PartialState(cpu=device == "cpu")
    run = output / "run"
    checkpoint = open_run(run, config, resume)
    if finished := read_refined(output):
        return finished
    set_seed(config.seed)
    folder = checkpoint_folder(config.checkpoint)
    model = TextModel.from_pretrained(folder)
    if model.head is None:
        raise CheckpointError(
            f"{folder} has no masked-token head to learn from: give one that `pretrain` made with "
            "objective mlm"
        )
    language, start = choose_start(config, model)
    tokenizer, tokens = model.backbone.tokenizer, model.head.tokens.numpy(force=True)
    dev_file = Path(config.dev) if config.dev else None
    train, dev = load_sentences(
        [Path(file) for file in config.texts], dev_file, language, tokenizer, tokens
    )
    model.source = starting_source(model, language, config.tune, start)
    model.head.requires_grad_(False)
    describe_run(run, config, {"train": train, "dev": dev})
    training = MlmTrainingConfig(**config.schedule(eval_every=20), pieces_per_batch=1024)
    trainer = SpeechTrainer(
        model,
        training_arguments(training, run, device, cached=True, dev=True, metric=MLM.metric),
        batch_plan(training, training.pieces_per_batch, train),
        train,
        dev,
        MaskedTextCollator(
            tokens, tokenizer.mask, tokenizer.pad, training.mask_share, training.seed
        ),
        groups={},
        patience=training.patience,
        objective=MLM,
    )
    facts = {"pieces": sum(train.table["length"]), "objective": "mlm"}
    return tune(trainer, config, language, start, output, checkpoint, facts)
