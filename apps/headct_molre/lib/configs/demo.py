"""`demo`: a small model that was trained on synthetic phantoms and ships with the repository."""

from monailabel.interfaces.config import TaskConfig

from lib.infers.headct import HeadCT


class Demo(TaskConfig):
    """Reads with the model; there is no trainer yet."""

    def infer(self) -> HeadCT:
        return HeadCT(self.name, self.kwargs["store"], self.kwargs["prepared"])

    def trainer(self) -> None:
        return None
