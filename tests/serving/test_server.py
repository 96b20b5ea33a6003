"""Limits, the queue, cleanliness, and whatever a client may send."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madg_speech.serving.limits import Limits
from madg_speech.transcribe import Transcriber
from madg_speech.writers import WRITERS, Format
from tests.serving.conftest import Served, running, wav

TALK = wav("bado kuku dada")
SHORT = wav("oko")
PAGE_API = "/api/transcriptions"


class Held:
    """Makes the inference thread wait inside its first file, and lets it go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.entered, self.release = threading.Event(), threading.Event()
        self.calls = 0
        whole = Transcriber.transcribe_many

        def waiting(transcriber: Transcriber, *args: object, **options: object) -> object:
            self.calls += 1
            self.entered.set()
            assert self.release.wait(20)
            return whole(transcriber, *args, **options)

        monkeypatch.setattr(Transcriber, "transcribe_many", waiting)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(monkeypatch)
    yield held
    held.release.set()


def test_too_large_an_upload(served: Served) -> None:
    answer = served.post(bytes(1_200_000))
    assert answer.status_code == 413
    assert "1 MB" in answer.json()["error"]["message"]

    def chunks() -> Iterator[bytes]:  # no content-length
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        yield from (bytes(100_000) for _ in range(20))

    answer = served.web.post(
        PAGE_API,
        content=chunks(),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "file_too_large"
    assert not served.left_over()


def test_too_long_a_recording(served: Served) -> None:
    answer = served.post(wav("bado" * 26))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "audio_too_long"
    assert "0.25 minutes" in answer.json()["error"]["message"]
    assert served.post(wav("bado" * 24)).status_code == 200
    assert not served.left_over()


def test_two_languages_at_once_never_mix(served: Served) -> None:
    talks = {word: wav(word) for word in ("bado", "kukudada", "okoodo")}
    wanted = [(lang, word) for word in talks for lang in ("swh", "fin", "yor")] * 2

    def ask(one: tuple[str, str]) -> str:
        return served.post(talks[one[1]], language=one[0]).json()["text"]

    apart = {one: ask(one) for one in set(wanted)}
    assert len({apart[lang, "kukudada"] for lang in ("swh", "fin", "yor")}) == 3
    with ThreadPoolExecutor(len(wanted)) as pool:
        assert list(pool.map(ask, wanted)) == [apart[one] for one in wanted]


def test_a_full_queue_refuses_and_recovers(
    transcriber: Transcriber, served: Served, held: Held
) -> None:
    with (
        running(transcriber, Limits(waiting=1)) as web,
        ThreadPoolExecutor(2) as pool,
    ):
        served = Served(web, transcriber, served.temporary)
        accepted = [pool.submit(served.post, SHORT) for _ in range(2)]
        served.wait_for_uploads(2)
        answer = served.post(TALK)
        assert answer.status_code == 429
        assert answer.json()["error"]["type"] == "rate_limit_error"
        assert int(answer.headers["retry-after"]) > 0
        held.release.set()
        assert [request.result().status_code for request in accepted] == [200, 200]
        assert served.post(TALK).status_code == 200


def send_and_leave(served: Served, body: bytes, length: int) -> socket.socket:
    """Begin a request of ``length`` bytes by hand; the caller closes the connection."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = (
        f"POST {PAGE_API} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def form(audio: bytes) -> bytes:
    return (
        b'--x\r\nContent-Disposition: form-data; name="language"\r\n\r\nswh\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        + audio
        + b"\r\n--x--\r\n"
    )


def test_nothing_is_left_when_a_client_goes_while_it_is_served(served: Served, held: Held) -> None:
    body = form(SHORT)
    first = send_and_leave(served, body, len(body))
    assert held.entered.wait(20)
    second = send_and_leave(served, body, len(body))
    served.wait_for_uploads(2)
    first.close()
    second.close()
    time.sleep(0.2)  # both are noticed
    held.release.set()
    assert not served.left_over()
    assert held.calls == 1  # the second, not begun when its client went, never was


def test_nothing_is_left_when_an_upload_breaks_off(served: Served) -> None:
    body = form(TALK)
    send_and_leave(served, body[: len(body) // 2], len(body)).close()
    assert served.post(SHORT).status_code == 200
    assert not served.left_over()


def test_an_upload_that_takes_too_long(transcriber: Transcriber) -> None:
    with running(transcriber, Limits(upload_seconds=0.2, waiting=0)) as web:
        served = Served(web, transcriber, Path())
        with send_and_leave(served, form(TALK)[:2000], 5000) as connection:
            time.sleep(0.5)
            assert served.post(SHORT).status_code == 200  # its place was given back
            connection.sendall(bytes(3000))
            assert b" 408 " in connection.recv(4096)


def test_nothing_is_left_when_the_server_stops(
    transcriber: Transcriber, held: Held, served: Served
) -> None:
    with running(transcriber) as web:
        other = Served(web, transcriber, served.temporary)
        body = form(SHORT)
        connection = send_and_leave(other, body, len(body))
        assert held.entered.wait(20)
        threading.Timer(0.3, connection.close).start()
        threading.Timer(0.6, held.release.set).start()
    assert not served.left_over()


def test_the_page_api_has_every_format(served: Served, tmp_path: Path) -> None:
    fields = served.post(TALK, PAGE_API).json()
    path = tmp_path / "talk.wav"
    path.write_bytes(TALK)
    transcript = served.transcriber.transcribe(path, "swh")
    assert fields["language_name"] == "Swahili"
    assert fields["text"] == transcript.text
    assert json.loads(fields["files"]["json"])["file"] == "talk.wav"
    for kind in (Format.txt, Format.srt, Format.vtt, Format.tsv):
        assert fields["files"][kind] == WRITERS[kind](transcript)


def test_languages_are_found_as_one_types(served: Served) -> None:
    def find(text: str) -> dict[str, object]:
        return served.web.get("/api/languages", params={"q": text}).json()

    def codes(text: str) -> list[str]:
        return [language["code"] for language in find(text)["languages"]]

    assert sorted(codes("")) == ["deu", "fin", "swh", "yor"]
    for typed in ("swahili", "SWAH", "sw", "swh", "sw-KE"):
        assert codes(typed)[0] == "swh", typed
        assert "swa" not in codes(typed)
    assert codes("finn")[0] == "fin"
    assert find("a")["more"] > 1000
    nothing = find("swahilii")
    assert nothing["languages"] == []
    assert "Swahili" in nothing["hint"]


def test_what_to_expect_of_a_language(served: Served) -> None:
    def expect(code: str) -> dict[str, object]:
        return served.web.get(f"/api/languages/{code}").json()

    own, other = expect("swh"), expect("xho")
    assert (own["group"], other["group"]) == ("trained", "clade")
    assert other["advice"].startswith("Xhosa (xho): not trained on, its clade was")
    assert [near["code"] for near in other["nearest"]].index("swh") >= 0
    assert 0 < other["observed"] < 1
    assert "did you mean" in expect("swahilii")["error"]["message"]
    assert "error" in expect("auto")


def test_the_page_asks_no_other_machine(served: Served) -> None:
    page = served.web.get("/")
    assert "madg-speech" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    for name in ("style.css", "app.js", "ask.js", "language.js", "recorder.js", "transcript.js"):
        text = served.web.get(f"/page/{name}").raise_for_status().text
        assert "://" not in text
    for path in (
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/docs",
        "/openapi.json",
    ):
        assert served.web.get(path).status_code == 404


FUZZ = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_answered(answer: httpx.Response) -> bool:
    return answer.status_code < 500 and (
        answer.status_code == 200 or bool(answer.json()["error"]["message"])
    )


@FUZZ
@given(
    language=st.text(max_size=12) | st.sampled_from(["sw-", "x-x", "zh-Hant-TW", "qaa", "auto"]),
    form=st.text(max_size=8) | st.sampled_from(["srt", "verbose_json"]),
    name=st.text(max_size=20),
)
def test_any_fields(served: Served, language: str, form: str, name: str) -> None:
    answer = served.web.post(
        "/v1/audio/transcriptions",
        files={"file": (name, SHORT)},
        data={"model": "tiny", "language": language, "response_format": form},
    )
    assert is_answered(answer)


@FUZZ
@given(body=st.binary(max_size=300), kind=st.sampled_from(["x", "x; charset=qq", ""]))
def test_any_body(served: Served, body: bytes, kind: str) -> None:
    answer = served.web.post(
        "/v1/audio/transcriptions",
        content=b"--x\r\nContent-Disposition: form-data; " + body,
        headers={"content-type": f"multipart/form-data; boundary={kind}"},
    )
    assert is_answered(answer)


@FUZZ
@given(text=st.text(max_size=12))
def test_any_search(served: Served, text: str) -> None:
    assert is_answered(served.web.get("/api/languages", params={"q": text}))
    quoted = (
        httpx.URL(served.url)
        .join("/api/languages/")
        .copy_with(
            raw_path=b"/api/languages/" + b"".join(b"%%%02x" % byte for byte in text.encode())
        )
    )
    assert is_answered(served.web.get(quoted))


@FUZZ
@given(
    size=st.integers(0, len(TALK)),
    damage=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
)
def test_truncated_and_damaged_audio(
    served: Served, size: int, damage: list[tuple[int, int]]
) -> None:
    audio = bytearray(TALK[:size])
    for place, value in damage:
        if place < len(audio):
            audio[place] = value
    assert is_answered(served.post(bytes(audio)))
    assert not served.left_over()
