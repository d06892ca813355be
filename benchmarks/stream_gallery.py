"""Gallery of the stream of randomised cadences: docs/randomised_cadences.png.

python benchmarks/stream_gallery.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from seti.simulation.stream import draw_stream_cadence

OUT = Path(__file__).resolve().parents[1] / "docs" / "randomised_cadences.png"
COLUMNS = 6
SEED = 9


def main() -> None:
    """Draw bright needles above and other cadences with bright signals below."""
    mpl.use("Agg")
    figure, rows = plt.subplots(2, COLUMNS, figsize=(10, 8), layout="constrained")
    wanted = {1: list(rows[0]), 0: list(rows[1])}
    index = 0
    while any(wanted.values()):
        cadence = draw_stream_cadence(SEED, index)
        index += 1
        if wanted[cadence.label] and cadence.snr > 40:
            axes = wanted[cadence.label].pop(0)
            image = cadence.data.astype(np.float32).reshape(-1, cadence.data.shape[2])
            low, high = np.percentile(image, [1, 99.7])
            axes.imshow(image, aspect="auto", vmin=low, vmax=high, interpolation="nearest")
            for panel in range(1, 6):
                axes.axhline(panel * 273 - 0.5, color="white", lw=0.5)
            axes.set_title(f"{cadence.kind}\n{cadence.shape}, {cadence.noise}", fontsize=8)
            axes.set(xticks=[], yticks=[])
    figure.savefig(OUT, dpi=60)
    plt.close(figure)
    with Image.open(OUT) as image:
        small = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    small.save(OUT, optimize=True)  # a third of the size


if __name__ == "__main__":
    main()
