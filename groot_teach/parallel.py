"""One sum for all processes: what data-parallel training needs of `torch.distributed`, and no more.

With a single process, or where nobody has started a process group, a sum over processes is the number itself: the
same code runs alone and under `torchrun`.
"""

from torch import Tensor, distributed


def place() -> tuple[int, int]:
    """Which process this is, and how many there are: `(0, 1)` for one that is alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum of what each process has in its place. All of them have to call it, in the same order."""
    if place()[1] == 1:
        return tensor
    total = tensor.clone()
    distributed.all_reduce(total)
    return total
