"""Where networks run, and in which precision."""

from __future__ import annotations

from typing import Literal

from ..errors import ConfigError
from ..networks.shape import Autocast


def choose_device(name: str, workers: int, *, where: str) -> str:
    """The device that is used: ``auto`` is a CUDA device that works, and never MPS.

    Raises:
        ConfigError: there is no such device here, or several processes would share it.
    """
    if name == "cpu":
        return name
    import torch

    mend = "use auto or cpu"
    if name == "auto":
        return "cuda" if torch.cuda.is_available() and workers == 1 else "cpu"
    backends = {"cuda": torch.cuda, "mps": torch.backends.mps}
    if name not in backends or not backends[name].is_available():
        raise ConfigError(f"torch sees no {name} device here", where=where, mend=mend)
    if workers > 1:
        what = f"workers share processors, not a {name} device"
        raise ConfigError(what, where=where, mend=mend)
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        what = f"torch cannot use the {name} device: {error}"
        raise ConfigError(what, where=where, mend=mend) from error
    return name


def choose_autocast(name: Autocast | Literal["auto"], device: str) -> Autocast:
    """The precision of a network of images: ``auto`` is bf16 where the device multiplies it."""
    if name != "auto":
        return name
    import torch

    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "none"
    older: dict[str, bool] = {}
    known = getattr(torch.cpu, "get_capabilities", lambda: older)()
    return "bf16" if device == "cpu" and known.get("amx_bf16") else "none"
