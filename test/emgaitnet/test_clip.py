import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from emgait_ros.emgaitnet.clip import MINED_PROMPT, ImageTower, PromptEncoder, build_clip, tokenize  # noqa: E402
from emgait_ros.emgaitnet.fast import FastImageTower, FastPromptEncoder, FastSemanticMining  # noqa: E402
from emgait_ros.emgaitnet.network_config import PARTS_OF_BODY, ClipConfig  # noqa: E402


@pytest.fixture(scope="module")
def clip(tiny):
    torch.manual_seed(3)
    return build_clip(tiny().clip).double()


def test_the_prefix_cache_gives_what_all_tokens_give(clip):
    encoder, plain = FastPromptEncoder(clip), PromptEncoder(clip)
    word = torch.randn(6, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoder(word), plain(word), rtol=0, atol=1e-10)


def test_the_plain_prompts_are_what_open_clip_encodes(clip):
    """A pseudo-word that is a real word must give open_clip's own text features of that sentence."""
    encoder, plain = FastPromptEncoder(clip), PromptEncoder(clip)
    prompts = [MINED_PROMPT.format(part=part).replace("*", "tall") for part in PARTS_OF_BODY]
    tall = tokenize(["tall"])[0, 1]
    word = clip.token_embedding.weight[tall][None]
    with torch.no_grad():
        torch.testing.assert_close(plain(word)[0], clip.encode_text(tokenize(prompts)), rtol=0, atol=1e-10)
        torch.testing.assert_close(encoder(word)[0], clip.encode_text(tokenize(prompts)), rtol=0, atol=1e-10)


def test_prefixes_differ_in_length(clip):
    """ "torso" is two tokens, so one prefix is longer: the padded entries of the others must be masked."""
    lengths = PromptEncoder(clip).word
    assert lengths.tolist() == [8, 8, 9, 8, 8]


def test_the_gradient_reaches_the_pseudo_word_alone(clip):
    encoder = FastPromptEncoder(clip)
    word = torch.randn(2, 32, dtype=torch.float64, requires_grad=True)
    encoder(word).square().sum().backward()
    assert word.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_loading_weights_renews_the_cache(tiny):
    torch.manual_seed(0)
    first = FastSemanticMining(tiny().clip)
    second = FastSemanticMining(tiny().clip)
    crops, there = torch.rand(2, 3, 128, 64), torch.ones(2, dtype=torch.bool)
    with torch.no_grad():
        assert not torch.allclose(first(crops, there), second(crops, there))
        second.load_state_dict(first.state_dict())
        torch.testing.assert_close(first(crops, there), second(crops, there), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ClipConfig(architecture="ViT-Z-99"), "unknown CLIP architecture 'ViT-Z-99'"),
        (ClipConfig(architecture="ViT-B-32", pretrained="nobody"), "its tags are .*openai"),
        (ClipConfig(architecture="ViT-B-16-SigLIP"), "no causal text tower|could not be loaded"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named(config, words):
    with pytest.raises((ValueError, OSError), match=words):
        build_clip(config)


def test_an_own_clip_reads_safetensors_only(tiny, tmp_path, clip):
    from safetensors.torch import save_file

    path = tmp_path / "clip.safetensors"
    save_file({name: value.float().contiguous() for name, value in clip.state_dict().items()}, str(path))
    loaded = build_clip(ClipConfig(own=tiny().clip.own, pretrained=str(path)))
    torch.testing.assert_close(loaded.token_embedding.weight.double(), clip.token_embedding.weight)
    with pytest.raises(ValueError, match=r"come from a \.safetensors file"):
        build_clip(ClipConfig(own=tiny().clip.own, pretrained=str(tmp_path / "clip.pt")))


def test_no_network_for_pretrained_weights_is_said(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("name resolution failed")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(
        OSError, match=r"CLIP ViT-B-32 .* 'openai' could not be loaded \(name resolution failed\): fetch the file"
    ):
        build_clip(ClipConfig(architecture="ViT-B-32", pretrained="openai"))


def test_the_image_tower_gives_what_open_clip_gives(clip):
    tower, reference = FastImageTower(clip).double(), ImageTower(clip).double()
    crops = torch.rand(3, 3, 128, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = reference(crops)
        torch.testing.assert_close(tower(crops), plain, rtol=0, atol=1e-10)
        torch.testing.assert_close(plain, clip.encode_image(tower.normalize(crops)), rtol=0, atol=0)


def test_a_tower_that_pools_all_tokens_is_run_whole(tiny):
    import copy

    own = copy.deepcopy(tiny().clip.own)
    own["vision_cfg"]["pool_type"] = "avg"
    torch.manual_seed(4)
    tower = FastImageTower(build_clip(ClipConfig(own=own)))
    crops = torch.rand(2, 3, 128, 64)
    with torch.no_grad():
        torch.testing.assert_close(tower(crops), ImageTower.forward(tower, crops), rtol=0, atol=0)
