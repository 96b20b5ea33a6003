from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from madg_speech.adapters import ActiveAdapters, AdapterWeights, bottleneck
from madg_speech.errors import CheckpointError


def weights(
    languages: int, layers: tuple[int, ...] = (1, 3), h: int = 6, b: int = 2, seed: int = 0
):
    draw = torch.Generator().manual_seed(seed)
    n = len(layers)
    return AdapterWeights(
        layers,
        torch.randn(languages, n, b, h, generator=draw),
        torch.randn(languages, n, b, generator=draw),
        torch.randn(languages, n, h, b, generator=draw),
        torch.randn(languages, n, h, generator=draw),
    )


def test_bottleneck_by_hand() -> None:
    w = AdapterWeights(
        (0,),
        down=torch.tensor([[[[1.0, -1.0]]]]),
        down_bias=torch.tensor([[[0.5]]]),
        up=torch.tensor([[[[2.0], [3.0]]]]),
        up_bias=torch.tensor([[[0.1, 0.2]]]),
    )
    hidden = torch.tensor([[[2.0, 1.0], [0.0, 4.0]]])
    # relu(2 - 1 + 0.5) = 1.5 -> (3.1, 4.7);  relu(0 - 4 + 0.5) = 0 -> the up bias alone
    expected = torch.tensor([[[3.1, 4.7], [0.1, 0.2]]])
    for index in ([0], [0]):
        added = bottleneck(hidden, 0, ActiveAdapters.select(w, index))
        torch.testing.assert_close(added, expected)


@settings(deadline=None, max_examples=30)
@given(index=st.lists(st.integers(-1, 3), min_size=1, max_size=6))
def test_mixed_batch_equals_rows_alone(index: list[int]) -> None:
    w = weights(4)
    hidden = torch.randn(len(index), 5, 6, generator=torch.Generator().manual_seed(1))
    together = bottleneck(hidden, 3, ActiveAdapters.select(w, index))
    for row, language in enumerate(index):
        if language == -1:
            assert torch.equal(together[row], torch.zeros(5, 6))
            continue
        one = AdapterWeights(
            w.layers,
            *(
                getattr(w, n)[language : language + 1]
                for n in ("down", "down_bias", "up", "up_bias")
            ),
        )
        alone = bottleneck(hidden[row : row + 1], 3, ActiveAdapters.select(one, [0]))
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-5)


def test_index_outside_the_weights_is_refused() -> None:
    with pytest.raises(IndexError, match="language index 2"):
        ActiveAdapters.select(weights(2), [0, 2])


def test_safetensors_round_trip(tmp_path: Path) -> None:
    w = weights(3)
    w.save(tmp_path / "a.safetensors", ["swh", "yor", "deu"])
    back, languages = AdapterWeights.load(tmp_path / "a.safetensors")
    assert languages == ["swh", "yor", "deu"]
    assert back.layers == w.layers
    for name in ("down", "down_bias", "up", "up_bias"):
        assert torch.equal(getattr(back, name), getattr(w, name))


def test_a_file_that_is_no_adapter(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        AdapterWeights.load(tmp_path / "a.safetensors")
