"""Fine-tuning of a released version from corrections (docs/finetuning.md)."""

from ..examples import Examples
from .config import FineTuneConfig
from .fit import Fitted, fit
from .strength import Choice, choose_strength
from .task import FineTuneProgress, FineTuneResult, FineTuneTask

__all__ = ["Choice", "Examples", "FineTuneConfig", "FineTuneProgress", "FineTuneResult", "FineTuneTask", "Fitted", "choose_strength", "fit"]
