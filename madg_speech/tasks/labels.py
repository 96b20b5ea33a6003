"""The tasks and their inventories.

POS tags and relations are those of Universal Dependencies 2 (universaldependencies.org/u/pos,
universaldependencies.org/u/dep: 17 and 37), without subtypes. Entities are those of MasakhaNER
(Adelani et al. 2021, arXiv 2103.11811) in the IOB2 scheme; WikiANN and CoNLL have the first three.
"""

from __future__ import annotations

from typing import Literal, get_args

Task = Literal["pos", "ner", "parse"]
TASKS: tuple[Task, ...] = get_args(Task)

UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
    "PUNCT", "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip
ENTITIES = ("PER", "ORG", "LOC", "DATE")
IOB2 = ("O", *(f"{begin}-{entity}" for entity in ENTITIES for begin in "BI"))
RELATIONS = (
    "acl", "advcl", "advmod", "amod", "appos", "aux", "case", "cc", "ccomp", "clf", "compound",
    "conj", "cop", "csubj", "dep", "det", "discourse", "dislocated", "expl", "fixed", "flat",
    "goeswith", "iobj", "list", "mark", "nmod", "nsubj", "nummod", "obj", "obl", "orphan",
    "parataxis", "punct", "reparandum", "root", "vocative", "xcomp",
)  # fmt: skip
INVENTORIES: dict[Task, tuple[str, ...]] = {"pos": UPOS, "ner": IOB2, "parse": RELATIONS}
