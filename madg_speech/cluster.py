"""`transcribe` on a Ray cluster: files are rows of a Ray Data set, each worker has the model in memory.

Workers write the transcripts themselves, each file whole or not at all, so folder and recordings must be
on storage that all machines share. What a killed worker had not finished Ray gives to another: writing a
transcript a second time writes the same. Started again, only what is missing is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from madg_speech.errors import ConfigError
from madg_speech.processes import Outcome, Targets, files_per_task, transcribe_share
from madg_speech.request import Request
from madg_speech.writers import Format


def transcribe_on_ray(
    request: Request,
    targets: Targets,
    workers: int | None = None,
) -> Iterator[Outcome]:
    """Transcribe files on the cluster that Ray is connected to, or on this machine's cores.

    The cluster is the one that ``RAY_ADDRESS`` names; where it names none, a local one is started.

    Args:
        request: carried out by each worker.
        targets: files, and where their transcripts go.
        workers: processes with a model each; as many as the cluster has cores (GPUs, for a device
            that is a GPU) when left out.

    Yields:
        An outcome for each file, in no particular order.

    Raises:
        ConfigError: Ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError(
            "--ray: Ray is not installed; run `pip install madg-speech[ray]` on every machine"
        ) from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level="ERROR")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours counts files
    gpu = (request.device or "cpu") != "cpu"
    most = workers or int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1))
    rows = [
        {
            "source": str(source.absolute()),
            "forms": [str(form) for form in paths],
            "paths": _absolute(paths),
        }
        for source, paths in targets.items()
    ]
    given = {str(source.absolute()): source for source in targets}
    per_task = files_per_task(len(rows), most)
    done = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // per_task)).map_batches(
        _Worker,
        fn_constructor_args=(request,),
        batch_size=per_task,
        concurrency=min(most, len(rows)),
        num_cpus=1,
        num_gpus=1 if gpu else 0,
    )
    for row in done.iter_rows():
        yield Outcome(given[row["source"]], row["language"], row["error"])


class _Worker:
    """One process on some machine of the cluster."""

    def __init__(self, request: Request):
        import torch

        torch.set_num_threads(1)  # a worker is one core to Ray
        self._loaded = request.load(say=lambda line: None)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        files = [Path(source) for source in batch["source"]]
        targets = {
            file: {Format(form): Path(path) for form, path in zip(forms, paths, strict=True)}
            for file, forms, paths in zip(files, batch["forms"], batch["paths"], strict=True)
        }
        done = transcribe_share(self._loaded, targets)
        return {
            "source": list(map(str, files)),
            "language": [outcome.language for outcome in done],
            "error": [outcome.error for outcome in done],
        }


def _absolute(paths: Mapping[Format, Path]) -> list[str]:
    return [str(path.absolute()) for path in paths.values()]
