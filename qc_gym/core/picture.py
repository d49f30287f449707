"""What the pictures of all families have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def paint(figure: Figure, under: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels of ``figure`` drawn over others, uint8 (height, width, 4).

    What stays the same from step to step is most of a picture's time: a family paints it once and
    then paints what changes over it.
    """
    renderer: Any = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    pixels = np.asarray(renderer.buffer_rgba())
    pixels[...] = under
    figure.draw(renderer)
    return pixels
