"""CoNLL-U and tagged text: what is read, and how each kind of damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from madg_speech.data.conllu import read_conllu, write_conllu
from madg_speech.data.rows import Problem
from madg_speech.data.sentence import Sentence
from madg_speech.data.sentences import find_split, read_split
from madg_speech.data.tagged import read_tagged, write_tagged
from madg_speech.errors import DataError

GOOD = """# text = vamonos ya
1-2\tvamonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\t_\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tquedar\t_\tVERB\t_\t_\t_\t_\t1:conj\t_
3\tya\t_\tADV\t_\t_\t1\tadvmod:tmod\t_\t_

"""


def words(*rows: tuple[str, str, str, str]) -> str:
    lines = [
        f"{number}\t{form}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_"
        for number, (form, tag, head, relation) in enumerate(rows, start=1)
    ]
    return "\n".join(lines) + "\n\n"


A, B = ("a", "NOUN", "0", "root"), ("b", "VERB", "1", "obj")


def write(folder: Path, text: str | bytes, name: str = "eng/test.conllu") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_multiword_tokens_are_kept_and_empty_nodes_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    (sentence,) = read_conllu(path, ("pos", "parse"))
    assert isinstance(sentence, Sentence) and sentence.tree is not None
    assert sentence.words == ("vamos", "nos", "ya") and sentence.tags == ("VERB", "PRON", "ADV")
    assert sentence.tree.heads == (0, 1, 1) and sentence.tree.relations[2] == "advmod:tmod"
    assert sentence.tree.multiword == ((1, 2, "vamonos"),)
    again = write(tmp_path, write_conllu(sentence), "b.conllu")
    (read,) = read_conllu(again, ("pos", "parse"))
    assert isinstance(read, Sentence) and read.tree == sentence.tree and read.tags == sentence.tags


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        (words(("a", "NOUN", "2", "obj"), ("b", "VERB", "1", "obj")), "0 roots", 1),
        (words(A, ("b", "VERB", "3", "obj"), ("c", "X", "2", "obj")), "cycle", 2),
        (words(A, ("b", "VERB", "0", "root")), "2 roots", 1),
        (words(A, ("b", "VERB", "7", "obj")), "head '7' outside", 2),
        (words(A, ("b", "VERB", "_", "obj")), "head '_' outside", 2),
        (words(A, ("b", "VERB", "1", "wrong:x")), "relation 'wrong:x' outside", 2),
        (words(A, ("b", "VERB", "1", "root")), "root on a word", 2),
        (words(A, ("b", "Verb", "1", "obj")), "UPOS 'Verb' outside", 2),
        (words(("_", "NOUN", "0", "root"), ("_", "X", "1", "obj")), "withheld", 1),
        (words(A, B).replace("2\tb", "3\tb"), "'3' out of order", 2),
        (words(A, B).replace("\tobj\t_\t_", "\tobj\t_"), "10 tab-separated", 2),
        ("2-3\tx" + "\t_" * 8 + "\n" + words(A, B), "multiword token out of place", 1),
        (words(A, B).encode().replace(b"b", b"\xff"), "not UTF-8", 2),
    ],
)
def test_damage_is_named_with_its_line_and_the_rest_is_read(
    tmp_path: Path, text: str | bytes, reason: str, line: int
) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    path = write(tmp_path, raw + GOOD.encode())
    problem, sentence = read_conllu(path, ("pos", "parse"))
    assert isinstance(problem, Problem) and reason in problem.reason
    assert problem.where == f"{path}:{line}"
    assert isinstance(sentence, Sentence)


def test_a_task_looks_only_at_what_it_needs(tmp_path: Path) -> None:
    path = write(tmp_path, words(("a", "NOUN", "9", "none")))
    assert isinstance(next(iter(read_conllu(path, ("pos",)))), Sentence)
    assert isinstance(next(iter(read_conllu(path, ("parse",)))), Problem)


def test_tagged_text_by_tab_or_blank_with_or_without_language(tmp_path: Path) -> None:
    path = write(
        tmp_path, "-DOCSTART- O\n\nAna B-PER\nSilva\tI-PER\n\nx O\ny\n\nz B-DOG\n", "a.txt"
    )
    first, short, outside = read_tagged(path, "ner")
    assert isinstance(first, Sentence) and first.words == ("Ana", "Silva")
    assert first.tags == ("B-PER", "I-PER") and first.place == f"{path}:3"
    assert short == Problem("line without a token and a tag", f"{path}:7")
    assert outside == Problem("tag 'B-DOG' outside the inventory", f"{path}:9")
    prefixed = write(tmp_path, "en:Paris\tB-LOC\n", "train")
    (sentence,) = read_tagged(prefixed, "ner", prefix="en:")
    assert isinstance(sentence, Sentence) and write_tagged(sentence) == "Paris\tB-LOC\n\n"


def test_a_folder_of_languages(tmp_path: Path) -> None:
    write(tmp_path, GOOD * 3 + words(A, ("b", "VERB", "9", "obj")), "swa/test.conllu")
    write(tmp_path, GOOD, "wol/test.conllu")
    read = read_split(tmp_path, "test", "parse", limit=2)
    assert {iso: len(s) for iso, s in read.sentences.items()} == {"swh": 2, "wol": 1}
    assert list(read.reasons()) == ["head '9' outside the sentence"]
    with pytest.raises(DataError, match="no test file in deu; it has swh, wol"):
        read_split(tmp_path, "test", "parse", ["deu"])
    with pytest.raises(DataError, match="no <language>/train"):
        find_split(tmp_path, "train")
    write(tmp_path, GOOD, "swh/test.conllu")
    with pytest.raises(DataError, match="both in swh"):
        find_split(tmp_path, "test")
