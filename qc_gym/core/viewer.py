"""A window for ``render_mode="human"``."""

from __future__ import annotations

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray


class Viewer:
    """Shows frames in a window, at most ``fps`` a second."""

    def __init__(self, fps: int) -> None:
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled(
                "render_mode='human' needs pygame; in a clone of the project: "
                "pip install '.[render]'"
            ) from error
        self._pygame = pygame
        self._fps = fps
        self._screen: pygame.Surface | None = None
        self._clock = pygame.time.Clock()
        pygame.display.init()

    def show(self, frame: NDArray[np.uint8]) -> None:
        """Show one picture, uint8 (height, width, 3)."""
        size = frame.shape[1], frame.shape[0]
        if self._screen is None:
            self._screen = self._pygame.display.set_mode(size)
            self._pygame.display.set_caption("qc-gym")
        surface = self._pygame.surfarray.make_surface(frame.swapaxes(0, 1))
        self._screen.blit(surface, (0, 0))
        self._pygame.event.pump()
        self._clock.tick(self._fps)
        self._pygame.display.flip()

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
        self._screen = None
