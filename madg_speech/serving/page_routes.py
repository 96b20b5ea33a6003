"""What the web page asks for: its own files, languages, what to expect of one, a transcript."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from madg_speech import languages
from madg_speech.advice import advise
from madg_speech.conditioning import Conditioning
from madg_speech.errors import UnknownLanguageError
from madg_speech.languages import Language
from madg_speech.serving.refusal import Refusal
from madg_speech.serving.upload import receive_upload
from madg_speech.serving.worker import Worker
from madg_speech.splits import training_group
from madg_speech.typology import nearest, observed_share
from madg_speech.writers import WRITERS, Format, to_json

PAGE = Path(__file__).parent / "page"
_MATCHES = 40
_RELATIVES = 4


def page_routes(worker: Worker, model: str) -> APIRouter:
    """The page's endpoints, under ``/api``.

    Args:
        worker: what transcribes.
        model: name of the checkpoint, as shown.
    """
    router = APIRouter(prefix="/api")
    spec = worker.transcriber.model.spec
    trained = frozenset(spec.languages)

    @router.get("/about")
    def about() -> dict[str, Any]:
        return {
            "model": model,
            "backbone": spec.backbone.name,
            "languages": len(languages.all_languages()),
            "trained": len(trained),
            "megabytes": worker.limits.megabytes,
            "minutes": worker.limits.minutes,
        }

    @router.get("/languages")
    def find(q: str = "") -> dict[str, Any]:
        found, hint = _find(q, trained)
        shown = [_brief(language, trained) for language in found[:_MATCHES]]
        return {"languages": shown, "more": max(len(found) - _MATCHES, 0), "hint": hint}

    @router.get("/languages/{code}")
    def expect(code: str) -> dict[str, Any]:
        conditioning = worker.condition(code)
        if not isinstance(conditioning, Conditioning) or conditioning.language is None:
            raise Refusal(400, f"{code!r} is no language", param="language")
        language = conditioning.language
        relatives = nearest(language.iso, trained, _RELATIVES)
        return _brief(language, trained) | {
            "lineage": language.lineage,
            "group": training_group(language.iso, trained),
            "observed": observed_share(language.iso),
            "advice": advise(conditioning, spec),
            "nearest": [
                {
                    "code": relative.iso,
                    "name": languages.resolve(relative.iso).name,
                    "distance": relative.distance,
                }
                for relative in relatives
            ],
        }

    @router.post("/transcriptions")
    async def transcriptions(request: Request) -> dict[str, Any]:
        """The fields of the json format, and under ``files`` the text of every format."""
        with worker.place():
            async with receive_upload(request, worker.limits) as upload:
                lang = await run_in_threadpool(worker.condition, upload.text("language"))
                transcript = await worker.transcribe(request, upload, lang)
        files = {kind: WRITERS[kind](transcript) for kind in Format.all.kinds}
        name = languages.resolve(transcript.language).name
        fields: dict[str, Any] = json.loads(to_json(transcript))
        return fields | {"language_name": name, "files": files}

    return router


def _brief(language: Language, trained: frozenset[str]) -> dict[str, Any]:
    return {
        "code": language.iso,
        "name": language.name,
        "family": language.lineage[0] if language.lineage else "",
        "trained": language.iso in trained,
    }


def _find(text: str, trained: frozenset[str]) -> tuple[list[Language], str]:
    """Languages for what has been typed, likeliest first; where there are none, why not.

    Nothing typed: those trained on.
    """
    wanted = text.strip().casefold()
    if not wanted:
        known = [languages.resolve(code) for code in trained]
        return sorted(known, key=lambda language: language.name), ""
    # A macrolanguage stands for one of its languages: that one is offered, and once.
    found = {languages.resolve(language.iso) for language in languages.search(wanted)}
    hint, meant = "", None
    try:
        meant = languages.resolve(wanted)
        found.add(meant)
    except UnknownLanguageError as error:
        hint = str(error) if not found else ""

    def rank(language: Language) -> tuple[bool, bool, bool, bool, str]:
        name = language.name.casefold()
        return (
            language != meant,
            name != wanted,
            not name.startswith(wanted),
            language.iso not in trained,
            name,
        )

    return sorted(found, key=rank), hint
