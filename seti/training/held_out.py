"""Prediction of the held-out fold by the best checkpoint."""

import pandas as pd
import pytorch_lightning as pl
from sklearn.metrics import log_loss, roc_auc_score

from seti.dataloading.datamodule import CadenceDataModule
from seti.dataloading.loader import make_loader
from seti.experiments.experiment import OOF_COLUMNS, FoldFolder
from seti.experiments.fold_result import Scores
from seti.inference.ensemble import predict_probabilities
from seti.models.classifier import CadenceClassifier, load_classifier
from seti.utils import ranks


def predict_held_out(
    folder: FoldFolder, datamodule: CadenceDataModule, trainer: pl.Trainer, trained: CadenceClassifier
) -> pd.DataFrame:
    """Predict the held-out cadences with the network that prediction will use.

    Several processes divide them.

    Args:
        folder: of the fold, with its best checkpoint.
        datamodule: of the fold.
        trainer: says on which device, and in which precision.
        trained: the last epoch's network; moved to the host.

    Returns:
        Out-of-fold table: columns id, fold, target, prob.
    """
    trained.cpu()  # frees memory on the device for the best epoch's weights
    held_out, share = datamodule.val_set, datamodule.share
    batches = make_loader(datamodule.held_out_rows(), share.size, datamodule.data["num_workers"])
    probs = predict_probabilities(
        [load_classifier(folder.best_checkpoint)],
        batches,
        trainer.strategy.root_device,
        trainer.precision if trainer.precision != "32-true" else "32",
        f"held-out fold {datamodule.fold}",
        whole=len(held_out),
    )
    return pd.DataFrame(
        {
            "id": held_out.ids,
            "fold": datamodule.fold,
            "target": held_out.targets.astype(int),
            "prob": share.put_together(ranks.gather(probs[:, 0])),
        },
        columns=OOF_COLUMNS,
    )


def score(oof: pd.DataFrame) -> Scores:
    """Score an out-of-fold table."""
    auc = float(roc_auc_score(oof["target"], oof["prob"]))
    return Scores(auc, float(log_loss(oof["target"], oof["prob"], labels=[0, 1])))
