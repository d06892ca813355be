"""The training loss of logits and soft targets."""

from torch import Tensor
from torch.nn import functional as F

GAMMA = 2.0  # of the focal loss, as its authors found best


def training_loss(
    logits: Tensor,
    targets: Tensor,
    name: str = "bce",
    gamma: float | None = None,
    smoothing: float = 0.0,
    pos_weight: float | None = None,
) -> Tensor:
    """Binary cross-entropy or focal loss, averaged over the batch.

    Each is linear in the target: a blend's loss is the blend of the losses,
    `loss(share * a + (1 - share) * b) = share * loss(a) + (1 - share) * loss(b)`.

    Args:
        logits: `(B,)`.
        targets: `(B,)` probabilities in 0..1: blends of two cadences have soft ones.
        name: `bce`, or `focal` (Lin et al. 2017, arXiv:1708.02002): each of the cross-entropy's two terms times
            `(1 - p)^gamma`, where `p` is the probability that the network gives to that term's class.
        gamma: of the focal loss, `GAMMA` where None; at 0 it is the cross-entropy.
        smoothing: label smoothing: the target becomes `target * (1 - smoothing) + smoothing / 2`.
        pos_weight: factor of the positive term.

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
        # By logarithms: the power of a probability near 0 has no finite slope where gamma is below 1.
        positive, negative = positive * (gamma * log_negative).exp(), negative * (gamma * log_positive).exp()
    if pos_weight is not None:
        positive = pos_weight * positive
    return -(positive + negative).mean()
