"""`data.batch_size=auto`: one batch size for all folds of an experiment, in one record."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from seti.config.schema import AUTO, plain
from seti.data import competition
from seti.data.folds import divide
from seti.errors import SetiError
from seti.experiments.experiment import Experiment, FoldFolder
from seti.experiments.run_identity import differences
from seti.training.batch_size_tuner import tune
from seti.training.callbacks.history import History
from seti.training.checkpoints import RESTART
from seti.utils import files, locks
from seti.utils.safe_load import read_checkpoint

log = logging.getLogger(__name__)

NAME = "batch_size.json"
RECORDED = f"as {NAME} says"
PATIENCE = 900  # s to wait for another fold that tunes


@dataclass(frozen=True)
class BatchSizeRecord:
    """The content of `batch_size.json` in the experiment's folder.

    Attributes:
        size: cadences a batch.
        config: that it was tuned for, or that a fold was trained with, with this size; plain values.
    """

    size: int
    config: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "BatchSizeRecord | None":
        """Read the record, or None where there is none.

        Raises:
            SetiError: it is damaged.
        """
        if not path.exists():
            return None
        content = files.read_json(path)
        record = cls.of(content.get("config"))
        if record is None:
            msg = f"{path} holds no batch size: delete it, and the next run tunes it again"
            raise SetiError(msg)
        return record

    @classmethod
    def of(cls, config: Any) -> "BatchSizeRecord | None":
        """The record of a configuration with a number in `data.batch_size`; None for anything else."""
        data = config.get("data") if isinstance(config, dict) else None
        size = data.get("batch_size") if isinstance(data, dict) else None
        return cls(size, config) if type(size) is int and size > 0 else None

    def fits(self, config: dict[str, Any]) -> bool:
        """True if a configuration differs from the record's in nothing but the size."""
        return not differences(self.config, _with_size(config, self.size))


def resolve(cfg: DictConfig, experiment: Experiment, job_folder: Path | None = None) -> DictConfig:
    """Replace `data.batch_size=auto` by a number; any other value is returned as it is.

    The experiment's record has the number, and the first fold that needs it writes the record: from a finished or an
    interrupted fold, or else by tuning; folds that start at the same time wait for it. `force` tunes again unless the
    experiment has other folds. The learning-rate range test uses the number that training would, and writes nothing.

    Args:
        cfg: `conf/train.yaml`; not changed.
        experiment: that the fold belongs to.
        job_folder: its `.hydra/config.yaml`, if there is one, gets the number, too.

    Raises:
        SetiError: not even the smallest batch fits, or records and data do not allow it.
    """
    if cfg.data.batch_size != AUTO:
        return cfg
    config = plain(cfg)
    record, source = _known(cfg, experiment, config) or (None, "")
    if record is None and cfg.lr_range_test:
        record, source = _tuned(cfg, config)
    elif source != RECORDED and not cfg.lr_range_test:
        root = Path(cfg.data.root)  # its table and folds are refused before a folder is made
        labels = competition.read_labels_and_folds(root)
        divide(labels, root, cfg.data.folds, cfg.data.n_folds, cfg.data.fold_seed)
        experiment.path.mkdir(parents=True, exist_ok=True)
        doing = f"choosing data.batch_size for fold {cfg.fold} of {cfg.exp_name}"
        with locks.hold(experiment.path, doing, name=".batch_size.lock", patience=PATIENCE):
            record, source = _known(cfg, experiment, config) or _tuned(cfg, config)
            files.write_json(record_path(experiment), asdict(record))
    log.info("data.batch_size=auto: %d cadences a batch (%s)", record.size, source)
    resolved = cfg.copy()
    resolved.data.batch_size = record.size
    written = None if job_folder is None else job_folder / ".hydra" / "config.yaml"
    if written is not None and written.exists():
        with files.atomic_write(written) as temporary:
            temporary.write_text(OmegaConf.to_yaml(resolved), encoding="utf-8")
    return resolved


def record_path(experiment: Experiment) -> Path:
    """The experiment's record of its batch size."""
    return experiment.path / NAME


def forget_other(experiment: Experiment, size: int) -> None:
    """Remove a record of another size than a fold is trained with."""
    record = BatchSizeRecord.read(record_path(experiment))
    if record is not None and record.size != size:
        record_path(experiment).unlink()


def _known(cfg: DictConfig, experiment: Experiment, config: dict[str, Any]) -> tuple[BatchSizeRecord, str] | None:
    """Find the size in the experiment's record or a fold's files, with its source; else None."""
    others = [fold for fold in range(cfg.data.n_folds) if fold != cfg.fold and experiment.fold_path(fold).is_dir()]
    keeps = cfg.lr_range_test or not cfg.force  # a range test may be forced together with the training that follows
    if not (keeps or others):
        return None
    record = BatchSizeRecord.read(record_path(experiment))
    if record is not None and record.fits(config):
        return record, RECORDED
    for fold in [cfg.fold, *others] if keeps else others:
        try:
            found = BatchSizeRecord.of(_trained_with(experiment.fold(fold)))
        except SetiError as error:
            if fold == cfg.fold:
                raise
            log.debug("no batch size from fold %d: %s", fold, error)
            continue
        # Other settings than a finished fold's are refused later, and by name.
        if found is not None and (fold == cfg.fold or experiment.fold(fold).result.exists() or found.fits(config)):
            return found, f"as fold {fold}"
    return None


def _trained_with(folder: FoldFolder) -> dict[str, Any] | None:
    """Configuration of a finished or interrupted fold, for experiments without a record."""
    result = folder.read_result()
    if result is not None:
        return result.config
    if not folder.last_checkpoint.exists():
        return None
    identity = History.read_identity(read_checkpoint(folder.last_checkpoint, RESTART))
    return None if identity is None else identity.config


def _tuned(cfg: DictConfig, config: dict[str, Any]) -> tuple[BatchSizeRecord, str]:
    size, source = tune(cfg)
    return BatchSizeRecord(size, _with_size(config, size)), source


def _with_size(config: dict[str, Any], size: int) -> dict[str, Any]:
    return config | {"data": config["data"] | {"batch_size": size}}
