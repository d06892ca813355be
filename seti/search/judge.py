"""Check of the networks that are to judge candidates."""

from pathlib import Path

from seti.errors import SetiError


def check_networks(ckpt_dir: str | None, rows: int) -> None:
    """Refuse networks that were trained on spectrograms of another length than the observations.

    Args:
        ckpt_dir: folder of an experiment; None: no network is used.
        rows: of an observation.

    Raises:
        SetiError: the experiment has no finished fold, or its networks do not fit.
    """
    if ckpt_dir is None:
        return
    # torch, only where a network is used
    from seti.experiments.experiment import open_experiment
    from seti.models.classifier import load_classifier

    experiment = open_experiment(Path(ckpt_dir))
    fold = min(experiment.results)
    trained = load_classifier(experiment.checkpoint(fold)).spec.rows
    if trained != rows:
        msg = (
            f"ckpt_dir={ckpt_dir} was trained on panels of {trained} rows, and the observations have {rows}: train on "
            f"cadences of {rows} rows, or set ckpt_dir=null"
        )
        raise SetiError(msg)
    msg = f"ckpt_dir={ckpt_dir}: judging candidates by a network is not possible yet; set ckpt_dir=null"
    raise SetiError(msg)
