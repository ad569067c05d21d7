"""The sizes of an action head, by the names that this book uses, with GR00T's beside them."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The sizes of a head. GR00T's word stands in brackets.

    Attributes:
        padded_dim: action dims of the batch, padding included [`action_dim`, `max_action_dim`].
        state_dim: state dims, padding included [`max_state_dim`].
        state_history: how many states are given [`state_history_length`]; N1.5 knows one.
        token_width: of the vision-language tokens [`backbone_embedding_dim`].
        width: of state, future and action tokens [`input_embedding_dim`].
        heads: attention heads of the DiT; they share `width`.
        hidden: between the DiT and the decoder, and inside encoders and decoders [`hidden_size`].
        layers: blocks of the DiT.
        vl_layers: blocks of the VL self-attention; 0 = there is none.
        vl_heads: its heads; they share `token_width`.
        embodiments: how many robots have weights of their own [`max_num_embodiments`].
        future_tokens: learned tokens between state and actions [`num_target_vision_tokens`]; N1.5 has them.
        max_steps: rows of the table of step embeddings [`max_seq_len`]; None = no such table.
        turns: None = every reading block reads all tokens. A number n = the first of every n reads text, the others
            images [`attend_text_every_n_blocks` of `AlternateVLDiT`].
        interleave: odd blocks of the DiT are self-attention [`interleave_self_attention`].
        adaptive: the norms of the DiT's blocks are told the flow time [`norm_type="ada_norm"`].
        vl_norm: a layer norm stands before the VL self-attention [`use_vlln`].
        decoders: `(group name, dims)` pairs, each with a decoder of its own, in the order of the dims; together at most
            `padded_dim` wide. None = one decoder for all dims.
        dropout, vl_dropout: of the blocks, in training.
        state_dropout: which part of the states is set to 0 in training [`state_dropout_prob`].
        final_dropout, vl_final_dropout: one more dropout behind both parts of a block.

    Raises:
        ValueError: a size that is no whole number or out of range, widths that heads cannot share, decoders that are
            wider than the actions or share a name.
    """

    padded_dim: int
    state_dim: int
    token_width: int
    width: int
    heads: int
    hidden: int
    layers: int
    vl_layers: int
    vl_heads: int
    embodiments: int
    state_history: int = 1
    future_tokens: int = 0
    max_steps: int | None = 1024
    turns: int | None = None
    interleave: bool = True
    adaptive: bool = True
    vl_norm: bool = True
    decoders: tuple[tuple[str, int], ...] | None = None
    dropout: float = 0.0
    vl_dropout: float = 0.0
    state_dropout: float = 0.0
    final_dropout: bool = False
    vl_final_dropout: bool = False

    def __post_init__(self) -> None:
        may_be_0, may_be_none = ("vl_layers", "future_tokens"), ("max_steps", "turns")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (int, int | None) and not (value is None and field.name in may_be_none):
                _whole(field.name, value, least=0 if field.name in may_be_0 else 1)
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width: got {self.width}, expected an even multiple of heads={self.heads}")
        if self.vl_layers and self.token_width % self.vl_heads:
            raise ValueError(f"token_width: got {self.token_width}, expected a multiple of vl_heads={self.vl_heads}")
        if self.turns is not None and not self.interleave:
            raise ValueError("turns: got blocks that take turns without interleave, expected interleave=True")
        for name in ("dropout", "vl_dropout", "state_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least 0 and less than 1")
        names = [name for name, _ in self.groups]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"decoders: got names {names}, expected at least one, each of them once")
        for name, size in self.groups:
            _whole(f"decoders, {name!r}", size, least=1)
        if self.decoded_dim > self.padded_dim:
            raise ValueError(f"decoders: got {self.decoded_dim} dims, expected at most padded_dim={self.padded_dim}")

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        return (("action", self.padded_dim),) if self.decoders is None else self.decoders

    @property
    def decoded_dim(self) -> int:
        """How many dims the head answers for: the first ones."""
        return sum(size for _, size in self.groups)


def _whole(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name}: got {value!r}, expected a whole number, {least} or more")
