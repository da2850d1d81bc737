"""`dinov3_base`: DINOv3 ViT-B/16 with LoRA and MoLRE."""

from monailabel.interfaces.config import TaskConfig

from lib.infers.headct import HeadCT


class DinoV3Base(TaskConfig):
    """Reads with the model; there is no trainer yet."""

    def infer(self) -> HeadCT:
        return HeadCT(self.name, self.kwargs["store"], self.kwargs["prepared"])

    def trainer(self) -> None:
        return None
