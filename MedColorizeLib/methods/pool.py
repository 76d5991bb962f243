"""The history of generated images that CycleGAN's discriminators are shown (Shrivastava et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Keeps up to `size` images. Once full, half of the asked images are swapped for random older ones.

    Its randomness is its own, so that `state` and `load_state` resume it exactly. Size 0 gives back what it is asked.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._images: list[Tensor] = []
        self._random = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self._images)

    def query(self, images: Tensor) -> Tensor:
        """A batch of the same size, detached: each image new, or an older one in whose place it is kept."""
        if self.size == 0:
            return images.detach()
        return torch.stack([self._one(image) for image in images.detach()])

    def _one(self, image: Tensor) -> Tensor:
        if len(self._images) < self.size:
            self._images.append(image.clone())
            return image
        if torch.rand((), generator=self._random).item() < 0.5:
            return image
        index = int(torch.randint(self.size, (), generator=self._random))
        if self._images[index].shape != image.shape:
            self._images[index] = image.clone()  # an image of another size can't share the batch
            return image
        older = self._images[index]
        self._images[index] = image.clone()
        return older

    def state(self) -> dict[str, Any]:
        """The images (on the CPU) and the state of the random generator."""
        return {"images": [image.cpu() for image in self._images], "random": self._random.get_state()}

    def load_state(self, state: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        """Undo `state`."""
        self._images = [image.to(device) for image in state["images"]]
        self._random.set_state(state["random"].cpu())
