"""A generator: its settings, the networks that they make, its file, what it draws and writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors.torch import save
from torch import Tensor

from ..config.samples import SplitConfig
from ..errors import ConfigError, RunError
from ..inputs import check, read_tensors
from ..networks.generators import PictureCritic, PictureGenerator, ShowerCritic, ShowerGenerator
from ..outputs import replacing, write_run_file
from ..provenance import describe_file, provenance
from ..records import Stored
from ..samples.showers import shower_tree
from ..store.model_file import GeneratorSettings, Size
from ..tensors import Block, Layout, TensorWriter, View
from ..tensors.source_and_target import event_ids

Floats = NDArray[np.float32]
AnyGenerator = ShowerGenerator | PictureGenerator
AnyCritic = ShowerCritic | PictureCritic
_KEY = "hepdann"
_AT_ONCE = 4096  # events that are drawn together
_KEPT = 20_000  # training conditions that are kept, to draw from
_OF_PICTURES = {
    "objective": "gan", "steps": 6000, "critic_steps": 1, "batch_size": 64, "learning_rate": 4e-4,
    "momentum": 0.5, "hidden": [64, 32], "latent": 64,
}  # fmt: skip
_WRITING_AT_ONCE = 10_000  # events in memory
Drawn = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]


def generator_settings(given: Mapping[str, Any], *, pictures: bool) -> GeneratorSettings:
    """Settings that are given, and the defaults of showers or pictures.

    Raises:
        ConfigError: a setting that there is not, or an impossible value.
    """
    unknown = set(given) - set(GeneratorSettings.model_fields)
    if unknown:
        raise ConfigError(
            f"there is no setting {min(unknown)!r}",
            where="generate",
            mend=f"there is {', '.join(GeneratorSettings.model_fields)}",
        )
    try:
        return GeneratorSettings.model_validate((_OF_PICTURES if pictures else {}) | dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(first["msg"], where=f"generate.{name}") from error


class _Header(Stored):
    format: Literal["hepdann-generator"] = "hepdann-generator"
    format_version: Literal[1] = 1
    view: str
    shape: Annotated[list[Size], Field(min_length=3, max_length=3)]
    pictures: bool
    classes: Annotated[list[str], Field(min_length=1)]
    settings: GeneratorSettings


def networks_of(shape: Sequence[int], pictures: bool, classes: int, settings: GeneratorSettings
                ) -> tuple[AnyGenerator, AnyCritic]:  # fmt: skip
    """Generator and critic, untrained."""
    asked = len(settings.conditions) + (classes if classes > 1 else 0)
    hidden, latent = settings.hidden, settings.latent
    if pictures:
        return (PictureGenerator(shape, asked, hidden, latent), PictureCritic(shape, asked, hidden))
    return ShowerGenerator(shape[1:], asked, hidden, latent), ShowerCritic(shape[1:], asked, hidden)


class Generator:
    """Draws events by a trained network.

    Attributes:
        header: what it draws.
        columns: (N, K) conditions of training events, to draw from.
        label: (N,) their classes.
    """

    def __init__(
        self, header: _Header, network: AnyGenerator,
        columns: Floats, label: NDArray[np.integer],
    ) -> None:  # fmt: skip
        self.header, self.network = header, network.eval()
        self.columns, self.label = columns, label

    @classmethod
    def of(
        cls, view: str, shape: Sequence[int], pictures: bool, classes: Sequence[str],
        settings: GeneratorSettings, network: AnyGenerator,
        columns: Floats, label: NDArray[np.integer],
    ) -> Self:  # fmt: skip
        """A generator that was trained."""
        header = _Header(view=view, shape=list(shape), pictures=pictures, classes=list(classes),
                         settings=settings)  # fmt: skip
        return cls(header, network, columns[:_KEPT], label[:_KEPT])

    def conditions(
        self, events: int, seed: int, fixed: Mapping[str, str] | None = None
    ) -> tuple[Floats, NDArray[np.int32]]:
        """Conditions (n, K) and classes (n,) like those of training events, but for fixed values.

        These stand by name; ``class`` is the name of a class.

        Raises:
            ConfigError: no such condition, value or class.
        """
        names = self.header.settings.conditions
        rows = np.random.default_rng([seed, 0x6E]).integers(0, len(self.label), events)
        columns, label = self.columns[rows].copy(), self.label[rows].astype(np.int32)
        for name, text in (fixed or {}).items():
            known = self.header.classes if name == "class" else names
            if (text if name == "class" else name) not in known:
                raise ConfigError(
                    f"there is no {name} {text!r}"
                    if name == "class"
                    else f"{name!r} is no condition of this generator",
                    where="--at",
                    mend=f"there is {', '.join(known)}",
                )
            if name == "class":
                label[:] = known.index(text)
                continue
            try:
                columns[:, names.index(name)] = float(text)
            except ValueError:
                raise ConfigError(f"{name} = {text!r} is no number", where="--at") from None
        if not self.header.pictures and not (columns[:, 0] > 0).all():
            raise ConfigError("an energy is positive", where="--at")
        return columns, label

    def beyond(self, columns: Floats) -> list[str]:
        """Of which of (n, K) conditions some lie outside of those of the training events."""
        low, high = (
            self.columns.min(axis=0, initial=np.inf),
            self.columns.max(axis=0, initial=-np.inf),
        )
        outside = ((columns < low) | (columns > high)).any(axis=0)
        return [
            f"{name} is asked for outside of what was trained on, {low[i]:g} to {high[i]:g}"
            for i, name in enumerate(self.header.settings.conditions)
            if outside[i]
        ]

    @torch.no_grad()
    def draw(self, columns: Floats, label: NDArray[np.integer], seed: int = 0) -> Floats:
        """Events (n, C, H, W) for (n, K) conditions and (n,) classes."""
        asked = condition_of(columns, label, len(self.header.classes))
        noise = torch.Generator().manual_seed(seed)
        parts = []
        for rows in torch.split(asked, _AT_ONCE):
            drawn = self.network(torch.randn(len(rows), self.network.noise, generator=noise), rows)
            parts.append(self.network.read_out(drawn))
        return np.asarray(torch.cat(parts).numpy()) if parts else np.zeros((0, *self.header.shape),
                                                                           np.float32)  # fmt: skip

    def write(self, path: Path) -> None:
        """Write it to one safetensors file."""
        tensors = {f"network.{k}": v.contiguous() for k, v in self.network.state_dict().items()}
        tensors["columns"] = torch.from_numpy(np.ascontiguousarray(self.columns))
        tensors["label"] = torch.from_numpy(self.label.astype(np.int32))
        text = json.dumps(self.header.model_dump(mode="json"))
        write_run_file(path, save(tensors, metadata={_KEY: text}))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What :meth:`write` wrote.

        Raises:
            RunError: missing, damaged, or another file.
        """
        texts, tensors = read_tensors(path)
        try:
            content: Any = json.loads(texts.get(_KEY, "{}"))
            header = check(content, _Header, path)
            shape, pictures, classes = header.shape, header.pictures, len(header.classes)
            with torch.device("meta"):  # takes no memory, whatever the header claims
                network = networks_of(shape, pictures, classes, header.settings)[0]
            columns, label = tensors.pop("columns").numpy(), tensors.pop("label").numpy()
            weights = {k.removeprefix("network."): v for k, v in tensors.items()}
            network.load_state_dict(weights, assign=True)
            if columns.shape != (len(label), len(header.settings.conditions)) or not len(label):
                raise ValueError("conditions do not fit")
            if not all(v.isfinite().all() for v in tensors.values()):
                raise ValueError("a weight is not finite")
            if label.min() < 0 or label.max() >= classes:
                raise ValueError("a class that there is not")
        except (KeyError, ValueError, RuntimeError, RecursionError, ConfigError) as error:
            what = str(error).splitlines()[0]
            raise RunError(f"is damaged: {what}", where=path, mend="train anew") from error
        return cls(header, network, columns, label)


def condition_of(columns: Floats, label: NDArray[np.integer], classes: int) -> Tensor:
    """(n, C) what the networks are given: the columns, and of several classes 0 and 1 for each."""
    ones = np.eye(classes, dtype=np.float32)[label] if classes > 1 else columns[:, :0]
    return torch.from_numpy(np.concatenate([columns, ones], axis=1, dtype=np.float32))


def write_generated(
    generator: Generator,
    path: str | Path,
    columns: NDArray[np.float32],
    label: NDArray[np.int32],
    *,
    seed: int = 0,
    source: str | Path | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Draw events for conditions and write them, block by block.

    Args:
        generator: draws.
        path: ends with ``.root``, of showers alone, or is a tensor file.
        columns: (n, K) conditions.
        label: (n,) classes.
        seed: of the noise.
        source: file of the generator, for the provenance.
        progress: called with the events written and to be written.

    Raises:
        ConfigError: pictures as ROOT file.
        OSError, SchemaError: the file cannot be written.
    """
    path, header = Path(path), generator.header
    names = header.settings.conditions

    def blocks() -> Iterator[Drawn]:
        for number, start in enumerate(range(0, len(label), _WRITING_AT_ONCE)):
            rows = slice(start, start + _WRITING_AT_ONCE)
            of_block = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            yield columns[rows], label[rows], generator.draw(columns[rows], label[rows], of_block)
            progress(min(start + _WRITING_AT_ONCE, len(label)), len(label))

    if path.suffix == ".root":
        if header.pictures:
            raise ConfigError(
                "pictures are written as tensor files", where=path, mend="let its name end with .h5"
            )
        with replacing(path) as part, shower_tree(part, names) as append:
            for values, of_class, images in blocks():
                known = dict(zip(names, values.T, strict=True))
                append((known | {"particle": of_class}, images[:, 0]))
        return
    channels, height, width = header.shape
    view = View(header.view, channels, height, width,
                dtype="|u1" if header.pictures else "<f4")  # fmt: skip
    layout = Layout(
        features=(), spectators=tuple(names), classes=tuple(header.classes),
        samples={"mc": ("generated",)}, views=(view,),
    )  # fmt: skip
    capacity = {"mc": len(label)}
    with TensorWriter(path, layout, capacity=capacity, split=SplitConfig()) as writer:
        done = 0
        for values, of_class, images in blocks():
            n = len(of_class)
            pixels = np.rint(255 * images).astype(np.uint8) if header.pictures else images
            identity = [np.full(n, seed), np.arange(done, done + n)]
            block = Block(
                np.empty((n, 0), np.float32), values, np.ones(n, np.float32),
                np.zeros(n, np.uint16), event_ids("generated", identity), of_class,
                views={header.view: pixels},
            )  # fmt: skip
            writer.append("mc", block)
            done += n
        inputs = [] if source is None else [describe_file(Path(source))]
        writer.finish(provenance(inputs, {"seed": seed, "events": len(label)}))
