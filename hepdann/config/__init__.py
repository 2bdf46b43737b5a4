"""What a user may write in YAML: models, loading with errors that name the key, JSON Schema."""

from __future__ import annotations

from .init import init_config
from .inputs import (
    AugmentConfig,
    HitsConfig,
    ImagesConfig,
    ObjectsConfig,
    PicturesConfig,
    TransformConfig,
)
from .load import (
    dump_config,
    expand_path,
    json_schema,
    load_config,
    override,
    parse_config,
    shipped_configs,
)
from .models import (
    CalibrationConfig,
    ClassConfig,
    Config,
    ConvertConfig,
    FeatureConfig,
    PlotConfig,
    SampleConfig,
    ScanConfig,
    ShiftConfig,
    SplitConfig,
    TrainConfig,
)
from .settings import NetworkSettings, ScanSettings, TrainSettings

__all__ = [
    "AugmentConfig", "CalibrationConfig", "ClassConfig", "Config", "ConvertConfig", "FeatureConfig",
    "HitsConfig", "ImagesConfig", "NetworkSettings", "ObjectsConfig", "PicturesConfig",
    "PlotConfig", "SampleConfig", "ScanConfig", "ScanSettings", "ShiftConfig", "SplitConfig",
    "TrainConfig", "TrainSettings", "TransformConfig", "dump_config", "expand_path", "init_config",
    "json_schema", "load_config", "override", "parse_config", "shipped_configs",
]  # fmt: skip
