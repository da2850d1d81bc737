"""What the configurations of all models share."""

from monailabel.interfaces.config import TaskConfig

from lib.infers.headct import HeadCT


class ModelConfig(TaskConfig):
    """Reads with the model of the file's name; there is no trainer yet."""

    def infer(self) -> HeadCT:
        return HeadCT(self.name, self.kwargs["serving"])

    def trainer(self) -> None:
        return None
