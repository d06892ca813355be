"""Training loss: cross-entropy or focal loss with soft targets."""

from torch import Tensor
from torch.nn import functional as F

GAMMA = 2.0  # exponent of the focal loss that its authors found best


def training_loss(
    logits: Tensor,
    targets: Tensor,
    name: str = "bce",
    gamma: float | None = None,
    smoothing: float = 0.0,
    pos_weight: float | None = None,
) -> Tensor:
    """Compute binary cross-entropy or focal loss, averaged over the batch.

    Both are linear in the target, so the loss of mixed targets is the mixture of the losses:
    `loss(share * a + (1 - share) * b) = share * loss(a) + (1 - share) * loss(b)`.

    Args:
        logits: `(B,)`.
        targets: `(B,)` probabilities in 0..1; soft for mixed cadences.
        name: `bce`, or `focal` (Lin et al. 2017, arXiv:1708.02002), which multiplies either term of the cross-entropy
            by `(1 - p)^gamma`, where `p` is the predicted probability of that term's class.
        gamma: exponent of the focal loss; None is `GAMMA`, and 0 gives the cross-entropy.
        smoothing: label smoothing; the target becomes `target * (1 - smoothing) + smoothing / 2`.
        pos_weight: factor on the positive term.

    Returns:
        A scalar.
    """
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / 2
    if name == "bce" and pos_weight is None:
        return F.binary_cross_entropy_with_logits(logits, targets)
    log_positive, log_negative = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive, negative = targets * log_positive, (1 - targets) * log_negative
    if name == "focal":
        gamma = GAMMA if gamma is None else gamma
        # Computed from logarithms: for gamma below 1 the gradient of a power of a probability near 0 is infinite.
        positive, negative = positive * (gamma * log_negative).exp(), negative * (gamma * log_positive).exp()
    if pos_weight is not None:
        positive = pos_weight * positive
    return -(positive + negative).mean()
