"""The action head of a GR00T-style policy, with a switch at every stage where a mask belongs.

    vision-language tokens -> norm -> VL self-attention ------------+      vl_self_attention
                                                                    |
    state --------------> state encoder ---+                        v      cross_attention
    noisy actions, t ---> action encoder --+--> sequence --> DiT blocks --> decoder --> velocity
                          encoder_input                    self_attention

    velocity, target -> loss         loss, loss_denominator
    noise -> four Euler steps        sampler

The words under the stages are fields of `Masking`. With the preset of a published version the head computes what that
version computes, leaks included, from the same weights (`groot_teach.head.released` brings them in); with `STRICT`
padding reaches nothing.

Three masks come in and each is asked at its own stages: `dim_mask` and `step_mask` say what is real in the actions,
`backbone_attention_mask` which tokens are. There is a fourth in LeRobot's batch, `state_mask`, which no stage of any
GR00T reads; here there is no argument for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import pad, relu, silu

from groot_teach.flow import euler_path, interpolate, refill_noise, refill_zero, time_bucket, velocity_target
from groot_teach.head import dit
from groot_teach.head.config import HeadConfig
from groot_teach.loss import masked_velocity_loss, velocity_error_sum
from groot_teach.masks import Masking
from groot_teach.padding import ActionBatch, VLBatch, action_mask_dims_and_steps, action_mask_dims_only
from groot_teach.shapes import checked, expect_same

# --------------------------------------------------------------------------------------------------------- records


@checked
@dataclass(frozen=True, eq=False)
class Observation:
    """What a policy sees before it acts.

    Attributes:
        vl: vision-language tokens, as the backbone gives them.
        state: `batch, state_history, state_dim`: joint positions and the like; zeros in padded dims.
        embodiment_id: `batch`, int64: which robot; it picks the weights of encoders and decoders.
    """

    vl: VLBatch
    state: Float[Tensor, "batch state_history state_dim"]
    embodiment_id: Int64[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class HeadAnswer:
    """What a head answers in training, before anybody makes one number of it.

    Attributes:
        velocity_pred: `batch, action_horizon, decoded_dim`: the head's answer.
        velocity_target: the same: what it should have been.
        counted: the same, bool, True = the loss sums this entry.
    """

    velocity_pred: Float[Tensor, "batch action_horizon decoded_dim"]
    velocity_target: Float[Tensor, "batch action_horizon decoded_dim"]
    counted: Bool[Tensor, "batch action_horizon decoded_dim"]


@dataclass(frozen=True, eq=False)
class HeadLoss(HeadAnswer):
    """The same, and the number to train on: `loss`."""

    loss: Float[Tensor, ""]


# ------------------------------------------------------------------------------------------- one robot, one weight


class EmbodimentLinear(nn.Module):
    """A linear layer with weights of its own for each robot.

    Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 46-58 (`CategorySpecificLinear`).
    """

    def __init__(self, embodiments: int, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(embodiments, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(embodiments, outputs))

    def forward(self, x: Tensor, embodiment_id: Tensor) -> Tensor:
        weight, bias = self.weight.index_select(0, embodiment_id), self.bias.index_select(0, embodiment_id)
        return torch.baddbmm(bias[:, None], x, weight)


class EmbodimentMLP(nn.Module):
    """Two such layers: the state encoder, and each decoder."""

    def __init__(self, embodiments: int, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.first = EmbodimentLinear(embodiments, inputs, hidden)
        self.second = EmbodimentLinear(embodiments, hidden, outputs)

    def forward(self, x: Tensor, embodiment_id: Tensor) -> Tensor:
        return self.second(relu(self.first(x, embodiment_id)), embodiment_id)


class ActionEncoder(nn.Module):
    """One token for each action step, out of its numbers and the flow time.

    The first layer is dense: each padded dim reaches every number of the token.

    Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 75-118.
    """

    def __init__(self, embodiments: int, padded_dim: int, width: int):
        super().__init__()
        self.width = width
        self.first = EmbodimentLinear(embodiments, padded_dim, width)
        self.second = EmbodimentLinear(embodiments, 2 * width, width)
        self.third = EmbodimentLinear(embodiments, width, width)

    def forward(self, noisy_actions: Tensor, bucket: Tensor, embodiment_id: Tensor) -> Tensor:
        seen = self.first(noisy_actions, embodiment_id)
        half = self.width // 2
        index = torch.arange(half, dtype=torch.float32, device=bucket.device)
        rates = torch.exp(-index * (torch.tensor(10_000.0).log() / half))  # float32 at every step, like upstream
        time = dit.waves(bucket, rates).to(seen.dtype)
        both = torch.cat([seen, time[:, None].expand_as(seen)], dim=-1)
        return self.third(silu(self.second(both, embodiment_id)), embodiment_id)


# -------------------------------------------------------------------------------------------------------- the head


class ActionHead(nn.Module):
    """Predicts velocities, gives the training loss, and samples actions; `masking` says which stages obey the masks.

    `masking` may be changed at any time: it holds no weights. Weights are drawn from `generator`.

    Raises:
        ValueError: `masking` says that there is no VL self-attention, and there is one.
    """

    def __init__(self, config: HeadConfig, masking: Masking, generator: torch.Generator):
        super().__init__()
        self.config = config
        self.masking = masking
        with torch.random.fork_rng(devices=[]):  # PyTorch draws first weights of its own; they are drawn over
            self._make_parts(config)
        self._draw_weights(generator)

    @property
    def masking(self) -> Masking:
        return self._masking

    @masking.setter
    def masking(self, masking: Masking) -> None:
        if masking.vl_self_attention == "absent" and self.config.vl_layers:
            raise ValueError(
                f"masking: {masking.name} has no VL self-attention, this head has {self.config.vl_layers} layers, "
                "expected 'open' or 'closed'"
            )
        self._masking = masking

    # the stages, in their order

    def read_tokens(self, vl: VLBatch) -> Tensor:
        """The norm and the VL self-attention: tokens (batch, key_len, token_width) that have read each other."""
        tokens, readable = vl.tokens, None
        if self.masking.vl_self_attention == "closed" and self.vl_blocks:
            readable = dit.Readable.where(vl.backbone_attention_mask)
        if self.masking.vl_self_attention != "open" and self.masking.cross_attention == "closed":
            # Nobody will ever read the padding: set to 0, NaN in it does not even reach a gradient.
            tokens = torch.where(vl.backbone_attention_mask[..., None], tokens, 0.0)
        tokens = self.vl_norm(tokens)
        for block in self.vl_blocks:
            tokens = block(tokens, None, readable, None)
        return tokens

    def remember_tokens(self, tokens: Tensor, vl: VLBatch) -> list[dit.Memory | None]:
        """Keys and values for each block of the DiT, and which of them its queries may read."""
        real = vl.backbone_attention_mask if self.masking.cross_attention == "closed" else None
        return self.dit.remember(tokens, real, vl.image_mask)

    def encode_state(self, state: Tensor, embodiment_id: Tensor) -> Tensor:
        """One token (batch, 1, width) for the state. In training some states are dropped, if the config says so."""
        token = self.state_encoder(state.flatten(1)[:, None], embodiment_id)
        if self.training and self.config.state_dropout > 0:
            kept = torch.rand(len(token), device=token.device) >= self.config.state_dropout
            token = token * kept[:, None, None].to(token.dtype)
        return token

    def encode_actions(
        self, noisy_actions: Tensor, bucket: Tensor, embodiment_id: Tensor, action_mask: Tensor
    ) -> Tensor:
        """One token (batch, action_horizon, width) for each step."""
        if self.masking.encoder_input == "closed":
            noisy_actions = refill_zero(noisy_actions, action_mask)
        tokens = self.action_encoder(noisy_actions, bucket, embodiment_id)
        return tokens if self.step_embedding is None else tokens + self.step_embedding[: tokens.shape[1]]

    def denoise(
        self, state: Tensor, actions: Tensor, memories: list[dit.Memory | None], bucket: Tensor, step_mask: Tensor
    ) -> Tensor:
        """The DiT: one vector (batch, action_horizon, hidden) for each action token."""
        before = [state]
        if self.future_tokens is not None:
            before.append(self.future_tokens.expand(len(state), -1, -1))
        sequence = torch.cat([*before, actions], dim=1)
        readable = None
        if self.masking.self_attention == "closed":
            readable = dit.Readable.where(pad(step_mask, (sequence.shape[1] - step_mask.shape[1], 0), value=True))
        return self.dit(sequence, memories, bucket, readable, last=actions.shape[1])

    def decode(self, x: Tensor, embodiment_id: Tensor) -> Tensor:
        """Velocities (batch, action_horizon, decoded_dim), group by group."""
        return torch.cat([decoder(x, embodiment_id) for decoder in self.decoders.values()], dim=-1)

    def counted(self, batch: ActionBatch) -> Bool[Tensor, "batch action_horizon decoded_dim"]:
        """Which entries the loss sums, by `masking.loss`: True = summed."""
        if self.masking.loss == "open":
            counted = torch.ones_like(batch.actions, dtype=torch.bool)
        elif self.masking.loss == "dims":
            counted = action_mask_dims_only(batch.dim_mask, batch.step_mask.shape[1])
        else:
            counted = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
        return counted[..., : self.config.decoded_dim]

    def compare(self, velocity_pred: Tensor, velocity_target: Tensor, counted: Tensor) -> Tensor:
        """The loss: the squared error of what is counted, divided by what `masking.loss_denominator` says."""
        if self.masking.loss_denominator == "valid":
            return masked_velocity_loss(velocity_pred, velocity_target, counted)
        error = velocity_error_sum(velocity_pred, velocity_target, counted)
        if self.masking.loss_denominator == "valid_plus_eps":
            return error / (counted.sum().to(error.dtype) + 1e-6)
        return error / counted.numel()

    def divisor(self, count: Tensor, entries: Tensor) -> Tensor:
        """What `compare` divides by, for a batch in pieces: `count` entries that are summed, among `entries` in all.

        Raises:
            ValueError: nothing is counted, unless the masking divides by all entries or by the count + 1e-6.
        """
        if self.masking.loss_denominator == "all":
            return entries
        if self.masking.loss_denominator == "valid_plus_eps":
            return count + 1e-6
        if count == 0:
            raise ValueError("count: got no real entry, expected at least one; a mean over nothing is not a number")
        return count

    # all of them together

    @checked
    def forward(
        self,
        observation: Observation,
        noisy_actions: Float[Tensor, "batch action_horizon padded_dim"],
        t: Float[Tensor, " batch"],
        dim_mask: Bool[Tensor, "batch padded_dim"],
        step_mask: Bool[Tensor, "batch action_horizon"],
    ) -> Float[Tensor, "batch action_horizon decoded_dim"]:
        """The velocity at one point of the line. `dim_mask` and `step_mask`: True = real.

        Raises:
            ValueError: sizes that are not the config's, an `embodiment_id` without weights, more steps than
                `max_steps`, or arguments of different dtypes or devices.
        """
        self._fits(observation, noisy_actions)
        vl = observation.vl
        memories = self.remember_tokens(self.read_tokens(vl), vl)
        state = self.encode_state(observation.state, observation.embodiment_id)
        return self._velocity(observation, state, memories, noisy_actions, time_bucket(t), dim_mask, step_mask)

    @checked
    def loss(
        self,
        observation: Observation,
        batch: ActionBatch,
        noise: Float[Tensor, "batch action_horizon padded_dim"],
        t: Float[Tensor, " batch"],
    ) -> HeadLoss:
        """The training loss of one batch.

        Raises:
            ValueError: as `forward`; a real dim that no decoder answers for; or no entry to count, unless the masking
                divides by the count + 1e-6.

        Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 266-343; 0.6.1, `groot_n1_7.py` 567-631. We
        differ: `noise` and `t` are arguments, and an empty mask is an error where N1.5 gives NaN.
        """
        answer = self.answer(observation, batch, noise, t)
        pred, target, counted = answer.velocity_pred, answer.velocity_target, answer.counted
        return HeadLoss(pred, target, counted, self.compare(pred, target, counted))

    @checked
    def answer(
        self,
        observation: Observation,
        batch: ActionBatch,
        noise: Float[Tensor, "batch action_horizon padded_dim"],
        t: Float[Tensor, " batch"],
    ) -> HeadAnswer:
        """What the loss compares, and what it counts. Nothing need be real: who divides has to look at that.

        Raises:
            ValueError: as `forward`, or a real dim that no decoder answers for.
        """
        noisy_actions = interpolate(batch.actions, noise, t)
        pred = self(observation, noisy_actions, t, batch.dim_mask, batch.step_mask)
        self._all_decoded(batch.dim_mask)
        target = velocity_target(batch.actions, noise)[..., : self.config.decoded_dim]
        return HeadAnswer(pred, target, self.counted(batch))

    @checked
    @torch.no_grad()
    def sample(
        self,
        observation: Observation,
        noise: Float[Tensor, "batch action_horizon padded_dim"],
        dim_mask: Bool[Tensor, "batch padded_dim"],
        step_mask: Bool[Tensor, "batch action_horizon"] | None = None,
        steps: int = 4,
        strength: Float[Tensor, "batch action_horizon 1"] | None = None,
    ) -> Float[Tensor, "steps_and_1 batch action_horizon padded_dim"]:
        """Walks from noise to actions, and keeps every point: `[-1]` are the actions.

        The tokens and the state are read once, not once a step. Dims that no decoder answers for have velocity 0.

        Args:
            observation: what the policy sees.
            noise: where to start.
            dim_mask: True = this robot has this dim.
            step_mask: True = this robot wants this step; None = all of them.
            steps: how many Euler steps.
            strength: what velocities are multiplied by, 1 if None; 0 holds a step where it starts, as real-time
                chunking does (`upstream.real_time_chunk`).

        Raises:
            ValueError: as `forward`; `steps` is less than 1; or a real dim that no decoder answers for.

        Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 345-398; 0.6.1, `groot_n1_7.py` 645-717.
        """
        self._fits(observation, noise)
        self._all_decoded(dim_mask)
        if step_mask is None:
            step_mask = torch.ones_like(noise[..., 0], dtype=torch.bool)
        action_mask = action_mask_dims_and_steps(dim_mask, step_mask)
        vl = observation.vl
        memories = self.remember_tokens(self.read_tokens(vl), vl)
        state = self.encode_state(observation.state, observation.embodiment_id)

        def velocity(noisy_actions: Tensor, t: Tensor) -> Tensor:
            bucket = time_bucket((t.double() * steps).round() / steps)  # as exact as upstream's Python numbers
            answer = self._velocity(observation, state, memories, noisy_actions, bucket, dim_mask, step_mask)
            answer = pad(answer, (0, noisy_actions.shape[-1] - answer.shape[-1]))
            return answer if strength is None else answer * strength

        refills: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
            "free": None,
            "zero": lambda noisy_actions, t: refill_zero(noisy_actions, action_mask),
            "renoise": lambda noisy_actions, t: refill_noise(noisy_actions, action_mask, noise, t),
        }
        return euler_path(velocity, noise, steps, refills[self.masking.sampler])

    def _velocity(
        self,
        observation: Observation,
        state: Tensor,
        memories: list[dit.Memory | None],
        noisy_actions: Tensor,
        bucket: Tensor,
        dim_mask: Tensor,
        step_mask: Tensor,
    ) -> Tensor:
        action_mask = dim_mask[:, None, :] & step_mask[:, :, None]
        actions = self.encode_actions(noisy_actions, bucket, observation.embodiment_id, action_mask)
        answers = self.denoise(state, actions, memories, bucket, step_mask)
        return self.decode(answers, observation.embodiment_id)

    # what is checked, and how it begins

    def _fits(self, observation: Observation, noisy_actions: Tensor) -> None:
        c, vl, state = self.config, observation.vl, observation.state
        expect_same("dtype", weights=self.dit.out.weight, noisy_actions=noisy_actions, tokens=vl.tokens, state=state)
        expect_same("device", weights=self.dit.out.weight, noisy_actions=noisy_actions, tokens=vl.tokens, state=state)
        batches = {"noisy_actions": len(noisy_actions), "tokens": len(vl.tokens), "state": len(state)}
        if len(set(batches.values())) > 1:
            raise ValueError(f"{', '.join(batches)}: got {[*batches.values()]} samples, expected the same number")
        for name, got, expected in (
            ("noisy_actions, dims", noisy_actions.shape[2], c.padded_dim),
            ("tokens, width", vl.tokens.shape[2], c.token_width),
            ("state, history", state.shape[1], c.state_history),
            ("state, dims", state.shape[2], c.state_dim),
        ):
            if got != expected:
                raise ValueError(f"{name}: got {got}, expected {expected}, as the config says")
        if c.max_steps is not None and noisy_actions.shape[1] > c.max_steps:
            raise ValueError(f"noisy_actions: got {noisy_actions.shape[1]} steps, expected at most {c.max_steps}")
        known = (observation.embodiment_id >= 0) & (observation.embodiment_id < c.embodiments)
        if not known.all():
            got = observation.embodiment_id[~known][0].item()
            raise ValueError(f"embodiment_id: got {got}, expected 0 to {c.embodiments - 1}")

    def _all_decoded(self, dim_mask: Tensor) -> None:
        lost = dim_mask[:, self.config.decoded_dim :].any(dim=0).nonzero().flatten()
        if len(lost):
            raise ValueError(
                f"dim_mask: got real dim {self.config.decoded_dim + lost[0].item()}, expected real dims only among the "
                f"first {self.config.decoded_dim}, for which there are decoders"
            )

    def _make_parts(self, c: HeadConfig) -> None:
        self.state_encoder = EmbodimentMLP(c.embodiments, c.state_dim * c.state_history, c.hidden, c.width)
        self.action_encoder = ActionEncoder(c.embodiments, c.padded_dim, c.width)
        self.future_tokens = nn.Parameter(torch.zeros(c.future_tokens, c.width)) if c.future_tokens else None
        self.step_embedding = None if c.max_steps is None else nn.Parameter(torch.zeros(c.max_steps, c.width))
        self.vl_norm = nn.LayerNorm(c.token_width) if c.vl_norm else nn.Identity()
        self.vl_blocks = nn.ModuleList(
            dit.Block(c.token_width, c.vl_heads, None, False, True, c.vl_dropout, c.vl_final_dropout)
            for _ in range(c.vl_layers)
        )
        self.dit = dit.DiT(
            c.width,
            c.token_width,
            c.hidden,
            heads=c.heads,
            layers=c.layers,
            interleave=c.interleave,
            turns=c.turns,
            adaptive=c.adaptive,
            dropout=c.dropout,
            final_dropout=c.final_dropout,
        )
        self.decoders = nn.ModuleDict(
            {name: EmbodimentMLP(c.embodiments, c.hidden, c.hidden, size) for name, size in c.groups}
        )

    @torch.no_grad()
    def _draw_weights(self, generator: torch.Generator) -> None:
        """Like PyTorch's own linear layers, `1 / sqrt(inputs)` at most, and 0.02 for learned tokens.

        We differ: upstream begins with 0.02 in the embodiments' layers as well, where padding hardly shows.
        """
        for part in self.modules():
            if isinstance(part, (nn.Linear, EmbodimentLinear)):
                inputs = part.weight.shape[-1] if isinstance(part, nn.Linear) else part.weight.shape[1]
                for weight in (part.weight, part.bias):
                    weight.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
        for table in (self.future_tokens, self.step_embedding):
            if table is not None:
                table.normal_(std=0.02, generator=generator)
