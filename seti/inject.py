"""Copy observations with simulated signals added: `seti inject cadence=... out=...`.

Settings: conf/inject.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import InjectConfig


@program.program("inject")
def main(cfg: "InjectConfig") -> None:
    """Write the copies of every cadence, and print the next command."""
    from dataclasses import fields, replace
    from pathlib import Path

    from omegaconf import OmegaConf

    from seti.data.observation_cadence import find_cadences
    from seti.simulation.injection import InjectionSettings, inject
    from seti.utils import hints
    from seti.utils.console import item_progress

    given = OmegaConf.to_object(cfg)
    settings = InjectionSettings(**{one.name: getattr(given, one.name) for one in fields(InjectionSettings)})
    cadences = find_cadences(given.cadence, given.pattern, given.coarse_width)
    for number, cadence in enumerate(cadences):
        out = Path(given.out) if len(cadences) == 1 else Path(given.out) / cadence.name
        with item_progress("coarse channels of all files") as progress:
            tasks: dict[bool, int] = {}

            def show(
                writing: bool, done: int, total: int, tasks=tasks, progress=progress, source=cadence.source
            ) -> None:
                if writing not in tasks:
                    words = f"injecting into {source}" if writing else f"measuring the noise of {source}"
                    tasks[writing] = progress.add_task(words, total=total)
                progress.update(tasks[writing], completed=done)

            # Other signals in every cadence.
            truth = inject(cadence, replace(settings, seed=settings.seed + number), out, given.force, show)
        needles = int((truth["kind"] == "needle").sum())
        words = [hints.setting("cadence", out), hints.setting("truth", out / "truth.csv")]
        words += [f"pattern={given.pattern}"] if given.pattern else []
        words += [f"coarse_width={given.coarse_width}"] if given.coarse_width else []
        print(
            f"{out}: copies of six observations with {needles} needles and {len(truth) - needles} decoys (truth.csv). "
            f"Next: {hints.command('scan', *words)}"
        )


if __name__ == "__main__":
    main()
