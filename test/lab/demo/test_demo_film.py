"""Labels of the demo's film: readable when people stand close together."""

import cv2
import numpy as np
import pytest

from emgait_ros.lab.demo.film import FILM_WIDTH, LABEL_SIZE, Film, _free_place

CASES = [
    # far apart: each stays where it is
    ([(0, 100), (400, 100)], [(0, 100), (400, 100)]),
    # side by side: the second goes one line up
    ([(0, 100), (20, 100)], [(0, 100), (20, 100 - LABEL_SIZE[1])]),
    # three in a heap: each has a line of its own
    ([(0, 100), (20, 98), (40, 96)], [(0, 100), (20, 98 - LABEL_SIZE[1]), (40, 96 - 2 * LABEL_SIZE[1])]),
]


@pytest.mark.parametrize(("wanted", "given"), CASES)
def test_labels_do_not_cover_each_other(wanted, given):
    taken: list[tuple[int, int]] = []
    assert [_free_place(*place, taken) for place in wanted] == given


def test_a_film_can_be_played_and_nothing_is_said_while_it_is_written(tmp_path, capfd):
    path = tmp_path / "film.webm"
    with Film(path) as film:
        for level in range(0, 250, 25):
            film.add(np.full((90, 160, 3), level, np.uint8))
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    played = cv2.VideoCapture(str(path))
    pictures = []
    while (read := played.read())[0]:
        pictures.append(read[1])
    assert len(pictures) == 10
    assert pictures[0].shape == (FILM_WIDTH * 90 // 160, FILM_WIDTH, 3)
    assert [abs(float(picture.mean()) - 25 * n) < 8 for n, picture in enumerate(pictures)] == [True] * 10


def test_a_film_that_cannot_be_written_is_named(tmp_path):
    with (
        pytest.raises(OSError, match=r"nowhere.film\.webm cannot be written"),
        Film(tmp_path / "nowhere" / "film.webm") as film,
    ):
        film.add(np.zeros((90, 160, 3), np.uint8))
