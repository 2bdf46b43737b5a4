"""Where networks run."""

from __future__ import annotations

from ..errors import ConfigError


def choose_device(name: str, workers: int, *, where: str) -> str:
    """The device that is used: ``auto`` is a CUDA device that works, and never MPS.

    Args:
        name: "auto", "cpu", "cuda" or "mps".

    Raises:
        ConfigError: there is no such device here, or several processes would share it.
    """
    import torch

    mend = "use auto or cpu"
    if name == "auto":
        return "cuda" if torch.cuda.is_available() and workers == 1 else "cpu"
    if name == "cpu":
        return name
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
