"""OpenAI's own client against a running server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from madg_speech.transcript import Transcript
from madg_speech.writers import to_srt, to_vtt
from tests.serving.conftest import Served, wav

TALK = wav("bado kuku dada")


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def expected(served: Served, tmp_path: Path) -> Transcript:
    path = tmp_path / "talk.wav"
    path.write_bytes(TALK)
    return replace(served.transcriber.transcribe(path, "swh"), source=Path("talk.wav"))


def test_json_is_the_default(client: openai.OpenAI, expected: Transcript) -> None:
    answer = client.audio.transcriptions.create(
        file=("talk.wav", TALK), model="whisper-1", language="sw"
    )
    assert answer.text == expected.text
    assert answer.usage.seconds == 2


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_plain_formats_are_the_writers_own(
    client: openai.OpenAI, expected: Transcript, form: str
) -> None:
    answer = client.audio.transcriptions.create(
        file=("talk.wav", TALK), model="tiny", language="Swahili", response_format=form
    )
    made = {"text": expected.text + "\n", "srt": to_srt(expected), "vtt": to_vtt(expected)}
    assert answer == made[form]


def test_verbose_json(client: openai.OpenAI, expected: Transcript) -> None:
    def ask(**more: object) -> openai.types.audio.TranscriptionVerbose:
        return client.audio.transcriptions.create(
            file=("talk.wav", TALK),
            model="tiny",
            language="swh",
            response_format="verbose_json",
            **more,
        )

    plain = ask()
    assert (plain.language, plain.duration, plain.text) == ("swh", expected.seconds, expected.text)
    assert plain.words is None
    (segment,) = plain.segments
    (own,) = expected.segments
    assert (segment.id, segment.start, segment.end) == (0, own.start, own.end)
    assert segment.text == own.text
    assert segment.avg_logprob < 0
    assert segment.compression_ratio > 0

    both = ask(timestamp_granularities=["word", "segment"])
    heard = [(word.word, word.start, word.end) for word in both.words]
    assert heard == [(word.text, word.start, word.end) for word in expected.words]
    assert len(both.segments) == 1
    assert ask(timestamp_granularities=["word"]).segments is None


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "madg-speech"
    with pytest.raises(openai.NotFoundError, match="tiny"):
        client.models.retrieve("gpt-4")


@pytest.mark.parametrize(
    ("change", "param", "said"),
    [
        ({"language": "Swahilli"}, "language", "swh|swa"),
        ({"language": "Toki Pona"}, "language", "no typological entry"),
        ({"response_format": "diarized_json"}, "response_format", "verbose_json"),
        ({"timestamp_granularities": ["line"]}, "timestamp_granularities", "segment, word"),
        ({"file": ("talk.wav", b"")}, "file", "talk.wav: empty"),
        ({"file": ("notes.wav", b"no sound at all")}, "file", "notes.wav: not an audio file"),
        ({"file": ("still.wav", TALK[:44] + bytes(9600))}, "file", "still.wav: silent"),
    ],
)
def test_bad_requests_say_what_is_wrong(
    client: openai.OpenAI, served: Served, change: dict[str, object], param: str, said: str
) -> None:
    request = {"file": ("talk.wav", TALK), "model": "whisper-1", "language": "swh"} | change
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        client.audio.transcriptions.create(**request)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert str(served.temporary) not in str(caught.value)
    assert not served.left_over()


def test_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="this server has 'tiny'") as caught:
        client.audio.transcriptions.create(file=("talk.wav", TALK), model="gpt-4o", language="swh")
    assert caught.value.code == "model_not_found"


def test_no_language_asks_whisper(client: openai.OpenAI) -> None:
    # the tiny Whisper's folder names no languages: the message says so, and what to do
    with pytest.raises(openai.BadRequestError, match="name the language"):
        client.audio.transcriptions.create(file=("talk.wav", TALK), model="tiny")


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/chat/completions", 404), ("/v1/audio/transcriptions", 405)]
)
def test_other_paths_answer_in_the_same_shape(served: Served, path: str, status: int) -> None:
    answer = served.web.get(path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_request_that_is_no_form(served: Served) -> None:
    for request in (
        {"json": {"model": "tiny"}},
        {"content": b"RIFF"},
        {"data": {"file": "talk.wav", "model": "tiny"}},
    ):
        answer = served.web.post("/v1/audio/transcriptions", **request)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "file"
