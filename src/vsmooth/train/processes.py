"""Collective operations of the processes of one training: agree, shard and gather the weights, disconnect."""

from __future__ import annotations

import gc

import torch
import torch.distributed.nn  # early: imported once a group exists (DDP does so), its default arguments keep that group
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn
from torch.distributed import broadcast
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def launched() -> PartialState:
    """This process among those of its launch.

    Accelerate's own ``PartialState()`` does not read ACCELERATE_USE_CPU, as its ``Accelerator`` does: asked first, it
    would take each of several processes on CPUs for the only one.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def agree(values: list[int], accelerator: Accelerator) -> list[int]:
    """The largest of each value over all processes; a collective call, unless there is one process."""
    if accelerator.num_processes == 1:
        return values
    own = torch.tensor([values], device=accelerator.device)
    gathered: Tensor = accelerator.gather(own)
    return [int(value) for value in gathered.amax(0).tolist()]


def share_buffers(model: nn.Module, accelerator: Accelerator) -> None:
    """Copy the buffers of the first process to all: the BatchNorm of each has seen other images."""
    if accelerator.num_processes > 1:
        for buffer in model.buffers():
            broadcast(buffer, 0)


def synchronise_batchnorm(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """BatchNorm statistics over the batches of all processes (``torch.nn.SyncBatchNorm``).

    Raises:
        ValueError: several processes on CPUs, for which torch has no synchronised BatchNorm.
    """
    if accelerator.num_processes == 1:
        return model
    if accelerator.device.type == "cpu":
        raise ValueError(
            "sync_batchnorm needs GPUs: torch has no synchronised BatchNorm for CPUs; leave --sync-batchnorm out"
        )
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return converted


def shard_weights(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Shard parameters, gradients and optimizer state over the processes (FSDP, Zhao et al. 2023), in place.

    Layers of a million weights or more (large classifiers) are gathered separately when used, the rest as one unit.
    """
    model.to(memory_format=torch.contiguous_format)  # FSDP2 shards contiguous parameters only
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for module in list(model.modules())[:0:-1]:
        if any(True for _ in module.parameters(recurse=False)) and _is_large(module):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


_LARGE = 1_000_000


def _is_large(module: nn.Module) -> bool:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False)) >= _LARGE


def whole(tensor: Tensor) -> Tensor:
    """All of a sharded tensor (then every process must ask for it); others as they are."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, reference: Tensor) -> Tensor:
    """``tensor``, spread over the processes as ``reference`` of the same shape is."""
    if not isinstance(reference, DTensor) or tensor.shape != reference.shape:
        return tensor
    return distribute_tensor(tensor.to(reference.device), reference.device_mesh, reference.placements)


def disconnect() -> None:
    """Close the connection between the processes, if there is one, and wait for its threads; call it last in a program.

    A thread of gloo that still holds a tensor of the last collective call when the interpreter shuts down aborts
    the process (exit code -6; pytorch issue 190489), and ``torchrun`` then reports a finished training as failed.
    The threads end with the last reference to the group, so networks that were wrapped for several processes must
    be gone. FSDP's are kept by torch's own caches: there the threads have the time of this call to let go.
    """
    if torch.distributed.is_initialized():
        gc.collect()
        PartialState().destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)
