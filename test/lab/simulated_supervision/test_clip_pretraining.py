"""Captions of simulated walkers, and a small CLIP that learns to match them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.clip import build_clip  # noqa: E402
from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.emgaitnet.network_config import PARTS_OF_BODY  # noqa: E402
from emgait_ros.lab.simulated_supervision import clip_pretraining  # noqa: E402
from emgait_ros.lab.simulated_supervision.captions import (  # noqa: E402
    PART_ROWS,
    Description,
    colour_name,
    describe,
    part_caption,
    view_name,
    whole_caption,
)
from emgait_ros.lab.training.recipe import ClipTrainingConfig, TrainingConfig  # noqa: E402

WORDS = Description("tall slim man", "red", "blue", "black", "a bag")


@pytest.mark.parametrize(
    ("rgb", "name"), [((250, 250, 250), "white"), ((5, 5, 5), "black"), ((60, 95, 160), "blue"), ((190, 50, 45), "red")]
)
def test_colours_are_named(rgb: tuple[int, int, int], name: str) -> None:
    assert colour_name(np.array(rgb, np.uint8)) == name


@pytest.mark.parametrize(
    ("view", "name"),
    [
        (0, "the front"),  # towards the sensor
        (180, "behind"),  # away from it
        (90, "the side"),
        (350, "the front"),  # wraps
    ],
)
def test_views_are_named(view: float, name: str) -> None:
    assert view_name(view) == name


def test_captions_are_worded_like_the_prompts() -> None:
    assert (
        whole_caption(WORDS, 180)
        == "A photo of a tall slim man in a red top and blue trousers carrying a bag seen from behind"
    )
    assert part_caption(WORDS, "legs") == "A photo of the legs of a tall slim man in blue trousers"
    assert all(part_caption(WORDS, part).startswith(f"A photo of the {part} of a ") for part in PARTS_OF_BODY)
    assert set(PART_ROWS) == set(PARTS_OF_BODY)


def test_clothes_change_between_walks_and_builds_do_not() -> None:
    walks = [describe(12, walk, "normal", 0) for walk in range(6)]
    assert len({words.build for words in walks}) == 1
    assert len({(words.top, words.legs) for words in walks}) > 2
    assert describe(12, 0, "bag", 0).bag
    assert not describe(12, 0, "normal", 0).bag


def test_contrastive_loss_of_equal_captions_is_not_a_mistake() -> None:
    torch.manual_seed(0)
    clip = build_clip(tiny_network_config().clip, load_pretrained=False)
    pictures = torch.rand(4, 3, 16, 8, generator=torch.Generator().manual_seed(0))
    loss, found = clip_pretraining.contrastive_loss(clip, pictures, ["A photo of a man"] * 4)
    # One caption for four pictures: nothing to tell apart, so a quarter for each is the best there is.
    assert np.log(4) / 2 <= loss.item() < np.log(4) / 2 + 0.2
    assert found == 1.0


def test_a_small_clip_learns_to_match(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    colours = ("red", "blue", "green", "white")
    data = made_up_set(identities=4, sequences=3)
    tones = np.array([[200, 30, 30], [30, 30, 200], [30, 200, 30], [230, 230, 230]], np.uint8)
    owner = np.repeat(data.identity - 100, np.diff(data.start))
    data.crops[:] = tones[owner][:, None, None]
    monkeypatch.setattr(
        clip_pretraining,
        "describe",
        lambda identity, *_: Description("man", colours[identity - 100], colours[identity - 100], "black", ""),
    )
    monkeypatch.setattr(clip_pretraining, "caption", lambda words, *_: (f"A photo of a man in {words.top}", ""))
    config = TrainingConfig(
        "tiny", model=tiny_network_config(), clip=ClipTrainingConfig(steps=400, batch=16, learning_rate=1e-3)
    )
    result = clip_pretraining.pretrain_clip(config, data, tmp_path / "clip.safetensors")
    assert result.retrieval > 0.9
    import dataclasses

    with_weights = dataclasses.replace(config.model.clip, pretrained=str(tmp_path / "clip.safetensors"))
    network = FastEMGaitNet(dataclasses.replace(config.model, clip=with_weights))
    features = clip_pretraining.clip_features(network, data, batch=7)
    assert features.shape == (data.frames, 8)
    direct = network.frame.semantics.image(torch.from_numpy(data.crops[:5]).permute(0, 3, 1, 2).float() / 255)
    assert np.abs(features[:5] - direct.numpy()).max() < 1e-5
    with pytest.raises(ValueError, match="mines no semantics"):
        clip_pretraining.clip_features(FastEMGaitNet(dataclasses.replace(config.model, use_semi=False)), data)
