"""What tests of pictures have in common: whether all of a figure's text is inside it."""

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def words_of(figure: Figure) -> list[str]:
    """Return all that a figure says, drawn or not hidden."""
    return [text.get_text() for text in _texts(figure)]


def cut_texts(figure: Figure) -> list[str]:
    """Return the texts of a figure that reach over its edge, as they are once it is drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    cut = []
    for text in _texts(figure):
        box = text.get_window_extent()
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            cut.append(text.get_text())
    return cut


def _texts(figure: Figure) -> list[Text]:
    hidden: set[Text] = set()
    for axes in figure.findobj(Axes):
        assert isinstance(axes, Axes)
        for axis in (axes.xaxis, axes.yaxis):
            if not axes.axison:
                hidden |= {text for text in axis.findobj(Text) if isinstance(text, Text)}
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                low, high = sorted(axis.get_view_interval())
                if not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    return [
        text
        for text in figure.findobj(Text)
        if isinstance(text, Text)
        and text.get_visible()
        and text.get_text().strip()
        and text not in hidden
    ]
