"""The action head of a GR00T-style policy, with a switch at every stage where a mask belongs.

    vision-language tokens -> norm -> VL self-attention ------------+      vl_self_attention
                                                                    |
    state --------------> state encoder ---+                        v      cross_attention
    noisy actions, t ---> action encoder --+--> sequence --> DiT blocks --> decoder --> velocity
                          encoder_input                    self_attention

    velocity, target -> loss         loss, loss_denominator
    noise -> four Euler steps        sampler

GR00T is NVIDIA's robot policy. Its backbone turns camera images and a prompt into vision-language (VL) tokens; its
action head turns these and the robot's state into actions. The DiT is the transformer of the head (`head.dit`).

The words beside and under the stages are the fields of `Masking` that say whether a stage obeys a mask. With the preset
of a published version the head computes what that version computes, leaks included, from the same weights, which
`groot_teach.head.released` loads. With `STRICT`, padding has no effect on anything.

Three masks say what is real: `dim_mask` and `step_mask` in the actions, `backbone_attention_mask` among the tokens. For
N1.5, LeRobot's batch also holds a `state_mask`. The released head does not read it, so it is not an argument here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor, nn
from torch.nn.functional import pad, relu, silu

from groot_teach.flow import euler_path, interpolate, refill_noise, refill_zero, time_bucket, velocity_target
from groot_teach.head import dit
from groot_teach.head.config import HeadConfig
from groot_teach.loss import loss_divisor, velocity_error_sum
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
        state: `batch, state_history, state_dim`: what the robot measures of itself, such as joint positions; zeros in
            padded dims.
        embodiment_id: `batch`, int64, or int32 as in N1.7: which robot, and so which weights of the encoders and
            decoders are used.
    """

    vl: VLBatch
    state: Float[Tensor, "batch state_history state_dim"]
    embodiment_id: Int64[Tensor, " batch"] | Int32[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class HeadAnswer:
    """What the training loss compares.

    Attributes:
        velocity_pred: `batch, action_horizon, decoded_dim`: the head's prediction.
        velocity_target: of the same shape: what the prediction should be.
        counted: of the same shape, bool, True = the loss sums this entry.
    """

    velocity_pred: Float[Tensor, "batch action_horizon decoded_dim"]
    velocity_target: Float[Tensor, "batch action_horizon decoded_dim"]
    counted: Bool[Tensor, "batch action_horizon decoded_dim"]


@dataclass(frozen=True, eq=False)
class HeadLoss(HeadAnswer):
    """What the training loss compares, and the loss itself."""

    loss: Float[Tensor, ""]


# ------------------------------------------------------------------------------------------- one robot, one weight


class EmbodimentLinear(nn.Module):
    """A linear layer with separate weights for each robot.

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
    """Two linear layers with separate weights for each robot: the state encoder, and each decoder."""

    def __init__(self, embodiments: int, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.first = EmbodimentLinear(embodiments, inputs, hidden)
        self.second = EmbodimentLinear(embodiments, hidden, outputs)

    def forward(self, x: Tensor, embodiment_id: Tensor) -> Tensor:
        return self.second(relu(self.first(x, embodiment_id)), embodiment_id)


class ActionEncoder(nn.Module):
    """Makes one token for each action step, from the numbers of the step and the flow time.

    In its first layer each dim, padded ones included, has an effect on every number of the token.

    Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 75-118.
    """

    def __init__(self, embodiments: int, padded_dim: int, width: int):
        super().__init__()
        self.width = width
        self.first = EmbodimentLinear(embodiments, padded_dim, width)
        self.second = EmbodimentLinear(embodiments, 2 * width, width)
        self.third = EmbodimentLinear(embodiments, width, width)

    def forward(self, noisy_actions: Tensor, bucket: Tensor, embodiment_id: Tensor) -> Tensor:
        encoded = self.first(noisy_actions, embodiment_id)
        half = self.width // 2
        index = torch.arange(half, dtype=torch.float32, device=bucket.device)
        rates = torch.exp(-index * (torch.tensor(10_000.0).log() / half))  # float32 at every step, like upstream
        time = dit.sinusoidal_embedding(bucket, rates).to(encoded.dtype)
        both = torch.cat([encoded, time[:, None].expand_as(encoded)], dim=-1)
        return self.third(silu(self.second(both, embodiment_id)), embodiment_id)


# -------------------------------------------------------------------------------------------------------- the head


class ActionHead(nn.Module):
    """Predicts velocities, computes the training loss, and samples actions.

    Args:
        config: the sizes.
        masking: which stages obey the masks. It holds no weights, so it may be changed at any time.
        generator: the weights are drawn from it.

    Raises:
        TypeError: an argument of another type, such as the name of a version in place of its `Masking`.
        ValueError: `masking` is for heads without VL self-attention, and this head has one.
    """

    @checked
    def __init__(self, config: HeadConfig, masking: Masking, generator: torch.Generator):
        super().__init__()
        self.config = config
        self.masking = masking
        with torch.random.fork_rng(devices=[]):  # PyTorch draws weights of its own, which are replaced
            self._make_parts(config)
        self._draw_weights(generator)

    @property
    def masking(self) -> Masking:
        return self._masking

    @masking.setter
    def masking(self, masking: Masking) -> None:
        if not isinstance(masking, Masking):
            raise TypeError(f"masking: got {masking!r:.60}, expected a Masking, such as groot_teach.masks.STRICT")
        if masking.vl_self_attention == "absent" and self.config.vl_layers:
            raise ValueError(
                f"masking: {masking.name} has no VL self-attention, this head has {self.config.vl_layers} layers, "
                "expected a masking whose vl_self_attention is 'open' or 'closed'"
            )
        self._masking = masking

    # the stages, in their order

    def read_tokens(self, vl: VLBatch) -> Tensor:
        """The norm and the VL self-attention: `batch, key_len, token_width`, tokens that have read each other."""
        tokens, readable = vl.tokens, None
        if self.masking.vl_self_attention == "closed" and self.vl_blocks:
            readable = dit.Readable.where(vl.backbone_attention_mask)
        if self.masking.vl_self_attention != "open" and self.masking.cross_attention == "closed":
            # No later stage reads the padding. It is set to 0, so that NaN in it does not reach a gradient either.
            tokens = torch.where(vl.backbone_attention_mask[..., None], tokens, 0.0)
        tokens = self.vl_norm(tokens)
        for block in self.vl_blocks:
            tokens = block(tokens, readable=readable)
        return tokens

    def remember_tokens(self, tokens: Tensor, vl: VLBatch) -> list[dit.KeyValueCache | None]:
        """Keys and values of the tokens for each block of the DiT, and which of them may be read."""
        real = vl.backbone_attention_mask if self.masking.cross_attention == "closed" else None
        image = None if self.config.attend_text_every_n_blocks is None else vl.cameras
        return self.dit.remember(tokens, real, image)

    def encode_state(self, state: Tensor, embodiment_id: Tensor) -> Tensor:
        """One token (batch, 1, width) for the state.

        In training it is dropped with probability `config.state_dropout`: it becomes 0, or N1.6's learned token. We
        differ: N1.6 drops states in evaluation mode too, whenever it computes its loss.
        """
        token = self.state_encoder(state.flatten(1)[:, None], embodiment_id)
        if self.training and self.config.state_dropout > 0:
            kept = torch.rand(len(token), device=token.device) >= self.config.state_dropout
            instead = torch.zeros_like(token) if self.dropped_state_token is None else self.dropped_state_token
            token = torch.where(kept[:, None, None], token, instead)
        return token

    def encode_actions(
        self, noisy_actions: Tensor, bucket: Tensor, embodiment_id: Tensor, action_mask: Tensor
    ) -> Tensor:
        """One token for each action step: `batch, action_horizon, width`."""
        if self.masking.encoder_input == "closed":
            noisy_actions = refill_zero(noisy_actions, action_mask)
        tokens = self.action_encoder(noisy_actions, bucket, embodiment_id)
        return tokens if self.step_embedding is None else tokens + self.step_embedding[: tokens.shape[1]]

    def denoise(
        self, state: Tensor, actions: Tensor, caches: list[dit.KeyValueCache | None], bucket: Tensor, step_mask: Tensor
    ) -> Tensor:
        """The DiT: one vector for each action token, `batch, action_horizon, hidden`."""
        before = [state]
        if self.future_tokens is not None:
            before.append(self.future_tokens.expand(len(state), -1, -1))
        sequence = torch.cat([*before, actions], dim=1)
        readable = None
        if self.masking.self_attention == "closed":
            readable = dit.Readable.where(pad(step_mask, (sequence.shape[1] - step_mask.shape[1], 0), value=True))
        return self.dit(sequence, caches, bucket, readable, last=actions.shape[1])

    def decode(self, x: Tensor, embodiment_id: Tensor) -> Tensor:
        """Velocities, `batch, action_horizon, decoded_dim`: each group of dims from a decoder of its own."""
        return torch.cat([decoder(x, embodiment_id) for decoder in self.decoders.values()], dim=-1)

    def counted(self, batch: ActionBatch) -> Bool[Tensor, "batch action_horizon decoded_dim"]:
        """Which entries the loss sums, as `masking.loss` says: True = summed."""
        if self.masking.loss == "open":
            counted = torch.ones_like(batch.actions, dtype=torch.bool)
        elif self.masking.loss == "dims":
            counted = action_mask_dims_only(batch.dim_mask, batch.step_mask.shape[1])
        else:
            counted = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
        return counted[..., : self.config.decoded_dim]

    def compare(self, velocity_pred: Tensor, velocity_target: Tensor, counted: Tensor) -> Tensor:
        """The loss: the squared error of the counted entries, divided as `masking.loss_denominator` says."""
        error = velocity_error_sum(velocity_pred, velocity_target, counted)
        count, entries = counted.sum().to(error.dtype), error.new_tensor(counted.numel())
        return error / loss_divisor(self.masking.loss_denominator, count, entries)

    # all stages together

    @checked
    def forward(
        self,
        observation: Observation,
        noisy_actions: Float[Tensor, "batch action_horizon padded_dim"],
        t: Float[Tensor, " batch"],
        dim_mask: Bool[Tensor, "batch padded_dim"],
        step_mask: Bool[Tensor, "batch action_horizon"],
    ) -> Float[Tensor, "batch action_horizon decoded_dim"]:
        """The velocity at `noisy_actions` and flow time `t`. In `dim_mask` and `step_mask`, True = real.

        Raises:
            ValueError: other sizes than those of the config, an `embodiment_id` that the config has no weights for,
                more steps than `max_steps`, or arguments of different dtypes or devices.
        """
        self._fits(observation, noisy_actions)
        vl = observation.vl
        caches = self.remember_tokens(self.read_tokens(vl), vl)
        state = self.encode_state(observation.state, observation.embodiment_id)
        return self._velocity(observation, state, caches, noisy_actions, time_bucket(t), dim_mask, step_mask)

    @checked
    def loss(
        self,
        observation: Observation,
        batch: ActionBatch,
        noise: Float[Tensor, "batch action_horizon padded_dim"],
        t: Float[Tensor, " batch"],
        action_mask: Bool[Tensor, "batch action_horizon padded_dim"] | None = None,
    ) -> HeadLoss:
        """The training loss of one batch.

        Args:
            observation, batch, noise, t: what the head is trained on.
            action_mask: True = the loss sums this entry; any mask, such as one with holes. None = what `masking.loss`
                says. Where the head is closed to padding it still goes by `dim_mask` and `step_mask` of the batch.

        Raises:
            ValueError: as `forward`; a real dim that no decoder predicts; or no entry to count, if the masking divides
                by the number of counted entries.

        Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 266-343; 0.6.1, `groot_n1_7.py` 567-631. We
        differ: `noise` and `t` are arguments, and an empty mask is an error where N1.5 gives NaN.
        """
        answer = self.answer(observation, batch, noise, t)
        pred, target, counted = answer.velocity_pred, answer.velocity_target, answer.counted
        if action_mask is not None:
            decoded = self.config.decoded_dim
            if action_mask[..., decoded:].any():
                raise ValueError(f"action_mask: got True in a dim beyond {decoded}, for which there is no decoder")
            counted = action_mask[..., :decoded]
        return HeadLoss(pred, target, counted, self.compare(pred, target, counted))

    @checked
    def answer(
        self,
        observation: Observation,
        batch: ActionBatch,
        noise: Float[Tensor, "batch action_horizon padded_dim"],
        t: Float[Tensor, " batch"],
    ) -> HeadAnswer:
        """Predictions, targets and counted entries of one batch, from which its loss is computed.

        A batch of nothing but padding is allowed here. It is an error only once the loss divides by a count of 0.

        Raises:
            ValueError: as `forward`, or a real dim that no decoder predicts.
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
        noise: Float[Tensor, "batch action_horizon padded_dim"] | None,
        dim_mask: Bool[Tensor, "batch padded_dim"],
        step_mask: Bool[Tensor, "batch action_horizon"] | None = None,
        steps: int = 4,
        strength: Float[Tensor, "batch action_horizon 1"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "steps_and_1 batch action_horizon padded_dim"]:
        """Samples actions: the path from noise to actions in Euler steps. Its last point, `[-1]`, are the actions.

        The tokens and the state are read once, not at every step. Dims that no decoder predicts have velocity 0.

        Args:
            observation: what the policy sees.
            noise: where the path begins; None = normal numbers from `generator`.
            dim_mask: True = this robot has this dim.
            step_mask: True = this step of the chunk is wanted; None = all steps of `noise`.
            steps: the number of Euler steps.
            strength: what velocities are multiplied by; None = 1. Where it is 0, an action step stays as it is in
                `noise`, which real-time chunking uses (`released.real_time_chunk`).
            generator: draws the noise if there is none. Seeded like PyTorch's own generator on the same device, it
                draws what a released head draws.

        Raises:
            ValueError: as `forward`; `steps` is less than 1; a real dim that no decoder predicts; noise and a
                generator, or neither; or a generator without a `step_mask`, which says how many steps to draw.

        Source: huggingface/lerobot v0.4.4, `flow_matching_action_head.py` 345-398; 0.6.1, `groot_n1_7.py` 645-717.
        """
        if noise is None:
            noise = self._drawn(observation, step_mask, generator)
        elif generator is not None:
            raise ValueError("generator: got one beside noise, expected one of the two")
        self._fits(observation, noise, "noise")
        self._all_decoded(dim_mask)
        if step_mask is None:
            step_mask = torch.ones_like(noise[..., 0], dtype=torch.bool)
        action_mask = action_mask_dims_and_steps(dim_mask, step_mask)
        vl = observation.vl
        caches = self.remember_tokens(self.read_tokens(vl), vl)
        state = self.encode_state(observation.state, observation.embodiment_id)

        def velocity(noisy_actions: Tensor, t: Tensor) -> Tensor:
            bucket = time_bucket((t.double() * steps).round() / steps)  # as exact as upstream's Python numbers
            answer = self._velocity(observation, state, caches, noisy_actions, bucket, dim_mask, step_mask)
            answer = pad(answer, (0, noisy_actions.shape[-1] - answer.shape[-1]))
            return answer if strength is None else answer * strength

        refills: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
            "free": None,
            "zero": lambda noisy_actions, t: refill_zero(noisy_actions, action_mask),
            "renoise": lambda noisy_actions, t: refill_noise(noisy_actions, action_mask, noise, t),
        }
        return euler_path(velocity, noise, steps, refills[self.masking.sampler])

    def _drawn(self, observation: Observation, step_mask: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Noise for a chunk of each sample, in the dtype and on the device of the tokens."""
        if generator is None:
            raise ValueError("noise: got None, expected noise, or a generator that draws it")
        if step_mask is None:
            raise ValueError("step_mask: got None, expected a mask, because its length says how many steps to draw")
        tokens = observation.vl.tokens
        shape = (*step_mask.shape, self.config.padded_dim)
        return torch.randn(shape, generator=generator, dtype=tokens.dtype, device=generator.device).to(tokens.device)

    def _velocity(
        self,
        observation: Observation,
        state: Tensor,
        caches: list[dit.KeyValueCache | None],
        noisy_actions: Tensor,
        bucket: Tensor,
        dim_mask: Tensor,
        step_mask: Tensor,
    ) -> Tensor:
        action_mask = action_mask_dims_and_steps(dim_mask, step_mask)
        actions = self.encode_actions(noisy_actions, bucket, observation.embodiment_id, action_mask)
        answers = self.denoise(state, actions, caches, bucket, step_mask)
        return self.decode(answers, observation.embodiment_id)

    # checks of arguments, and the first weights

    def _fits(self, observation: Observation, noisy_actions: Tensor, name: str = "noisy_actions") -> None:
        c, vl, state = self.config, observation.vl, observation.state
        given = {"weights": self.dit.out.weight, name: noisy_actions, "tokens": vl.tokens, "state": state}
        expect_same("dtype", **given)
        expect_same("device", **given)
        batches = {name: len(noisy_actions), "tokens": len(vl.tokens), "state": len(state)}
        if len(set(batches.values())) > 1:
            raise ValueError(f"{', '.join(batches)}: got {[*batches.values()]} samples, expected the same number")
        for place, got, expected in (
            (f"{name}, dims", noisy_actions.shape[2], c.padded_dim),
            ("tokens, width", vl.tokens.shape[2], c.token_width),
            ("state, history", state.shape[1], c.state_history),
            ("state, dims", state.shape[2], c.state_dim),
        ):
            if got != expected:
                raise ValueError(f"{place}: got {got}, expected {expected}, as the config says")
        if not noisy_actions.shape[1]:
            raise ValueError(f"{name}: got 0 steps, expected at least 1, as long as step_mask")
        if c.max_steps is not None and noisy_actions.shape[1] > c.max_steps:
            raise ValueError(f"{name}: got {noisy_actions.shape[1]} steps, expected at most max_steps={c.max_steps}")
        known = (observation.embodiment_id >= 0) & (observation.embodiment_id < c.embodiments)
        if not known.all():
            got = observation.embodiment_id[~known][0].item()
            raise ValueError(f"embodiment_id: got {got}, expected 0 to {c.embodiments - 1}, as the config says")

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
        self.dropped_state_token = nn.Parameter(torch.zeros(1, 1, c.width)) if c.dropped_state_token else None
        self.vl_norm = nn.LayerNorm(c.token_width) if c.vl_norm else nn.Identity()
        self.vl_blocks = nn.ModuleList(
            dit.Block(
                c.token_width,
                c.vl_heads,
                context_width=None,
                adaptive=False,
                affine=True,
                dropout=c.vl_dropout,
                final_dropout=c.vl_final_dropout,
            )
            for _ in range(c.vl_layers)
        )
        self.dit = dit.DiT(
            c.width,
            c.token_width,
            c.hidden,
            heads=c.heads,
            layers=c.layers,
            interleave=c.interleave,
            attend_text_every_n_blocks=c.attend_text_every_n_blocks,
            adaptive=c.adaptive,
            dropout=c.dropout,
            final_dropout=c.final_dropout,
        )
        self.decoders = nn.ModuleDict(
            {name: EmbodimentMLP(c.embodiments, c.hidden, c.hidden, size) for name, size in c.groups}
        )

    @torch.no_grad()
    def _draw_weights(self, generator: torch.Generator) -> None:
        """Linear layers as in PyTorch: uniform, at most `1 / sqrt(inputs)`. Learned tokens: normal, with std 0.02.

        We differ: upstream draws the layers of the embodiments with std 0.02 too. With weights that small, the effects
        of padding would hardly be visible.
        """
        for part in self.modules():
            if isinstance(part, (nn.Linear, EmbodimentLinear)):
                inputs = part.weight.shape[-1] if isinstance(part, nn.Linear) else part.weight.shape[1]
                for weight in (part.weight, part.bias):
                    weight.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
        for table in (self.future_tokens, self.step_embedding, self.dropped_state_token):
            if table is not None:
                table.normal_(std=0.02, generator=generator)
