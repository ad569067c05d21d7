"""The sizes of an action head, by the names that this book uses, with GR00T's beside them."""

from dataclasses import dataclass, fields

from groot_teach.checks import whole_number
from groot_teach.embodiments import as_groups


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The sizes of a head. GR00T's own names are in brackets.

    The DiT is the transformer of the head. The VL self-attention is a smaller transformer, in which the vision-language
    tokens read each other before the DiT reads them.

    Attributes:
        padded_dim: action dims of the batch, padding included [`action_dim`, `max_action_dim`].
        state_dim: state dims, padding included [`max_state_dim`].
        token_width: of the vision-language tokens [`backbone_embedding_dim`].
        width: of state, future and action tokens [`input_embedding_dim`].
        heads: attention heads of the DiT, which share `width`.
        hidden: width between the DiT and the decoders, and inside encoders and decoders [`hidden_size`].
        layers: blocks of the DiT.
        vl_layers: blocks of the VL self-attention; 0 = there is none.
        vl_heads: attention heads of the VL self-attention, which share `token_width`.
        embodiments: how many robots have encoder and decoder weights of their own [`max_num_embodiments`].
        state_history: how many successive states the head is given [`state_history_length`]; 1 in N1.5.
        future_tokens: learned tokens between state and actions [`num_target_vision_tokens`]; only N1.5 has them.
        max_steps: rows in the table of step embeddings [`max_seq_len`]; None = no such table.
        attend_text_every_n_blocks: which tokens the cross-attention blocks of the DiT read. None = all of them. A
            number n = one of these blocks in n reads the text tokens, beginning with the first, and the others read the
            image tokens [the same name, in `AlternateVLDiT`].
        interleave: odd blocks of the DiT are self-attention [`interleave_self_attention`].
        adaptive: the norms in the blocks of the DiT depend on the flow time [`norm_type="ada_norm"`].
        vl_norm: there is a layer norm before the VL self-attention [`use_vlln`].
        decoders: `(group name, dims)` pairs in the order of the dims; each group has a decoder of its own. Together
            they are at most `padded_dim` wide. None = one decoder for all dims.
        dropout, vl_dropout: of the blocks, in training.
        state_dropout: the part of the states that is set to 0 in training [`state_dropout_prob`].
        dropped_state_token: a dropped state becomes a learned token in place of 0 [`mask_token`]; only N1.6 has it.
        final_dropout, vl_final_dropout: attention and feed-forward network of a block each end with one more dropout.

    Raises:
        ValueError: a size that is not a whole number or is out of range, a width that its heads cannot share, or
            decoders that are wider than the actions or share a name.
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
    attend_text_every_n_blocks: int | None = None
    interleave: bool = True
    adaptive: bool = True
    vl_norm: bool = True
    decoders: tuple[tuple[str, int], ...] | None = None
    dropout: float = 0.0
    vl_dropout: float = 0.0
    state_dropout: float = 0.0
    dropped_state_token: bool = False
    final_dropout: bool = False
    vl_final_dropout: bool = False

    def __post_init__(self) -> None:
        may_be_0, may_be_none = ("vl_layers", "future_tokens"), ("max_steps", "attend_text_every_n_blocks")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (int, int | None) and not (value is None and field.name in may_be_none):
                whole_number(field.name, value, least=0 if field.name in may_be_0 else 1)
            if field.type is bool and type(value) is not bool:
                raise ValueError(f"{field.name}: got {value!r}, expected True or False")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width: got {self.width}, expected an even multiple of heads={self.heads}")
        if self.vl_layers and self.token_width % self.vl_heads:
            raise ValueError(f"token_width: got {self.token_width}, expected a multiple of vl_heads={self.vl_heads}")
        if self.attend_text_every_n_blocks is not None and not self.interleave:
            got = self.attend_text_every_n_blocks
            raise ValueError(f"interleave: got False, expected True, because attend_text_every_n_blocks is {got}")
        for name in ("dropout", "vl_dropout", "state_dropout"):
            probability = getattr(self, name)
            if type(probability) not in (int, float) or not 0 <= probability < 1:
                raise ValueError(f"{name}: got {probability!r}, expected a number, at least 0 and less than 1")
        if self.decoders is not None:
            object.__setattr__(self, "decoders", as_groups("decoders", self.decoders))
        names = [name for name, _ in self.groups]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"decoders: got names {names}, expected at least one, each of them once")
        if self.decoded_dim > self.padded_dim:
            raise ValueError(f"decoders: got {self.decoded_dim} dims, expected at most padded_dim={self.padded_dim}")

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """`(group name, dims)` of each decoder."""
        return (("action", self.padded_dim),) if self.decoders is None else self.decoders

    @property
    def decoded_dim(self) -> int:
        """How many dims the head predicts. They are the first ones of the padded dims."""
        return sum(size for _, size in self.groups)
