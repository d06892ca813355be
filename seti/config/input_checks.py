"""Checks of the groups `data` and `augment`, which decide what images the network sees."""

from pathlib import Path

from seti.config import conversions
from seti.config.checks import check_choice, check_limits, check_range
from seti.config.commands import BaselineDataConfig
from seti.config.schema import AUTO, AugmentConfig, DataConfig, PredictDataConfig
from seti.errors import SetiError, brief
from seti.simulation.signals import SHAPES
from seti.transforms.layout_names import INTEGRATES
from seti.utils.processes import available_cores

# Far beyond any signal that stays in a snippet; the transform's memory and time grow with their product.
FASTEST, LONGEST_GAP = 1000, 1000  # bins a panel, rows
WORKERS_A_CORE, MOST_WORKERS = 4, 64  # processes that load, beyond which a machine does nothing but start them
ROWS_BETWEEN = f", rows between two panels, from 0 to {LONGEST_GAP}"


def check_data(data: DataConfig) -> None:
    """Refuse settings of the data set, its folds and its images that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name in ("panels", "layout", "interpolation", "augment_on", "keep_on_device", "normalise"):
        check_choice(f"data.{name}", data[name])
    check_reading(data)
    if data.folds is not None:
        check_choice("data.folds", data.folds, "; null draws stratified folds")
    check_groups(data)
    if data.pseudo_share is not None:
        check_range("data.pseudo_share", data.pseudo_share, 1e-6, 1, "; null uses all pseudo-labels")
    if data.pseudo_weight is not None:
        check_range("data.pseudo_weight", data.pseudo_weight, 1e-6, 100, "; null weighs them as labels")
    if data.uncleaned is not None:
        check_range("data.uncleaned", data.uncleaned, 0, 1, "; null trains on cleaned cadences alone")
    check_range("data.fold_seed", data.fold_seed, 0, 2**32 - 1)
    check_range("data.n_folds", data.n_folds, 2, None)
    if data.image_size is not None and (len(data.image_size) != 2 or min(data.image_size) < 1):
        msg = f"data.image_size={list(data.image_size)} is not [height, width] in pixels, nor null for native size"
        raise SetiError(msg)
    check_batch_size(data)
    check_num_workers(data)
    _check_preparation(data)


def check_augment(augment: AugmentConfig, data: DataConfig) -> None:
    """Refuse training transforms that cannot work, alone or with the layout of the images.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name in ("flip_frequency", "flip_time", "affine"):
        check_range(f"augment.{name}", augment[name], 0, 1)
    check_range("augment.shift", augment.shift, 0, 1)
    check_range("augment.scale", augment.scale, 0, 0.99)
    check_range("augment.rotate", augment.rotate, 0, 180)
    _check_crop_and_cutout(augment)
    _check_panel_augmentation(augment, data)


def check_reading(data: DataConfig | PredictDataConfig) -> None:
    """Refuse settings of how cadences are read that do not exist.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    check_choice("data.packed", data.packed)
    check_choice("data.on_error", data.on_error)


def check_num_workers(data: DataConfig | PredictDataConfig) -> None:
    """Refuse a `data.num_workers` below 0, or of far more processes than cores.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    check_range("data.num_workers", data.num_workers, 0, None)
    cores = available_cores()
    most = max(MOST_WORKERS, WORKERS_A_CORE * cores)
    if data.num_workers > most:
        msg = (
            f"data.num_workers={data.num_workers} are {data.num_workers} processes, and this one may use "
            f"{cores} core{'s'[: cores > 1]}: set at most {most}, or data.num_workers=auto"
        )
        raise SetiError(msg)


def check_batch_size(data: DataConfig | PredictDataConfig) -> None:
    """Refuse a `data.batch_size` that is neither a number of cadences nor `auto`.

    A value that is written in another way, such as `Auto` or `32.0`, is replaced in place.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    size = conversions.number(data.batch_size)
    if isinstance(size, str) and size.strip().lower() == AUTO:
        size = AUTO
    data.batch_size = size
    if size == AUTO:
        return
    if not isinstance(size, int) or isinstance(size, bool):
        said = "null" if size is None else str(size).lower() if isinstance(size, bool) else brief(size)
        msg = f"data.batch_size={said} must be a whole number of at least 1, or auto"
        raise SetiError(msg)
    if size < 1:
        msg = f"data.batch_size={size} must be at least 1, or auto"
        raise SetiError(msg)


def check_groups(data: DataConfig | BaselineDataConfig) -> None:
    """Refuse a table of groups where folds are not drawn.

    A word that is written in another way, such as `Auto`, is replaced in place.

    Raises:
        SetiError: naming both settings.
    """
    if data.groups is None:
        return
    word = data.groups.strip().lower()
    if word in ("auto", "none") and not Path(data.groups).is_file():
        data.groups = word if word == "auto" else None
    elif data.folds is not None:
        msg = (
            f"data.groups={data.groups} is for folds that are drawn, and data.folds={data.folds} takes those of the "
            "label table: set data.folds=null, or data.groups=none"
        )
        raise SetiError(msg)


def _check_preparation(data: DataConfig) -> None:
    if data.clip is not None:
        check_limits("data.clip", data.clip, "; null clips nothing")
        if data.clip[0] == data.clip[1]:
            msg = f"data.clip={list(data.clip)} leaves one value: give [lowest, highest], or null to clip nothing"
            raise SetiError(msg)
    fan = data.dedoppler
    check_range("data.dedoppler.max_drift", fan.max_drift, 1e-3, FASTEST, ", bins a panel")
    check_range("data.dedoppler.drifts", fan.drifts, 2, None)
    check_limits("data.dedoppler.gap", fan.gap, ROWS_BETWEEN, 0, LONGEST_GAP)
    if INTEGRATES[data.layout] and data.normalise in ("none", "panel"):
        msg = (
            f"data.layout={data.layout} sums rows in deviations of the noise, and data.normalise={data.normalise} "
            "scales by whatever is brightest: set data.normalise=whiten, flatten or robust"
        )
        raise SetiError(msg)


def _check_panel_augmentation(augment: AugmentConfig, data: DataConfig) -> None:
    for name in ("swap_off", "shuffle_on", "shuffle_off", "inject", "inject_decoys"):
        check_range(f"augment.{name}", augment[name], 0, 1)
    check_range("augment.roll", augment.roll, 0, 0.5)
    check_range("augment.inject_drift", augment.inject_drift, 0, FASTEST, ", bins a panel")
    check_limits("augment.inject_snr", augment.inject_snr, ", both above 0", low=1e-6)
    check_limits("augment.inject_gap", augment.inject_gap, ROWS_BETWEEN, 0, LONGEST_GAP)
    if not augment.inject_shapes:
        msg = f"augment.inject_shapes=[] leaves nothing to add: name some of {', '.join(SHAPES)}"
        raise SetiError(msg)
    for shape in augment.inject_shapes:
        check_choice("augment.inject_shapes", shape)
    if augment.inject + augment.inject_decoys > 1:
        msg = (
            f"augment.inject={augment.inject:g} and augment.inject_decoys={augment.inject_decoys:g} add up to more "
            "than 1: a negative gets one of them or none; lower either"
        )
        raise SetiError(msg)
    for name in ("inject_decoys", "shuffle_off"):
        if augment[name] > 0 and data.panels == "A":
            msg = (
                f"augment.{name}={augment[name]:g} is about OFF panels, which data.panels=A does not look at: "
                f"set data.panels=all or augment.{name}=0"
            )
            raise SetiError(msg)
    if INTEGRATES[data.layout]:
        for name in ("affine", "crop"):
            if augment[name] > 0:
                msg = (
                    f"augment.{name}={augment[name]:g} would bend the tracks that data.layout={data.layout} sums "
                    f"along: set augment.{name}=0 (augment.roll shifts along frequency), or data.layout=channel"
                )
                raise SetiError(msg)


def _check_crop_and_cutout(augment: AugmentConfig) -> None:
    for name in ("crop", "cutout"):
        check_range(f"augment.{name}", augment[name], 0, 1)
    scale, size = (list(augment[name]) for name in ("crop_scale", "cutout_size"))
    if len(scale) != 2 or not 0.01 <= scale[0] <= scale[1] <= 1:
        msg = f"augment.crop_scale={scale} is not [low, high], the share of each side that is kept, in 0.01..1"
        raise SetiError(msg)
    if augment.crop > 0 and scale == [1, 1]:
        msg = f"augment.crop={augment.crop} crops nothing: lower augment.crop_scale={scale}, or set augment.crop=0"
        raise SetiError(msg)
    if len(size) != 2 or not all(0 < share <= 1 for share in size):
        msg = f"augment.cutout_size={size} is not [height, width], shares of the image's sides above 0 and up to 1"
        raise SetiError(msg)
    check_range("augment.cutout_holes", augment.cutout_holes, 1, None, "; augment.cutout=0 switches cutout off")
