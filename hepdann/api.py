"""The public interface as far as it needs several rooms: ``hepdann.train`` and its like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from . import evaluation, runs
from .evaluation import Diagnosis
from .tensors import Source, Target, Tensors, object_figures, open_tensors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .calibration import CalibrationReport
    from .deploy import Exported

P = ParamSpec("P")
T = TypeVar("T")


class Run(runs.Run):
    """A finished run; ``metrics.methods["dann"].target.auc`` and likewise are its numbers."""

    @overload
    def plot(self, figure: str, *, ax: Axes, **look: Any) -> Axes: ...
    @overload
    def plot(
        self, figure: str | Sequence[str] | None = None, *, ax: None = None, **look: Any
    ) -> list[Path]: ...
    def plot(
        self, figure: str | Sequence[str] | None = None, *, ax: Axes | None = None, **look: Any
    ) -> Axes | list[Path]:
        """Draw figures into the folder of the run, or one of them on axes of one's own.

        Args:
            figure: name or kind of one or several; by default all that ``hepdann plot`` draws.
            ax: where to draw one figure, of which no file is written.
            **look: as in :func:`hepdann.plotting.plot_run`, or of ``ax`` as in
                :func:`hepdann.plotting.draw_figure`.

        Returns:
            The files, or ``ax``.

        Raises:
            HepdannError: no such figure, or the run is not whole.
        """
        from . import plotting

        if ax is not None:
            return plotting.draw_figure(self.folder, str(figure), ax, **look)
        only = [figure] if isinstance(figure, str) else figure
        return plotting.plot_run(self.folder, only=only, **look)

    def export(self, output: str | Path, **options: Any) -> Exported:
        """Write a method as ONNX or C++; the options are those of :func:`hepdann.export`."""
        from .deploy import export

        return export(self, output, **options)


class Scan(runs.Scan):
    """A scan."""

    def plot(self, figure: str | Sequence[str] | None = None, **look: Any) -> list[Path]:
        """Draw figures into its folder; the options are those of ``hepdann.plotting.plot_scan``."""
        from .plotting import plot_scan

        return plot_scan(self.folder, only=[figure] if isinstance(figure, str) else figure, **look)


def _giving(kind: type[T], call: Callable[P, Any]) -> Callable[P, T]:
    """The same call, whose run or scan has figures and exports."""

    @wraps(call)
    def called(*args: P.args, **options: P.kwargs) -> T:
        made = call(*args, **options)
        return kind(*(getattr(made, field.name) for field in fields(made)))

    return called


train, open_run = _giving(Run, runs.train), _giving(Run, runs.open_run)
scan, open_scan = _giving(Scan, runs.scan), _giving(Scan, runs.open_scan)


def calibrate(
    tensors: Tensors | str | Path,
    *,
    data: Tensors | str | Path | None = None,
    families: Sequence[str] | None = None,
    hold_fractions: bool = False,
    seed: int = 0,
) -> CalibrationReport:
    """Measure how MC must change to look like data: which map, how large, how sure.

    Maps of the MC are fitted to the unlabelled data on the training splits, together with the class
    fractions of the data; a classifier on the other events says what is left.

    Args:
        tensors: the tensor file with the MC.
        data: a second tensor file with the data; by default that of ``tensors``.
        families: names of shifts, ``scale``, ``offset`` or ``smear``, of all features or as
            ``scale(pt, mass)``, several joined with ``+``; ``free``; by default all shifts, and
            ``free`` where none of them closes the difference. Of images and objects, theirs.
        hold_fractions: keep the class fractions of MC.
        seed: of the random parts.

    Returns:
        The figures, ``sentence``, and ``calibration``, which maps features of MC.

    Raises:
        SchemaError: no MC, no data, or the files have other features.
        ConfigError: an unknown family or feature.
        HepdannError: too few events.
    """
    return calibration_of(
        *compared(tensors, data, mapped=True), families=families, hold_fractions=hold_fractions,
        seed=seed,
    )[1]  # fmt: skip


def calibration_of(
    file: Tensors,
    source: Source,
    target: Target,
    *,
    families: Sequence[str] | None,
    hold_fractions: bool,
    seed: int,
) -> tuple[Source, CalibrationReport]:
    """The MC that were compared, and what :func:`calibrate` gives; of images some of the MC.

    The file, its MC and the data are what :func:`compared` gives.
    """
    from . import calibration  # imports torch, which a diagnosis does without

    made = None
    if file.views:
        source, made = calibration.image_families(open_tensors(file.path), families, seed)
    report = calibration.calibrate(
        source,
        target,
        file.features,
        families=families,
        hold_fractions=hold_fractions,
        seed=seed,
        made=made,
    )
    return source, report


def diagnose(
    tensors: Tensors | str | Path,
    *,
    data: Tensors | str | Path | None = None,
    seed: int = 0,
    max_events: int = 10_000,
) -> Diagnosis:
    """Test whether MC and data differ, in what, and whether it is worth adapting.

    No label of the data is looked at. Of images, the sums of energies and hits and the planes that
    they reach are compared, for each view.

    Args:
        tensors: the tensor file with the MC.
        data: a second tensor file with the data; by default that of ``tensors``.
        seed: of the random parts.
        max_events: rows of MC and of data, at most, that the test on all features uses.

    Returns:
        The figures, and ``sentence``, the verdict in plain words.

    Raises:
        SchemaError: no MC, no data, or the files have other features.
        HepdannError: too few events for a test.
    """
    file, source, target = compared(tensors, data)
    return evaluation.diagnose(
        source, target, file.features, seed=seed, max_events=max_events, alignable=file.tabular
    )


def compared(
    tensors: Tensors | str | Path, data: Tensors | str | Path | None, *, mapped: bool = False
) -> tuple[Tensors, Source, Target]:
    """What is compared: the file as described, its MC, and the data.

    Of images and objects it is what sums them up; those that are to be ``mapped`` hold the objects.

    Raises:
        SchemaError: no MC, no data, or the files have other features.
    """
    file = open_tensors(tensors)
    holder = file if data is None else open_tensors(data)
    file.check_features(holder)
    if file.tabular:
        return file, file.source(), holder.target()
    from .domains import choose_memory, prepare

    domains = prepare(file, holder, None, 0, choose_memory("auto", file, holder, members=0))
    if not (mapped and file.objects):
        return domains.tensors, domains.source, domains.target
    from .calibration import ObjectSource
    from .runs.maps import events_of

    source, target = events_of(domains)
    assert isinstance(source, ObjectSource)
    names, _ = object_figures(source.objects.take(slice(0, 0)), detailed=True)
    described = replace(
        file,
        features=(*file.features, *names),
        units=(*file.units, *("" for _ in names)),
        feature_info=(*file.feature_info, *({} for _ in names)),
    )
    return described, source, target
