"""Evaluating a trained head: used as it was trained, and used in other ways.

    losses    the loss as training reports it, and the mean over recorded entries, of the same predictions
    errors    how far the sampled actions are off, for each robot, in one of `DEPLOYMENTS`
    rollout   how far the hand is from its goal while the head controls the robot

Every head is evaluated on the same situations and from the same noise, so that two heads can be compared.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from groot_teach.flow import flow_time_n1_7, sample_beta
from groot_teach.head.action_head import ActionHead
from groot_teach.loss import masked_velocity_loss
from groot_teach.masks import GROOT_N1_5, STRICT, Masking, with_switches
from groot_teach.padding import action_mask_dims_and_steps
from groot_teach.training.task import ACTION_HORIZON, ROBOTS, Reaching, Situations


@dataclass(frozen=True)
class Deployment:
    """How a trained head is used.

    Attributes:
        switches: the switches that are changed in its masking, or another masking; none = it is used as it was trained.
        key_len: to how many tokens the prompts are padded: "longest" = to the longest prompt, as in training; "own" =
            no prompt is padded; a number = to that many tokens more than the longest prompt.
        steps: which steps are sampled: "recorded" = as many as the recording has, as in training; "all" = all.
    """

    switches: dict[str, str] | Masking = field(default_factory=dict)
    key_len: str | int = "longest"
    steps: str = "recorded"

    def masking(self, trained: Masking) -> Masking:
        return self.switches if isinstance(self.switches, Masking) else with_switches(trained, **self.switches)


MORE_TOKENS = 20
EVALUATION_SEED = 999_999_999_999
"""A seed from which no training draws."""

DEPLOYMENTS = {
    "as trained": Deployment(),
    "alone": Deployment(key_len="own", steps="all"),
    "in a crowd": Deployment(key_len=MORE_TOKENS),
    "all steps": Deployment(steps="all"),
    "input open": Deployment({"encoder_input": "open", "sampler": "free"}),
    "input shut": Deployment({"encoder_input": "closed", "sampler": "zero"}),
    "strict": Deployment(STRICT),
    "N1.5": Deployment(GROOT_N1_5),
    "free": Deployment({"sampler": "free"}, key_len="own", steps="all"),
    "zero": Deployment({"sampler": "zero"}, key_len="own", steps="all"),
    "renoise": Deployment({"sampler": "renoise"}, key_len="own", steps="all"),
}
"""Every head is evaluated in each of these ways, on the same situations and from the same noise."""


class Evaluation:
    """Evaluates heads on situations that no training sees. They are the same for every head, so heads can be compared.

    Args:
        task: the task, with its amount of padding.
        tried: the number of situations.
        chunks: the number of chunks that a rollout executes.
    """

    def __init__(self, task: Reaching, tried: int, chunks: int):
        self.task, self.chunks = task, chunks
        generator = torch.Generator().manual_seed(EVALUATION_SEED)
        self.situations = task.situations(tried, generator)
        self.batch = task.actions(self.situations)
        self.t = flow_time_n1_7(sample_beta(tried, generator))
        shape = (chunks, *self.batch.actions.shape)
        self.noise = torch.randn(shape, dtype=torch.float64, generator=generator)

    @cached_property
    def recorded(self) -> Tensor:
        return action_mask_dims_and_steps(self.batch.dim_mask, self.batch.step_mask)

    def losses(self, head: ActionHead) -> tuple[float, float]:
        """The loss as this head's training reports it, and the mean over recorded entries, of the same predictions."""
        answer = head.loss(self.task.observe(self.situations), self.batch, self.noise[0], self.t)
        real = masked_velocity_loss(answer.velocity_pred, answer.velocity_target, self.recorded)
        return answer.loss.item(), real.item()

    def errors(self, head: ActionHead, deployment: str) -> list[float]:
        """For each robot the root mean square error of its actions, over its recorded entries."""
        how = DEPLOYMENTS[deployment]
        with deployed(head, how):
            actions = self._sampled(head, how)
        squared = torch.where(self.recorded, actions - self.batch.actions, 0.0).square()
        return [
            (squared[chosen].sum() / self.recorded[chosen].sum()).sqrt().item()
            for chosen in (self.situations.robot == robot for robot in range(len(ROBOTS)))
        ]

    def rollout(self, head: ActionHead) -> dict[str, Any]:
        """The head controls the robot: a chunk is executed to its end, then the next one is sampled.

        Returns for each robot the mean distance of the hand from its goal, and the path of the hand in one situation
        (`x, y` points), at the start and after every half chunk.
        """
        situations, hands = self.situations, [self.situations.hand[:, None]]
        for noise in self.noise:
            joints = self._alone(head, situations, noise)
            hands.append(self.task.hand(joints, situations.robot))
            situations = dataclasses.replace(situations, hand=hands[-1][:, -1])
        path = torch.cat(hands, dim=1)[:, :: ACTION_HORIZON // 2]
        distance = (path - situations.goal[:, None]).norm(dim=-1)
        chosen = [situations.robot == robot for robot in range(len(ROBOTS))]
        return {
            "distance": [distance[of_robot].mean(dim=0).tolist() for of_robot in chosen],
            "path": [path[of_robot][0].tolist() for of_robot in chosen],
        }

    def _sampled(self, head: ActionHead, how: Deployment) -> Tensor:
        if how.key_len == "own":
            return self._alone(head, self.situations, self.noise[0])
        observation = self.task.observe(self.situations)
        if isinstance(how.key_len, int):
            longest = observation.vl.tokens.shape[1]
            observation = self.task.observe(self.situations, key_len=longest + how.key_len)
        steps = self.batch.step_mask if how.steps == "recorded" else None
        return head.sample(observation, self.noise[0], self.batch.dim_mask, steps)[-1]

    def _alone(self, head: ActionHead, situations: Situations, noise: Tensor) -> Tensor:
        """The actions of each sample without padded tokens: samples whose prompts are equally long share a batch."""
        actions = torch.empty_like(noise)
        for words in situations.words_said.unique():
            chosen = situations.words_said == words
            group = Situations(*(getattr(situations, part.name)[chosen] for part in dataclasses.fields(situations)))
            path = head.sample(self.task.observe(group), noise[chosen], self.batch.dim_mask[chosen])
            actions[chosen] = path[-1]
        return actions


@contextmanager
def deployed(head: ActionHead, how: Deployment) -> Iterator[None]:
    """Inside this context, the head uses the masking of `how` instead of the one that it was trained with."""
    trained, head.masking = head.masking, how.masking(head.masking)
    try:
        yield
    finally:
        head.masking = trained
