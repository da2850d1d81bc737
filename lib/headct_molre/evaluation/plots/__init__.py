"""The figures of an evaluation, drawn from its report alone."""

from .calibration import reliability_diagrams
from .comparison import dumbbell, radar
from .forest import forest
from .overview import histogram, prevalence_scatter
from .style import as_png, as_svg

__all__ = ["as_png", "as_svg", "dumbbell", "forest", "histogram", "prevalence_scatter", "radar", "reliability_diagrams"]
