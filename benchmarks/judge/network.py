"""The judge's network in torch, for training; `seti.search.judge_network` runs it in numpy."""

import numpy as np
import torch
from torch import Tensor, nn

from seti.search.judge_features import DRIFTS, GROUPS, WHOLE
from seti.search.judge_network import CENTRE, ON_PANELS, WIDE

DRIFT_COUNT, READ = len(DRIFTS), CENTRE.stop - CENTRE.start
PLANE = DRIFT_COUNT * READ
INPUTS = PLANE + DRIFT_COUNT * len(WIDE) + GROUPS + 3
HIDDEN, FEATURES, HEAD = 64, 24, 48
DROPOUT = 0.2


class JudgeNet(nn.Module):
    """Log-odds of candidates from `panel_inputs` and the numbers of the whole; layers have the weights' names."""

    def __init__(self) -> None:
        super().__init__()
        self.panel_1, self.panel_2 = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, FEATURES)
        self.head_1, self.head_2 = nn.Linear(5 * FEATURES + len(WHOLE), HEAD), nn.Linear(HEAD, 1)
        self.stage_one = nn.Parameter(torch.tensor(0.5))
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, inputs: Tensor, of_whole: Tensor) -> Tensor:
        """Compute the log-odds, `(n,)`."""
        read = torch.relu(self.panel_2(self.drop(torch.relu(self.panel_1(inputs)))))
        on, off = read[:, :ON_PANELS], read[:, ON_PANELS:]
        compared = [on.mean(1), on.amax(1), on.amin(1), off.mean(1), off.amax(1), of_whole]
        out = self.head_2(self.drop(torch.relu(self.head_1(torch.cat(compared, 1)))))
        return out[:, 0] + self.stage_one * torch.sinh(of_whole[:, -1])

    def weights(self) -> dict[str, np.ndarray]:
        """Weights by name, as `judge_network.log_odds` reads them."""
        return {name: value.detach().numpy() for name, value in self.state_dict().items()}


def mirrored(inputs: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror random candidates in frequency, and others in time within each panel."""
    out = inputs.clone()
    wide = slice(PLANE, PLANE + DRIFT_COUNT * len(WIDE))
    curve = slice(wide.stop, wide.stop + GROUPS)
    for dims, which in (((2, 3), rng.random(len(out)) < 0.5), ((2,), rng.random(len(out)) < 0.5)):
        chosen = torch.from_numpy(which)
        part = out[chosen]
        for where, columns in ((slice(0, PLANE), READ), (wide, len(WIDE))):
            shape = (*part.shape[:2], DRIFT_COUNT, columns)
            part[..., where] = part[..., where].reshape(shape).flip(dims).flatten(2)
        if dims == (2,):  # in time: the drift rates change sign too
            part[..., curve] = part[..., curve].flip(2)
        out[chosen] = part
    return out
