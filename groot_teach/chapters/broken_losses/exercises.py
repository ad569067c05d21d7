"""Exercises of the chapter on how a masked loss breaks."""

import torch

from groot_teach import bugs
from groot_teach.show.exercises import exercise
from groot_teach.show.exercises.draws import generator, masks, normal, numbers

TITLE = "How does a masked loss break?"


def _gradient_cases():
    pred = numbers([[[5, 1, 0], [3, 0, 0]], [[15, 4, 6], [0, 0, 0]]])
    target = numbers([[[10, 3, torch.inf], [13, 6, 6]], [[5, 24, 1], [torch.inf, -torch.inf, 2]]])
    mask = torch.tensor([[[1, 0, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]]).bool()

    def random(seed, *shape):
        mask = masks(seed, *shape)
        target, coins = normal(shape, seed + 1), normal(shape, seed + 2)
        target = torch.where(~mask & (coins < -0.3), -torch.inf, target)
        return normal(shape, seed + 3), torch.where(~mask & (coins > 0.5), torch.inf, target), mask

    shapes = (361, 2, 5, 7), (365, 5, 3, 11), (369, 3, 7, 5), (373, 3, 3, 3)
    return ((pred, target, mask), *(random(seed, *shape) for seed, *shape in shapes))


@exercise(
    "broken_losses.1",
    minutes=8,
    difficulty=2,
    cases=_gradient_cases,
    hints=(
        "Where does the infinity come in first, in the error or in its square? Hide it there, before anything is "
        "multiplied.",
        "`torch.where(action_mask, velocity_pred - velocity_target, 0.0)`: on the way back, too, nothing infinite is "
        "multiplied any more.",
        "Each real entry's derivative is twice its error, divided by the number of real entries in the batch. Or make "
        "a copy of `velocity_pred` that requires a gradient and call `torch.autograd.grad`.",
    ),
    lesson="Select, then square. The same line is safe with NaN in the padding.",
)
def gradient(velocity_pred, velocity_target, action_mask):
    """The gradient, with infinity in the padding

    A finite loss can send a NaN back into the network, so check the gradient. You get `velocity_pred` and
    `velocity_target` (batch, action_horizon, padded_dim; float64), and `action_mask` (the same shape; bool, True =
    real). **Where the mask is
    False, the target may hold anything, infinity too**; where it is True, all is finite. The loss is the mean of the
    squared error over all real entries of the batch. Return its gradient with respect to `velocity_pred` (the same
    shape; float64), 0 in padding; at least one entry is real. Let autograd find it, or write down the derivative."""
    error = torch.where(action_mask, velocity_pred - velocity_target, 0.0)
    return 2 * error / action_mask.sum()


def _gradient_of(bug):
    """The gradient of a loss that divides by the wrong number, with the errors of the padding set to 0 first."""

    def gradient_of_loss(pred, target, action_mask):
        error = torch.where(action_mask, pred - target, 0.0).requires_grad_()
        return torch.autograd.grad(bug.reduce(error.square(), action_mask), error)[0]

    return gradient_of_loss


gradient.made_by(bugs.mean_of_everything, bugs.counts_steps, by=_gradient_of)


@gradient.mistake(bugs.masked_after_the_square)
def _(velocity_pred, velocity_target, action_mask):
    return 2 * (velocity_pred - velocity_target) * action_mask / action_mask.sum()


@gradient.mistake("what is finite taken for the mask")
def _(velocity_pred, velocity_target, action_mask):
    """You kept every finite entry. Padding may be finite too: look at an entry where the target is a number and
    `action_mask` is False.
    Source: Wall-X makes its mask of what is not NaN, huggingface/lerobot at 7427f318, modeling_wall_x.py 1952"""
    return gradient(velocity_pred, velocity_target, velocity_target.isfinite())


def _loss_of_each_dim_cases():
    """Axes of one length, against the rule of this book: elsewhere a mask on the wrong axis is a loud error."""
    error = torch.arange(1.0, 10, dtype=torch.float64).reshape(1, 3, 3)

    def random(seed, samples, steps):
        mask = torch.rand((samples, steps), generator=generator(seed)) < 0.6
        mask[:, 0], mask[:, -1] = False, True
        return normal((samples, steps, steps), seed + 1), normal((samples, steps, steps), seed + 2), mask

    shapes = (381, 1, 5), (385, 3, 3), (389, 7, 7), (392, 1, 11)
    first = (error, torch.zeros_like(error), torch.tensor([[True, True, False]]))
    return (first, *(random(*shape) for shape in shapes))


@exercise(
    "broken_losses.2",
    minutes=7,
    difficulty=3,
    cases=_loss_of_each_dim_cases,
    hints=(
        "Write the three axes of the errors down, and below them the two of the mask. Which axis has the mask not got?",
        "`step_mask[:, :, None]` has the shape (batch, action_horizon, 1). The sum goes over batch and steps, "
        "`dim=(0, 1)`.",
        "For one dim you have summed one entry for each recorded step of the batch, so `step_mask.sum()` is the number "
        "to divide by.",
    ),
    lesson="Count what you sum. Here that is one entry for each recorded step, so the number of steps is right. Where "
    "the entries of all dims are summed, as in chapter 3, it is too few.",
    unaffected_by=("axes 0 and 1 of all arguments are swapped",),
)
def loss_of_each_dim(velocity_pred, velocity_target, step_mask):
    """A loss for each dim, where torch will not help

    Which joint is learned worst? `velocity_pred` and `velocity_target` (batch, action_horizon, action_dim; float64) of
    one kind of robot, so all dims are real; `step_mask` (batch, action_horizon; bool, True = the step was recorded, and
    at least one was in every sample). Return the loss of each dim (action_dim; float64): the mean of its squared error
    over all recorded steps of the batch. **In our cases there are as many steps as dims**, and one sample or just as
    many: torch will not complain about a mask on the wrong axis. Recorded steps need not stand together."""
    error = torch.where(step_mask[:, :, None], velocity_pred - velocity_target, 0.0)
    return error.square().sum(dim=(0, 1)) / step_mask.sum()


@loss_of_each_dim.mistake("the step mask lies on the dims")
def _(velocity_pred, velocity_target, step_mask):
    """Your mask hides dims. `squared * step_mask` lines up the *last* axes, so steps meet dims and samples meet
    steps, and only equal lengths keep it from being an error; `step_mask[:, :, None]` gives the dims an axis of
    their own.
    Source: padding masks broadcast along the wrong axis, https://github.com/keras-team/keras-io/pull/1046 and
    https://github.com/hyunwoongko/transformer/pull/40"""
    if len(step_mask) > 1:
        return ...  # where it lands there depends on how it is written
    squared = (velocity_pred - velocity_target).square()
    return (squared * step_mask).sum(dim=(0, 1)) / step_mask.sum()


def _of_one_dim_at_a_time(bug):
    """The losses of a bug that is given one dim at a time."""

    def losses(pred, target, step_mask):
        dims = (pred - target).square().split(1, dim=2)
        return torch.stack([bug.reduce(squared, step_mask[:, :, None]) for squared in dims])

    return losses


loss_of_each_dim.made_by(bugs.no_mask, bugs.mean_of_everything, by=_of_one_dim_at_a_time)


@loss_of_each_dim.mistake("entries are counted")
def _(velocity_pred, velocity_target, step_mask):
    """You divided by steps times dims: right for a sum over steps and dims. For one dim you summed recorded steps
    only, so count those; it is the usual mistake the other way round.
    Source: right for one loss of all dims, https://github.com/huggingface/lerobot/pull/3442"""
    return loss_of_each_dim(velocity_pred, velocity_target, step_mask) / velocity_pred.shape[2]
