"""Text on pictures stays inside them and can be read."""

import numpy as np
import pytest

from emgait_ros.sensing.perception.overlay import BACKGROUND, write_label

COLOR = (60, 220, 80)


@pytest.mark.parametrize(
    "place",
    [
        (50, 50),  # in the middle
        (-40, 50),  # begins left of the picture
        (190, 50),  # would run out on the right
        (50, -5),  # above
        (50, 130),  # below
    ],
)
def test_a_label_is_moved_into_the_picture(place):
    picture = np.full((100, 200, 3), 255, np.uint8)
    write_label(picture, "Anna 20 m", place, COLOR)
    plate = (picture == BACKGROUND).all(axis=2)
    rows, columns = np.flatnonzero(plate.any(axis=1)), np.flatnonzero(plate.any(axis=0))
    assert np.ptp(columns) > 50, "all of the text has its plate"
    assert np.ptp(rows) > 8
    middle = picture[rows[0] : rows[-1], columns[0] : columns[-1]]
    assert (middle == COLOR).all(axis=2).sum() > 20, "the text is there, in its colour"
