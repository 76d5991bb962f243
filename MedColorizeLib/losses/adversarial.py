"""Adversarial terms on patch logits: least squares (Mao et al. 2017) and the logarithmic form, by MONAI's loss.

`Adversarial.generator`: what a generator pays for not being taken for real; `.discriminator`: eq. 1 of Liang 2021 and
eq. 2 of ColorMedGAN for one direction, with the factor 1/2 that CycleGAN gives it.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

AdversarialForm = Literal["lsgan", "lsgan-sigmoid", "log"]


class Adversarial:
    """`lsgan`: (D - 1)^2 and D^2; `lsgan-sigmoid`: the same after a sigmoid (ColorMedGAN's published code, whose
    gradient vanishes where the discriminator is sure); `log`: -log sigmoid(D), as the papers print eq. 1."""

    def __init__(self, form: AdversarialForm = "lsgan") -> None:
        # Here, not above: MONAI takes longer to load than a head to colour, and colouring needs no loss.
        from monai.losses import PatchAdversarialLoss

        self.form = form
        self._loss = (
            PatchAdversarialLoss(criterion="bce")
            if form == "log"
            else PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)
        )

    def _against(self, logits: Tensor, real: bool, for_discriminator: bool) -> Tensor:
        # Single precision: binary cross-entropy refuses autocast, and squares of small differences need the digits.
        logits = logits.float()
        if self.form == "lsgan-sigmoid":
            logits = logits.sigmoid()
        loss: Tensor = self._loss(logits, target_is_real=real, for_discriminator=for_discriminator)
        return loss

    def generator(self, fake_logits: Tensor) -> Tensor:
        """The generator wants its picture taken for real."""
        return self._against(fake_logits, real=True, for_discriminator=False)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The discriminator wants real as 1 and fake as 0."""
        return 0.5 * (self._against(real_logits, True, True) + self._against(fake_logits, False, True))
