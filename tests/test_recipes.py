"""Recipes parse: configurations with our loader, launch files with accelerate's own."""

import re
import shlex
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType

from madg_speech.config.files import load_config, objective_of
from madg_speech.config.joint import JointConfig
from madg_speech.config.speech import PretrainConfig
from madg_speech.config.text import MlmConfig

RECIPES = Path(__file__).parent.parent / "recipes"
RECIPE = RECIPES / "default"
CONFIGS = [
    path
    for name in ("default", "phones", "seq2seq", "ssl", "xlsr")
    for path in (RECIPES / name).glob("*.yaml")
]
LAUNCHES = {"one_gpu": (1, 1), "eight_gpus": (1, 8), "sixty_four_gpus": (8, 64)}


@pytest.mark.parametrize(
    "path", sorted(CONFIGS), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_configurations_are_valid(path: Path) -> None:
    config = load_config(path, PretrainConfig)
    assert config.data.train and config.output


@pytest.mark.parametrize("name", LAUNCHES)
def test_accelerate_reads_its_files(name: str) -> None:
    config = load_config_from_file(str(RECIPE / "accelerate" / f"{name}.yaml"))
    assert isinstance(config, ClusterConfig)
    machines, processes = LAUNCHES[name]
    assert (config.num_machines, config.num_processes) == (machines, processes)
    assert config.mixed_precision == "bf16"
    expected = DistributedType.NO if processes == 1 else DistributedType.MULTI_GPU
    assert config.distributed_type == expected


def test_the_launch_lines_are_ones_that_accelerate_takes() -> None:
    text = (RECIPE / "README.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"^\s*(accelerate launch .*)$", text, re.MULTILINE)
    named = set()
    for line in lines:
        arguments = launch_command_parser().parse_args(shlex.split(line)[2:])
        assert arguments.module and arguments.training_script == "madg_speech"
        named.add(Path(arguments.config_file).stem)
        assert (RECIPE.parent.parent / arguments.config_file).is_file()
    assert named == set(LAUNCHES)


@pytest.mark.parametrize("text", ["default/run.sh", "ssl/run.sh", "xlsr/README.md"])
def test_commands_name_configurations_that_exist(text: str) -> None:
    configs = re.findall(r"recipes/([\w/-]+\.yaml)", (RECIPES / text).read_text())
    assert configs and all((RECIPES / name).is_file() for name in configs)


@pytest.mark.parametrize("path", sorted((RECIPES / "mlm").glob("*.yaml")), ids=lambda p: p.name)
def test_recipes_of_text_are_valid_and_hold_the_same_languages_out(path: Path) -> None:
    config = load_config(path, MlmConfig)
    assert objective_of(path) == "mlm"
    assert config.data == load_config(path.parent / "static.yaml", MlmConfig).data
    assert path.stem in (path.parent / "run.sh").read_text() or path.stem == "madg"


def test_the_joint_recipe_and_its_controls_differ_in_what_they_say_alone() -> None:
    folder = RECIPES / "joint"
    joint, shuffled = (
        load_config(folder / f"{n}.yaml", JointConfig) for n in ("joint", "shuffled")
    )
    alone = load_config(folder / "speech_alone.yaml", PretrainConfig)
    read = load_config(folder / "text_static.yaml", MlmConfig)
    assert joint.text.data == shuffled.text.data == read.data
    assert joint.speech.data == shuffled.speech.data == alone.data
    assert joint.speech.source == alone.source and joint.training == shuffled.training
    assert joint.training.steps * (1 - joint.training.text_share) == alone.training.steps
    assert shuffled.text.source.typology == shuffled.speech.source.typology
    assert shuffled.speech.source.typology.shuffle == "all"
    assert alone.init_from == joint.speech.init_from == "speech-static/checkpoint"
    assert joint.text.init_from == f"{read.output}/checkpoint"
    script = (folder / "run.sh").read_text()
    assert all(path.stem in script for path in folder.glob("*.yaml"))
