"""What a user may write in YAML: models, loading with errors that name the key, JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import getter

if TYPE_CHECKING:
    from .load import (
        dump_config,
        expand_path,
        json_schema,
        load_config,
        override,
        parse_config,
        shipped_configs,
    )
    from .models import CalibrationConfig, Config, ScanConfig, ShiftConfig, TrainConfig
    from .plots import PlotConfig
    from .samples import (
        AugmentConfig,
        ClassConfig,
        ConversionConfig,
        ConvertConfig,
        FeatureConfig,
        HitsConfig,
        ImagesConfig,
        ObjectsConfig,
        PicturesConfig,
        SampleConfig,
        SplitConfig,
        TransformConfig,
    )
    from .schedules import NetworkSettings, ScanSettings, TrainSettings

__all__ = [
    "AugmentConfig", "CalibrationConfig", "ClassConfig", "Config", "ConversionConfig",
    "ConvertConfig", "FeatureConfig", "HitsConfig", "ImagesConfig", "NetworkSettings",
    "ObjectsConfig", "PicturesConfig", "PlotConfig", "SampleConfig", "ScanConfig", "ScanSettings",
    "ShiftConfig", "SplitConfig", "TrainConfig", "TrainSettings", "TransformConfig", "dump_config",
    "expand_path", "json_schema", "load_config", "override", "parse_config",
    "shipped_configs",
]  # fmt: skip

__getattr__ = getter(__name__)
