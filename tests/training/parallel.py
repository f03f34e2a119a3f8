"""A program that trains on as many processes as it was started on; `test_distributed` runs it by torchrun and plainly.

python -m tests.training.parallel FOLDER: what each process ends with is written to FOLDER/NAME-RANK.safetensors.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from companion.training import TrainConfig, TrainingDiverged, TrainResult, train
from companion.training.batches import Batches
from tests.training.problems import Awkward, asked_only, evaluation, net, noisy, regression, squared, uneven

PLAIN = TrainConfig(steps=8, batch_size=16, lr=0.02, ema=0.9)
PARTS = TrainConfig(steps=8, batch_size=16, lr=0.02, accumulate=4)
NOISY = TrainConfig(steps=10, batch_size=8, lr=0.02, ema=0.9, accumulate=2)


def main(folder: Path) -> None:
    rank = int(os.environ.get("RANK", "0"))

    def keep(name: str, result: TrainResult, **more: float) -> None:
        tensors = {key: value.clone() for key, value in result.model.state_dict().items()}
        about = {"history": json.dumps(asdict(result.history)), **{key: repr(value) for key, value in more.items()}}
        safetensors.torch.save_file(tensors, folder / f"{name}-{rank}.safetensors", about)

    # The processes start from different weights: all must go on from the first one's, also in the average.
    keep("plain", train(net(seed=rank), squared, regression(), PLAIN, evaluate=evaluation, evaluate_every=4))
    model = net()
    train(model, squared, regression(), PARTS)
    keep("parts", train(model, squared, regression(), PARTS))  # and a model can be trained twice
    for name, config in (("uneven", PLAIN), ("uneven parts", PARTS)):
        keep(name, train(net(), asked_only, uneven(), config))

    # Noise and dropout differ from process to process; stopped in the seventh step, all processes resume alike.
    def once(model: nn.Module, batch: tuple[torch.Tensor, ...], generator: torch.Generator) -> torch.Tensor:
        once.parts += 1
        if once.parts == 2 * 7:
            raise KeyboardInterrupt
        return spread(model, batch, generator)

    def spread(model: nn.Module, batch: tuple[torch.Tensor, ...], generator: torch.Generator) -> torch.Tensor:
        spread.noise.append(float(torch.rand((), generator=generator)))
        return noisy(model, batch, generator) + 0 * model.unused.sum()

    once.parts, spread.noise = 0, []
    whole = train(Awkward(), spread, regression(), NOISY, evaluate=evaluation)
    keep("whole", whole, noise=spread.noise[0])
    try:
        train(
            Awkward(), once, regression(), NOISY, evaluate=evaluation, checkpoint=folder / "state", checkpoint_every=3
        )
    except KeyboardInterrupt:
        resumed = train(
            Awkward(), spread, regression(), NOISY,
            evaluate=evaluation, checkpoint=folder / "state", checkpoint_every=3,
        )  # fmt: skip
        keep("resumed", resumed)

    # One example of the second process is bad: both must stop, at the same step.
    x, y = regression()
    y[Batches((torch.arange(40),), 16, 0)(0)[0][1]] = float("nan")
    try:
        train(net(), squared, (x, y), PLAIN)
    except TrainingDiverged as error:
        (folder / f"diverged-{rank}").write_text(str(error))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
