"""A recognizer with an empty gallery, and two trackers that see one street."""

import pytest
from made_up_street import CONFIG, BuildEncoder, Street, enroll_people

from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.recognizer import GaitRecognizer


@pytest.fixture
def gallery(tmp_path):
    with Gallery(tmp_path / "gallery.db") as opened:
        yield opened


@pytest.fixture
def recognizer(gallery):
    return GaitRecognizer(CONFIG, BuildEncoder(), gallery)


@pytest.fixture
def heads(recognizer):
    """Two trackers that see the same street, their clocks 10 s apart, their track numbers the same."""
    enroll_people(recognizer, ["Anna", "Ben"])
    first, second = Street(1, "front"), Street(2, "rear")
    second.index = 100
    return first, second
