"""Schemas of all commands but `train` and `predict`, which are in `seti.config.schema`."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from seti.config.schema import PATH, RayConfig
from seti.simulation.injection_settings import InjectionSettings
from seti.simulation.settings import SimulationSettings


@dataclass
class StackConfig:
    """Settings of `stack`."""

    output_dir: str = field(default=MISSING, metadata=PATH)
    experiments: list[str] | None = field(default=None, metadata=PATH)  # names, or their folders
    meta: str = MISSING
    calibrate: str = MISSING
    seed: int = MISSING
    n_jobs: int | None = None
    report: bool = False
    logger: str | None = None


@dataclass
class CheckDataConfig:
    """Data set to check."""

    root: str = field(default=MISSING, metadata=PATH)
    pack_dir: str | None = field(default=None, metadata=PATH)


@dataclass
class CheckConfig:
    """Settings of `check`."""

    data: CheckDataConfig = field(default_factory=CheckDataConfig)
    report: str = field(default=MISSING, metadata=PATH)
    workers: int | None = None


@dataclass
class PackDataConfig:
    """Data set to pack."""

    root: str = field(default=MISSING, metadata=PATH)


@dataclass
class PackConfig:
    """Settings of `pack`."""

    data: PackDataConfig = field(default_factory=PackDataConfig)
    panels: str = MISSING
    split: list[str] = MISSING
    pack_dir: str | None = field(default=None, metadata=PATH)
    workers: int | None = None
    force: bool = MISSING


@dataclass
class TwinsDataConfig:
    """Data set to search for twins, and the folds of the report."""

    root: str = field(default=MISSING, metadata=PATH)
    pack_dir: str | None = field(default=None, metadata=PATH)
    n_folds: int = MISSING
    fold_seed: int = MISSING


@dataclass
class TwinsConfig:
    """Settings of `twins`."""

    data: TwinsDataConfig = field(default_factory=TwinsDataConfig)
    workers: int | None = None
    shard: str | None = None
    clean: str | None = field(default=None, metadata=PATH)


@dataclass
class ShowDataConfig:
    """Data set that holds the cadences."""

    root: str | None = field(default=None, metadata=PATH)


@dataclass
class ShowConfig:
    """Settings of `show`."""

    data: ShowDataConfig = field(default_factory=ShowDataConfig)
    ids: list[str] = MISSING
    labels: str | None = field(default=None, metadata=PATH)
    scan: Any = field(default=None, metadata=PATH)  # a folder, or a list of them
    ckpt_dir: str | None = field(default=None, metadata=PATH)
    out: str = field(default=MISSING, metadata=PATH)


@dataclass
class ReportDataConfig:
    """Data set whose cadences the page shows."""

    root: str | None = field(default=None, metadata=PATH)


@dataclass
class ReportConfig:
    """Settings of `report`."""

    ckpt_dir: Any = field(default=MISSING, metadata=PATH)  # a folder, or a list of them
    scan: Any = field(default=None, metadata=PATH)  # as ckpt_dir
    out: str | None = field(default=None, metadata=PATH)
    cadences: int = MISSING
    labels: str | None = field(default=None, metadata=PATH)
    data: ReportDataConfig = field(default_factory=ReportDataConfig)


@dataclass
class BaselineDataConfig:
    """Data set to score, and its folds."""

    root: str = field(default=MISSING, metadata=PATH)
    n_folds: int = MISSING
    fold_seed: int = MISSING
    folds: str | None = None
    groups: str | None = field(default=MISSING, metadata=PATH)


@dataclass
class BaselineConfig:
    """Settings of `baseline`."""

    data: BaselineDataConfig = field(default_factory=BaselineDataConfig)
    score: str = MISSING
    out: str = field(default=MISSING, metadata=PATH)
    workers: int | None = None


@dataclass
class SearchConfig:
    """Search of a scan."""

    channels: Any = None
    frequencies: Any = None
    exclude: Any = MISSING
    max_drift: float = MISSING
    snr: float = MISSING
    score: float = MISSING


@dataclass
class ScanConfig:
    """Settings of `scan`."""

    cadence: Any = field(default=MISSING, metadata=PATH)  # a path, or six
    out: str | None = field(default=None, metadata=PATH)
    pattern: str | None = None
    coarse_width: int | None = None
    feed: int = MISSING
    workers: int | None = None
    shard: str | None = None
    launcher: str | None = None
    ckpt_dir: str | None = field(default=None, metadata=PATH)
    truth: str | None = field(default=None, metadata=PATH)
    cutouts: int | None = None
    figures: int | None = None
    ecsv: bool = MISSING
    scan: SearchConfig = field(default_factory=SearchConfig)
    ray: RayConfig = field(default_factory=RayConfig)


@dataclass
class InjectConfig(InjectionSettings):
    """Settings of `inject`."""

    cadence: Any = field(default=MISSING, metadata=PATH)  # a path, or six
    out: str = field(default=MISSING, metadata=PATH)
    pattern: str | None = None
    coarse_width: int | None = None
    force: bool = MISSING


@dataclass
class ExportConfig:
    """Settings of `export`."""

    ckpt_dir: Any = field(default=MISSING, metadata=PATH)  # a folder; a list is refused in words of its own
    format: str = MISSING
    members: str = MISSING
    out: str | None = field(default=None, metadata=PATH)
    rows: int | None = None
    bins: int | None = None


@dataclass
class TuneConfig:
    """Settings of `tune`."""

    name: str = MISSING
    output_dir: str = field(default=MISSING, metadata=PATH)
    settings: list[str] = field(default_factory=list)
    space: list[str] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    trials: int = MISSING
    prune: bool = MISSING
    startup: int = MISSING
    seed: int = MISSING


_store = ConfigStore.instance()
_store.store(name="stack_schema", node=StackConfig)
_store.store(name="simulate_schema", node=SimulationSettings)
_store.store(name="inject_schema", node=InjectConfig)
_store.store(name="check_schema", node=CheckConfig)
_store.store(name="pack_schema", node=PackConfig)
_store.store(name="show_schema", node=ShowConfig)
_store.store(name="report_schema", node=ReportConfig)
_store.store(name="baseline_schema", node=BaselineConfig)
_store.store(name="scan_schema", node=ScanConfig)
_store.store(name="export_schema", node=ExportConfig)
_store.store(name="twins_schema", node=TwinsConfig)
_store.store(name="tune_schema", node=TuneConfig)
