"""Pictures of several panels."""

import pytest

from train.panels import line_styles, panels


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (4, 2, 2), (5, 3, 2), (7, 3, 3)])
def test_panels_stand_in_rows_and_there_are_no_empty_ones(count, columns, rows):
    figure, chosen = panels(count, 2.0, 1.0, dpi=50)
    assert len(chosen) == len(figure.axes) == count
    assert figure.get_size_inches().tolist() == [2.0 * columns, 1.0 * rows]
    places = {(axes.get_subplotspec().rowspan.start, axes.get_subplotspec().colspan.start) for axes in chosen}
    assert len(places) == count


def test_no_two_lines_look_alike():
    styles = line_styles([str(number) for number in range(40)])
    assert len({(style["color"], style["linestyle"]) for style in styles.values()}) == 40
