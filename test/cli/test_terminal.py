"""What commands print is printed as it is."""

from __future__ import annotations

import pytest

from emgait_ros.cli.terminal import console_of, print_figures, progress, table

TEXTS = ["a bag in x[/bold]", "lidar[red] 1", "3.5 m"]


@pytest.mark.parametrize("text", TEXTS)
def test_brackets_are_no_markup(text, capsys):
    console_of(100).print(text)
    console_of(100).print(table(text, ("", text), [("row", text)]))
    print_figures(text, {text: 1, "machine": text})
    printed = "".join(capsys.readouterr().out.split())  # titles are broken into lines
    assert printed.count("".join(text.split())) == 7


@pytest.mark.parametrize("text", TEXTS)
def test_nor_are_they_in_a_progress_bar(text, capsys):
    with progress(text) as bar:
        bar.say(text, 0.5)
        assert text in "".join(segment.text for segment in bar.console.render(bar._bars.get_renderable()))
