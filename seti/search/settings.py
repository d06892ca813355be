"""Limits of a search: drift rates and signal-to-noise ratios."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """Limits of a search; the defaults suit Green Bank's fine product (2.79 Hz x 18.25 s)."""

    max_drift: float = 4.0
    "Largest drift rate searched, in Hz/s, of either sign."
    snr: float = 7.0
    "Least signal-to-noise ratio of the ON panels together; an event has more."
    on_snr: float = 2.7
    "Least signal-to-noise ratio in each ON panel; an event has more in every one."
    off_snr: float = 4.2
    "Largest signal-to-noise ratio in any OFF panel along the track; an event has less in every one."
    least_score: float = 0.55
    "Least score of an event: a track is left out where ON and OFF panels make it less likely."
    least_judged: float = 0.6
    "Probability, by a judge, from which a track is an event despite a lower score; above 1: none is."
    hit_snr: float = 5.0
    "Least signal-to-noise ratio of a hit in one panel."
    stamp_bins: int = 0
    "Columns of the straightened cut-out of every candidate, for a judge; 0 for none."
    candidates: int = 400
    "Most candidates of a coarse channel; the least likely are left out."
