"""What the configurations of all models share."""

from monailabel.interfaces.config import TaskConfig

from lib.infers.headct import HeadCT
from lib.trainers.headct import FineTune


class ModelConfig(TaskConfig):
    """Reads with the model of the file's name, and learns from corrections of what it said."""

    def infer(self) -> HeadCT:
        return HeadCT(self.name, self.kwargs["serving"])

    def trainer(self) -> FineTune:
        return FineTune(self.name, self.kwargs["serving"].store.jobs)
