"""The DANN of the training benchmark as three published packages train it.

Each lives in a Python of its own, so this file imports nothing of hepdann and nothing at its top
but numpy. Every route is a class made with (sample, batch, members, threads); ``epoch()`` trains
one epoch and returns the seconds that it took.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
from sample import DOMAIN_HEAD, EXTRACTOR, FEATURES, LABEL_HEAD, LEARNING_RATE, Sample


def layers(widths: tuple[int, ...], *, last_relu: bool) -> list[Any]:
    """Linear layers with ReLU between them."""
    from torch import nn

    made: list[Any] = []
    for a, b in itertools.pairwise(widths):
        made += [nn.Linear(a, b), nn.ReLU()]
    return made if last_relu else made[:-1]


class Skada:
    """``skada.deep.DANN``; its stock domain classifier ends in a softmax over one output.

    That softmax is 1 for every event, so the stock adversary has no gradient; this one ends in a
    sigmoid. The seconds are skorch's own for the epoch, its data loader included.
    """

    def __init__(self, sample: Sample, batch: int, members: int, threads: int) -> None:
        import torch
        from skada.deep import DANN
        from skada.deep.modules import GradientReversalLayer
        from torch import nn

        assert members == 1
        torch.set_num_threads(threads)

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.features = nn.Sequential(*layers((FEATURES, *EXTRACTOR), last_relu=True))
                self.head = nn.Sequential(*layers((EXTRACTOR[-1], *LABEL_HEAD, 2), last_relu=False))

            def forward(self, x: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
                return self.head(self.features(x))

        class Domain(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.head = nn.Sequential(
                    *layers((EXTRACTOR[-1], *DOMAIN_HEAD, 1), last_relu=False), nn.Sigmoid()
                )

            def forward(self, x: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
                return self.head(GradientReversalLayer.apply(x, 1.0)).squeeze(1)

        self.net = DANN(
            Network(),
            "features",
            domain_classifier=Domain(),
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=batch,
            max_epochs=1,
            train_split=None,
            warm_start=True,
            verbose=0,
        )
        self.x = np.concatenate([sample.x_source, sample.x_target])
        self.y = np.concatenate([sample.y_source, np.full(len(sample.x_target), -1)])
        self.domain = np.repeat([1, -2], [len(sample.x_source), len(sample.x_target)])

    def epoch(self) -> float:
        self.net.fit(self.x, self.y, sample_domain=self.domain)
        return float(self.net.history[-1, "dur"])


class PytorchAdapt:
    """``pytorch_adapt.hooks.DANNHook`` on batches of its own combined dataset."""

    def __init__(self, sample: Sample, batch: int, members: int, threads: int) -> None:
        import torch
        from pytorch_adapt.datasets import (
            CombinedSourceAndTargetDataset,
            SourceDataset,
            TargetDataset,
        )
        from pytorch_adapt.hooks import DANNHook
        from torch import nn
        from torch.utils.data import DataLoader, TensorDataset

        assert members == 1
        torch.set_num_threads(threads)
        self.models = {
            "G": nn.Sequential(*layers((FEATURES, *EXTRACTOR), last_relu=True)),
            "C": nn.Sequential(*layers((EXTRACTOR[-1], *LABEL_HEAD, 2), last_relu=False)),
            "D": nn.Sequential(
                *layers((EXTRACTOR[-1], *DOMAIN_HEAD, 1), last_relu=False), nn.Flatten(0)
            ),
        }
        optimisers = [
            torch.optim.Adam(model.parameters(), lr=LEARNING_RATE) for model in self.models.values()
        ]
        self.hook = DANNHook(optimisers)
        source = TensorDataset(torch.tensor(sample.x_source), torch.tensor(sample.y_source))
        target = TensorDataset(
            torch.tensor(sample.x_target), torch.zeros(len(sample.x_target), dtype=torch.int64)
        )
        both = CombinedSourceAndTargetDataset(SourceDataset(source), TargetDataset(target))
        self.loader = DataLoader(both, batch_size=batch, shuffle=True, drop_last=True)

    def epoch(self) -> float:
        start = time.perf_counter()
        for data in self.loader:
            self.hook({**self.models, **data})
        return time.perf_counter() - start


class Adapt:
    """``adapt.feature_based.DANN`` (TensorFlow); the seconds are those of the Keras epoch."""

    def __init__(self, sample: Sample, batch: int, members: int, threads: int) -> None:
        import tensorflow as tf
        from adapt.feature_based import DANN

        assert members == 1
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)

        def network(widths: tuple[int, ...], last: str) -> Any:
            made = tf.keras.Sequential([tf.keras.Input((widths[0],))])
            for width in widths[1:-1]:
                made.add(tf.keras.layers.Dense(width, activation="relu"))
            made.add(tf.keras.layers.Dense(widths[-1], activation=last))
            return made

        self.model = DANN(
            encoder=network((FEATURES, *EXTRACTOR), "relu"),
            task=network((EXTRACTOR[-1], *LABEL_HEAD, 1), "sigmoid"),
            discriminator=network((EXTRACTOR[-1], *DOMAIN_HEAD, 1), "sigmoid"),
            Xt=sample.x_target,
            lambda_=1.0,
            loss="binary_crossentropy",
            optimizer=tf.keras.optimizers.Adam(LEARNING_RATE),
            metrics=[],
            verbose=0,
        )
        seconds: list[float] = []

        class Clock(tf.keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
                self.start = time.perf_counter()

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
                seconds.append(time.perf_counter() - self.start)

        self.sample, self.batch, self.seconds, self.clock = sample, batch, seconds, Clock()

    def epoch(self) -> float:
        s = self.sample
        y = s.y_source.astype("f4")
        self.model.fit(
            s.x_source, y, epochs=1, batch_size=self.batch, verbose=0, callbacks=[self.clock]
        )
        return self.seconds[-1]


PEERS = {"skada": Skada, "pytorch-adapt": PytorchAdapt, "adapt": Adapt}
