import pytest

torch = pytest.importorskip("torch")

from emgait_ros.emgaitnet.fast import FastEMGaitNet, plain_of  # noqa: E402
from emgait_ros.emgaitnet.model import nearest_by_cosine  # noqa: E402

BATCH, FRAMES = 3, 4
SWITCHES = [  # the paper's ablation rows, and what goes beyond it
    {},
    {"use_moments": True, "view_coordinates": True},
    {"use_moments": True, "use_st": False, "use_hpp": False},  # the moments alone
    {"use_semi": False},
    {"use_semi": False, "use_sga": False},
    {"use_st": False},
    {"use_points": False},  # RGB only
    {"use_image": False, "use_semi": False},  # points only
    {"use_semi": False, "use_sga": False, "use_st": False},  # the baseline
]


def windows(config, batch=BATCH, frames=FRAMES, seed=0):
    """Inputs of EMGaitNet with missing modalities and a shorter window in them."""
    generator = torch.Generator().manual_seed(seed)
    has_image, has_points = torch.ones(batch, frames, dtype=torch.bool), torch.ones(batch, frames, dtype=torch.bool)
    frame_mask = torch.ones(batch, frames, dtype=torch.bool)
    has_image[0, 1], has_points[-1, 0], frame_mask[-1, -1] = False, False, False
    crops = torch.rand(batch, frames, 3, config.crop_height, config.crop_width, generator=generator)
    points = torch.randn(batch, frames, config.points, config.point_values, generator=generator) * 0.4
    return crops, points, has_image, has_points, frame_mask


def build(config, seed=0):
    torch.manual_seed(seed)
    return FastEMGaitNet(config)


def settle(network):
    """Statistics as after some training, then evaluation mode."""
    network.train()
    with torch.no_grad():
        for step in range(3):
            network(*windows(network.config, seed=step))
    return network.eval()


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: ",".join(s) or "full")
def test_every_ablation_trains_all_it_is_made_of(tiny, switches):
    network = build(tiny(**switches)).train()
    output = network(*windows(network.config))
    parts = 1 if switches.get("use_hpp") is False else 4
    assert output.embedding.shape == output.bn_embedding.shape == (BATCH, parts, 16)
    assert output.logits.shape == (BATCH, parts, 7)
    # a random readout: a plain sum would be blind to what batch norm takes away
    weight = torch.randn(output.logits.shape, generator=torch.Generator().manual_seed(1))
    ((output.logits * weight).sum() + output.embedding.square().sum()).backward()
    idle = [
        n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)
    ]
    assert (
        set(idle) <= {"frame.missing_image"}
        if "use_semi" not in switches
        else set(idle) <= {"frame.missing_image", "frame.missing_points"}
    )


def test_clip_is_frozen_and_stays_in_evaluation_mode(tiny):
    network = build(tiny()).train()
    mining = network.frame.semantics
    frozen = [*mining.image.parameters(), *mining.text.parameters()]
    assert frozen
    assert not any(parameter.requires_grad for parameter in frozen)
    assert not mining.image.training
    assert not mining.text.transformer.training


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: ",".join(s) or "full")
def test_the_fast_forward_is_the_plain_one(tiny, switches):
    network = settle(build(tiny(**switches))).double()
    if network.config.use_semi:
        network.frame.semantics.text.refresh_cache()
    inputs = [t.double() if t.is_floating_point() else t for t in windows(network.config)]
    with torch.no_grad():
        fast = network(*inputs).embedding.double()
        plain = plain_of(network)(*inputs).embedding.double()
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-9)


def test_features_encoded_one_by_one_give_the_embedding_of_the_whole_window(tiny):
    """Windows that fill, slide and have gaps, against the plain forward of exactly their frames."""
    network = settle(build(tiny()))
    reference = plain_of(network)
    crops, points, has_image, has_points, _ = windows(network.config, batch=1, frames=9)
    with torch.no_grad():
        encoded = [network.frame(crops[:, i], points[:, i], has_image[:, i], has_points[:, i]) for i in range(9)]
        for kept in ([0], [0, 1, 2], [3, 4, 5, 6], [5, 6, 7, 8], [1, 4, 8]):
            padded = [*kept, 0]  # one frame of padding, masked
            mask = torch.tensor([[True] * len(kept) + [False]])
            image, point = (torch.stack([encoded[i][part] for i in padded], dim=1) for part in (0, 1))
            streamed = network.sequence(image, point, mask)
            plain = reference(
                crops[:, kept], points[:, kept], has_image[:, kept], has_points[:, kept], mask[:, :-1]
            ).embedding
            torch.testing.assert_close(streamed, plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("missing", "other"), [("has_image", "crops"), ("has_points", "points")])
def test_a_missing_modality_does_not_look_at_its_data(tiny, missing, other):
    network = settle(build(tiny()))
    names = ("crops", "points", "has_image", "has_points", "frame_mask")
    inputs = dict(zip(names, windows(network.config), strict=True))
    with torch.no_grad():
        inputs[missing] = torch.zeros_like(inputs[missing])
        first = network(**inputs).embedding
        inputs[other] = torch.zeros_like(inputs[other])
        assert torch.equal(first, network(**inputs).embedding)
        present = {**inputs, missing: torch.ones_like(inputs[missing])}
        assert not torch.allclose(first, network(**present).embedding, atol=1e-3)


def test_masked_frames_do_not_count(tiny):
    network = settle(build(tiny()))
    inputs = list(windows(network.config))
    with torch.no_grad():
        before = network(*inputs).embedding
        inputs[0] = inputs[0].clone()
        inputs[0][-1, -1] = 1.0 - inputs[0][-1, -1]  # the only masked frame
        inputs[1] = inputs[1].clone()
        inputs[1][-1, -1] += 1.0
        assert torch.equal(before, network(*inputs).embedding)


def test_clip_features_may_be_computed_once(tiny):
    network = settle(build(tiny()))
    inputs = windows(network.config)
    with torch.no_grad():
        features = network.frame.semantics.image(inputs[0].flatten(0, 1)).unflatten(0, (BATCH, FRAMES))
        torch.testing.assert_close(network(*inputs, features).embedding, network(*inputs).embedding)


def test_neighbours_are_the_most_similar_others():
    directions = torch.tensor([[1.0, 0.0], [0.9, 0.1], [2.0, 0.3], [-1.0, 0.0]])
    chosen = nearest_by_cosine(directions[None], 2)[0].sort(dim=-1).values
    assert chosen.tolist() == [[1, 2], [0, 2], [0, 1], [1, 2]]


def test_bfloat16_autocast_trains(tiny):
    network = build(tiny()).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(*windows(network.config))
    assert output.embedding.dtype == torch.float32
    output.logits.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
