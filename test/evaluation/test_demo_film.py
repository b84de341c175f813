"""Labels of the demo's film: readable when people stand close together."""

import pytest

from emgait_ros.evaluation.demo_film import LABEL_SIZE, _free_place

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
