"""eSpeak NG through ctypes: text in, phonemes or 16-bit audio out, nothing else.

The library and its data come from the ``espeakng-loader`` wheel (extra ``espeak``) or, without it,
from the system (``libespeak-ng.so.1``; ``ESPEAK_DATA_PATH`` may name the folder that holds
``espeak-ng-data``). The C interface is ``speak_lib.h`` of eSpeak NG 1.50 and later. The library
keeps its state in globals (never share an ``Engine`` between threads); some of it, such as voice
flutter, outlives an utterance and even ``espeak_Terminate``, and a few texts crash it. So each text
is handled by a forked child of a process that has never spoken: equal arguments give equal samples
whatever came before, and a crash costs one text. Hence Linux and macOS only.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madg_speech.errors import BackboneError, ConfigError

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_IPA = 0x02
_RATE, _PITCH, _RANGE = 1, 3, 4
_DICTIONARY = re.compile(r"^dictionary\s+(\S+)", re.MULTILINE)
_INSTALL = "install it with `pip install madg-speech[espeak]` or `apt-get install espeak-ng`"


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def _find_library() -> tuple[str, str | None]:
    """Path of the shared library, and the folder that holds ``espeak-ng-data`` (None: built in)."""
    if find_spec("espeakng_loader"):
        import espeakng_loader

        return espeakng_loader.get_library_path(), str(Path(espeakng_loader.get_data_path()).parent)
    system = ctypes.util.find_library("espeak-ng")
    if system is None:
        raise BackboneError(f"eSpeak NG was not found: {_INSTALL}")
    return system, os.environ.get("ESPEAK_DATA_PATH")


class Engine:
    """The loaded synthesiser.

    Attributes:
        version: of the library, such as "1.52.0".
        sample_rate: of what ``speak`` returns, in Hz (22050 for the formant voices).
        voices: eSpeak language code (as in ``espeak-ng --voices``) -> voice file.
        variants: names that may follow the voice as speaker, such as "f2".

    Raises:
        BackboneError: no library, or a library without its data.
    """

    def __init__(self) -> None:
        library, folder = _find_library()
        self._chunks: list[bytes] = []
        self._callback = _Callback(self._collect)  # held here: C keeps only a bare pointer
        try:
            self._lib = ctypes.CDLL(library)
        except OSError as error:
            raise BackboneError(f"cannot load {library} ({error}): {_INSTALL}") from None
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        rate = int(
            self._lib.espeak_Initialize(
                _SYNCHRONOUS, 0, os.fsencode(folder or "") or None, _DONT_EXIT
            )
        )
        if rate <= 0:
            raise BackboneError(
                f"eSpeak NG found no data in {folder or 'its built-in place'}: {_INSTALL}"
            )
        self._lib.espeak_SetSynthCallback(self._callback)
        if hasattr(self._lib, "espeak_ng_SetRandSeed"):  # 1.52; older ones draw from C's rand()
            self._lib.espeak_ng_SetRandSeed(ctypes.c_long(1))
        else:
            ctypes.CDLL(None).srand(1)
        self.sample_rate = rate
        found = ctypes.c_char_p()
        self.version = self._lib.espeak_Info(ctypes.byref(found)).decode().split()[0]
        data = Path(os.fsdecode(found.value or b""))
        self.voices = dict(self._list_voices(data))
        self.variants = frozenset(path.name for path in (data / "voices" / "!v").glob("*"))

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, count * 2))
        return 0

    def _list_voices(self, data: Path) -> Iterator[tuple[str, str]]:
        """Codes and voice files, less those whose dictionary was not built (they only spell)."""
        listed = self._lib.espeak_ListVoices(None)
        for voice in takewhile(bool, (listed[place] for place in count())):
            code = voice.contents.languages[1:].decode()  # after one byte of priority
            identifier = voice.contents.identifier.decode()
            named = _DICTIONARY.search((data / "lang" / identifier).read_text("utf-8", "replace"))
            dictionary = named[1] if named else code.split("-")[0]
            if (data / f"{dictionary}_dict").is_file():
                yield code, identifier

    def _check(self, voice: str, variant: str | None = None) -> None:
        if voice not in self.voices:
            raise ConfigError(f"eSpeak NG {self.version} has no voice {voice!r}")
        if variant is not None and variant not in self.variants:  # the library would ignore it
            raise ConfigError(f"eSpeak NG {self.version} has no voice variant {variant!r}")

    def _select(self, name: str) -> None:
        voice, plus, variant = name.partition("+")
        self._lib.espeak_SetVoiceByName(f"{self.voices[voice]}{plus}{variant}".encode())

    def phonemes(self, texts: Sequence[str], voice: str) -> list[str | None]:
        """IPA of each text; "(en)" and the like mark words read by the rules of another language.

        None where a text crashes the library (long clauses in Burmese do in 1.52).
        """
        self._check(voice)

        def convert() -> bytes:
            self._select(voice)
            return b"\0".join(map(self._convert, texts))

        heard = _in_child(convert)
        if heard is not None:
            return [ipa.decode("utf-8", "replace").strip() for ipa in heard.split(b"\0")]
        if len(texts) == 1:
            return [None]
        middle = len(texts) // 2
        return self.phonemes(texts[:middle], voice) + self.phonemes(texts[middle:], voice)

    def _convert(self, text: str) -> bytes:
        buffer = ctypes.create_string_buffer(text.encode() + b"\0")
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses = []
        while rest.value:
            clauses.append(self._lib.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA))
        return b" ".join(filter(None, clauses))

    def speak(
        self, text: str, voice: str, variant: str, rate: int, pitch: int, pitch_range: int
    ) -> NDArray[np.int16]:
        """Speak ``text``: mono samples at ``sample_rate``; none where the text crashes the library.

        Args:
            text: what to say, in the voice's orthography.
            voice: eSpeak language code, such as "sw".
            variant: speaker, such as "f2".
            rate: words a minute, 80 to 450.
            pitch: 0 to 99.
            pitch_range: 0 (flat) to 99.

        Raises:
            ConfigError: no such voice or variant in this engine.
        """
        self._check(voice, variant)

        def synthesise() -> bytes:
            self._select(f"{voice}+{variant}")
            for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
                self._lib.espeak_SetParameter(parameter, value, 0)
            data = text.encode()
            self._lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
            self._lib.espeak_Synchronize()
            return b"".join(self._chunks)

        return np.frombuffer(_in_child(synthesise) or b"", dtype=np.int16)


def _in_child(work: Callable[[], bytes]) -> bytes | None:
    """What ``work`` returns in a forked child; None if the child dies."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # glibc's last words
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(work())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read()
    return result if os.waitpid(child, 0)[1] == 0 else None
