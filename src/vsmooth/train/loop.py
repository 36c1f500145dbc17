"""The training loop: one loop over optimizer steps for every method, resumable at any step."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vsmooth.data import Batch, BatchSource
from vsmooth.data.seeds import seed_of
from vsmooth.methods import Loss, Method, Plain, StepRule
from vsmooth.records.run import EpochRecord
from vsmooth.train.checkpoint import (
    Checkpoint,
    load_newest,
    load_optimizer,
    load_weights,
    optimizer_tensors,
)
from vsmooth.train.checkpoint import save_checkpoint as write_checkpoint
from vsmooth.train.ema import WeightAverage
from vsmooth.train.interrupt import Interrupted, deferred_signals
from vsmooth.train.listener import Listener
from vsmooth.train.optim import Optimization
from vsmooth.train.processes import agree, shard_weights, share_buffers, whole
from vsmooth.train.sittings import Environment, resumed_elsewhere
from vsmooth.train.state import TrainingState, stored_state

Evaluate = Callable[[nn.Module], Mapping[str, float]]
# Reading a loss stalls an accelerator, so there it is done for this many steps at once.
_STEPS_BETWEEN_READS = 25


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Trained:
    """The trained network (averaged weights if asked for), the history, and the environment of each sitting.

    best: a copy of the network after the epoch ``best_epoch`` (counted from 1), the first with the highest value of the
    metric that selects; ``None`` and 0 without one. notices: what the method said of its epochs.
    """

    model: nn.Module
    history: tuple[EpochRecord, ...]
    seconds: float
    images_per_second: float
    environments: tuple[Environment, ...] = ()
    notices: tuple[str, ...] = ()
    best: nn.Module | None = None
    best_epoch: int = 0


@dataclass(frozen=True)
class Selection:
    """Which weights are kept beside the last ones, and when a training ends early.

    metric: of the validation split, the highest value wins, the first of equals; ``None``: the last weights alone.
    patience: epochs without a higher value after which the training ends; ``None``: never before its last epoch.
    """

    metric: str | None = None
    patience: int | None = None


class Trainer:
    """Trains ``model`` by ``method`` and ``step_rule`` on ``batches``, in one process or as one of several.

    Data order and augmentation depend only on (seed, epoch, step) and dropout on (seed, step, rank), so a run that
    was killed at any moment and resumed from ``checkpoints`` ends with the weights of an uninterrupted one (bit for
    bit on a CPU), and a run of N processes can be resumed with any other number. ``batches`` divides each global batch
    into equal parts, so that the mean of the processes' mean gradients is the gradient of the global batch.
    ``shard`` shards weights and optimizer state over the processes (FSDP) instead of copying them (DDP).
    ``environment`` (facts by name) is kept with the checkpoints, so that a resumed training knows all of its sittings.
    """

    def __init__(
        self,
        method: Method,
        model: nn.Module,
        batches: BatchSource,
        evaluate: Evaluate,
        accelerator: Accelerator,
        *,
        epochs: int,
        optimization: Optimization,
        checkpoints: Path,
        checkpoint_seconds: float = 30.0,
        keep_checkpoints: int = 2,
        shard: bool = False,
        step_rule: StepRule | None = None,
        selection: Selection | None = None,
        listener: Listener | None = None,
        environment: Environment | None = None,
    ) -> None:
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {epochs}")
        if shard and optimization.ema_decay is not None:
            raise ValueError("ema_decay and sharded weights (fsdp) do not go together; leave one of them out")
        self.method, self.step_rule = method, step_rule or Plain()
        self.selection = selection or Selection()
        self._best: dict[str, Tensor] = {}  # the weights of the best epoch
        self.batches, self.evaluate, self.epochs = batches, evaluate, epochs
        self.accelerator, self.optimization = accelerator, optimization
        self.checkpoints, self.checkpoint_seconds = checkpoints, checkpoint_seconds
        self.keep_checkpoints = keep_checkpoints
        self.listener = listener or Listener()
        self.average = WeightAverage.of(model, optimization.ema_decay)
        self.whole_network = copy.deepcopy(model).to("meta") if shard else None
        self.network = shard_weights(model, accelerator) if shard else model
        self.optimizer = optimization.build(model)
        self.stepper = accelerator.prepare(self.optimizer)
        self.model = model if shard else accelerator.prepare(model)
        self.environment = environment or {}
        self.state = TrainingState(environments=(self.environment,))
        self.total = epochs * len(batches)
        if optimization.accumulate > self.total:
            raise ValueError(
                f"accumulate={optimization.accumulate} is more than the {self.total} batches of the whole training: "
                "no step would be taken"
            )
        self._unread: list[Tensor] = []  # of each step (1 + parts,): the loss, then its parts
        self._parts: tuple[str, ...] = ()
        self._saved_at = time.monotonic()

    def train(self) -> Trained:
        """Resume from the newest checkpoint if there is one, train to the end, and write a checkpoint there.

        Raises:
            TrainingDivergedError: the loss is not finite; names epoch, step and learning rate.
            Interrupted: Ctrl-C or SIGTERM; a checkpoint was written first.
            CheckpointError: a checkpoint could not be written.
        """
        with deferred_signals() as signals:
            self._resume()
            self.accelerator.wait_for_everyone()  # or the first would drop checkpoints that others still read
            while not self._ended:
                epoch, start = divmod(self.state.step, len(self.batches))
                self._train_epoch(epoch, start, signals)
        history = self.state.history
        seconds = sum(log.seconds for log in history)
        # The median: a first epoch in which memory is touched and code compiled does not speak for the others.
        speed = median(log.images_per_second for log in history)
        found = (self._result(), history, seconds, speed, self.state.environments, self.state.notices)
        return Trained(*found, self._best_network(), self.state.best_epoch)

    @property
    def _ended(self) -> bool:
        """Whether all steps are done, or the best epoch is too long ago."""
        if self.state.step >= self.total:
            return True
        patience = self.selection.patience
        at_end_of_epoch = self.state.step and self.state.step % len(self.batches) == 0
        waited = len(self.state.history) - self.state.best_epoch
        return bool(patience is not None and at_end_of_epoch and waited >= patience)

    def _best_network(self) -> nn.Module | None:
        if not self._best:
            return None
        network = copy.deepcopy(self._result())
        load_weights(network, self._best, self.checkpoints)
        return network

    def _train_epoch(self, epoch: int, start: int, signals: list[int]) -> None:
        self.model.train()
        clock = time.perf_counter()
        for batch in self.batches.epoch(epoch, start):
            self.train_step(batch)
            self.state.seconds += time.perf_counter() - clock
            # The last step is saved with the log of its epoch, or a resumed run would lack that epoch.
            if self.state.step % len(self.batches):
                self._save_if_due(signals)
            clock = time.perf_counter()
        self._end_epoch(epoch)
        self._save_if_due(signals)

    def _save_if_due(self, signals: list[int]) -> None:
        if self.state.step % self.optimization.accumulate and self.state.step < self.total:
            return  # half a step is not worth saving
        if self.accelerator.num_processes > 1 and self._unread and self.state.step % len(self.batches):
            return  # processes agree where they read their losses anyway
        # The end is always saved: whatever is done with the network next may be interrupted too.
        due = time.monotonic() - self._saved_at >= self.checkpoint_seconds or self._ended
        signal_number, due_anywhere = agree([signals[0] if signals else 0, due], self.accelerator)
        if signal_number or due_anywhere:
            self._save()
        if signal_number:
            raise Interrupted(signal_number, self.checkpoints)

    def train_step(self, batch: Batch) -> None:
        """One batch: forward, backward and, where gradients are not still accumulated, an optimizer step."""
        # Dropout is drawn anew from the step, not from where a generator stands: nothing to save, any number of ranks.
        torch.manual_seed(seed_of("step", self.batches.seed, self.state.step, self.accelerator.process_index))
        rate = self._learning_rate(self.state.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.accelerator.accumulate(self.model), self.accelerator.autocast():
            crafted = self.method.craft(self.model, batch)
            epoch = self.state.step // len(self.batches)
            loss = self.step_rule.backward(self.method, self.model, crafted, self.accelerator.backward, epoch=epoch)
            if self.optimization.clip_norm is not None and self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.model.parameters(), self.optimization.clip_norm)
            self.stepper.step()
            self.stepper.zero_grad()
        if self.accelerator.sync_gradients:
            self.average.update(self.network)
        self._keep(loss)
        self.state.step += 1
        if loss.total.device.type == "cpu" or len(self._unread) >= _STEPS_BETWEEN_READS:
            self._read_losses()

    def _learning_rate(self, step: int) -> float:
        every = self.optimization.accumulate
        return self.optimization.learning_rate_at(step // every, max(1, self.total // every))

    def _keep(self, loss: Loss) -> None:
        if tuple(loss.parts) != self._parts:  # a method may change what it reports between epochs
            self._read_losses()
            self._parts = tuple(loss.parts)
        values = (loss.total, *loss.parts.values())
        self._unread.append(torch.stack([value.detach().to(loss.total.dtype) for value in values]))

    def _read_losses(self) -> None:
        if not self._unread:
            return
        rows = self.accelerator.reduce(torch.stack(self._unread), "mean").tolist()
        first = self.state.step - len(rows)
        self._unread.clear()
        for offset, (loss, *parts) in enumerate(rows):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", first + offset)
            self.state.loss_sum += loss
            for name, part in zip(self._parts, parts, strict=True):
                self.state.part_sums[name] = self.state.part_sums.get(name, 0.0) + part
        self.listener.on_step(self.state.step, self.total, rows[-1][0])

    def _diverged(self, what: str, index: int) -> TrainingDivergedError:
        epoch, step = divmod(index, len(self.batches))
        # Where the schedule ends, the rate is 0; it is the rates before that broke the weights.
        rate, highest = self._learning_rate(index), self.optimization.learning_rate
        peak = "" if math.isclose(rate, highest) else f" (at its highest {highest:.4g})"
        return TrainingDivergedError(
            f"{what} at epoch {epoch + 1}, step {step + 1} of {len(self.batches)}, learning rate {rate:.4g}{peak}: "
            "lower the learning rate, lengthen the warm-up or clip the gradient"
        )

    def _end_epoch(self, epoch: int) -> None:
        clock = time.perf_counter()
        self._read_losses()
        finite = all(bool(tensor.isfinite().all()) for tensor in self.network.state_dict().values())
        if any(agree([not finite], self.accelerator)):
            raise self._diverged("the weights are no longer finite", self.state.step - 1)
        steps, seconds = len(self.batches), self.state.seconds + time.perf_counter() - clock
        record = EpochRecord(
            epoch + 1,
            self.state.loss_sum / steps,
            float(self.optimizer.param_groups[0]["lr"]),
            seconds,
            steps * self.batches.batch_size / max(seconds, 1e-9),
            dict(self.evaluate(self._evaluated())),
            {name: part / steps for name, part in self.state.part_sums.items()},
        )
        self.state.history = (*self.state.history, record)
        self.state.loss_sum = self.state.seconds = 0.0
        self.state.part_sums = {}
        self._keep_best(record)
        self.listener.on_epoch(record)
        notice = self.method.notice(self.state.history)
        if notice is not None:
            self.state.notices = (*self.state.notices, notice)
            self.listener.on_message(notice)

    def _keep_best(self, record: EpochRecord) -> None:
        metric, best = self.selection.metric, self.state.best_epoch
        if metric is None or metric not in record.validation:
            return
        if not best or record.validation[metric] > self.state.history[best - 1].validation[metric]:
            self.state.best_epoch = record.epoch
            weights = self._evaluated().state_dict()
            self._best = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def _evaluated(self) -> nn.Module:
        """What stands for the training so far, the same on every process; never the DDP wrapper, whose forward
        would wait for the other processes."""
        if self.accelerator.num_processes == 1:
            return self.average.model or self.model
        return self._result()

    def _result(self) -> nn.Module:
        if self.whole_network is not None:
            gathered = copy.deepcopy(self.whole_network).to_empty(device=self.accelerator.device)
            gathered.load_state_dict({name: whole(tensor) for name, tensor in self.network.state_dict().items()})
        elif self.average.model is not None:
            gathered = self.average.model
        else:
            gathered = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False, keep_torch_compile=False)
        share_buffers(gathered, self.accelerator)
        return gathered

    def _save(self) -> None:
        self._read_losses()  # never save a step whose loss is not finite
        tensors = {
            "model": {name: whole(tensor) for name, tensor in self.network.state_dict().items()},
            "optimizer": {name: whole(tensor) for name, tensor in optimizer_tensors(self.optimizer).items()},
        }
        if self.average.model is not None:
            tensors["average"] = self.average.model.state_dict()
        if self._best:
            tensors["best"] = self._best
        if self.accelerator.is_main_process:
            checkpoint = Checkpoint(self.state.step, tensors, asdict(self.state))
            write_checkpoint(self.checkpoints, checkpoint, self.keep_checkpoints)
        self._saved_at = time.monotonic()

    def _resume(self) -> None:
        checkpoint, warnings = load_newest(self.checkpoints)
        for warning in warnings:
            self.listener.on_message(warning)
        if checkpoint is None:
            return
        load_weights(self.network, checkpoint.group("model"), self.checkpoints)
        load_optimizer(self.optimizer, checkpoint.group("optimizer"), self.checkpoints)
        if self.average.model is not None:
            load_weights(self.average.model, checkpoint.group("average"), self.checkpoints)
        self._best = checkpoint.tensors.get("best", {})
        self.state = stored_state(checkpoint, self.checkpoints, len(self.batches))
        epoch, step = divmod(self.state.step, len(self.batches))
        where = f"at epoch {epoch + 1}, step {step + 1}" if self.state.step < self.total else "after the last epoch"
        self.listener.on_message(f"resuming {where}")
        sittings = self.state.environments
        if sittings and (changed := resumed_elsewhere(sittings[-1], self.environment)) is not None:
            self.listener.on_message(changed)
        self.state.environments = (*sittings, self.environment)

