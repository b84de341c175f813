"""The model card: what it says of the weights is what the weights hold."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from made_up_sets import tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.emgaitnet.weights import load_network  # noqa: E402
from emgait_ros.inference.bundle import load_bundle  # noqa: E402
from emgait_ros.lab.training.card import label  # noqa: E402


@pytest.mark.parametrize(
    ("switches", "closed_form", "papers"),
    [
        ({}, False, True),
        ({"use_st": False}, False, True),
        ({"use_moments": True}, False, False),  # both heads
        ({"use_moments": True}, True, False),  # HPP is there and gives nothing
        ({"use_moments": True, "use_st": False, "use_hpp": False}, True, False),  # the closed form alone
        ({"use_moments": True, "use_st": False, "use_hpp": False, "alone_parts": 2}, True, False),
    ],
)
def test_the_label_tells_the_papers_head_from_the_closed_form(switches, closed_form, papers):
    network = FastEMGaitNet(tiny_network_config(**switches))
    if closed_form:
        with torch.no_grad():
            if network.config.use_hpp:
                network.sequence.part_weight.zero_()
            network.sequence.moments.tell.weight[3:].zero_()
            network.sequence.moments.tell.bias[3:].zero_()
    text = label(network)
    assert text.startswith("The paper's network") == papers
    assert ("Not the paper's network in full" in text) == closed_form
    assert ("Of its 8 numbers 3 are not zero." in text) == closed_form
    assert ("it has 2 further vectors" in text) == ("alone_parts" in switches)


def test_the_shipped_weights_bear_the_label_of_what_is_inside(repository: Path) -> None:
    folder = repository / "models" / "emgait-sim"
    text = label(load_network(load_bundle(folder)))
    assert text in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    said = "does not yet distinguish people the paper's way" in (repository / "README.md").read_text(encoding="utf-8")
    assert said == text.startswith("**Not the paper's")
