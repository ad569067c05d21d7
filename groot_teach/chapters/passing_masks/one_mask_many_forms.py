"""One mask in many forms: paint what may be read, choose the form in which PyTorch is told, and see what it reads.

`one_mask_many_forms` is what the picture computes, by PyTorch's own attention. `one_mask_many_forms.js` has a function
of the same name, which the page uses.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from groot_teach.attention import cross_attention
from groot_teach.shapes import checked
from groot_teach.show.live import LivePicture
from groot_teach.show.markup import Cell, chips, fixed, line, percent, tries

WORDS = ("pick", "red", "cup", "pad", "pad")
SCORE = (0.7, 0.2, 1.1, 1.3, 0.9)
"""How well the query fits each word; what e to this power is a part of is the attention."""
VALUE = (10.0, 20.0, 30.0, 60.0, 60.0)
"""What is read from each word."""


def _added(number: float) -> Callable[[Tensor], Tensor]:
    return lambda may_read: torch.zeros_like(may_read, dtype=torch.float64).masked_fill(~may_read, number)


FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "True = read": lambda may_read: may_read,
    "True = hide": lambda may_read: ~may_read,
    "1.0 and 0.0": lambda may_read: may_read.double(),
    "1 and 0, integers": lambda may_read: may_read.long(),
    "0 and −inf": _added(-torch.inf),
    "0 and −10000": _added(-1e4),
    "0 and finfo.min": _added(torch.finfo(torch.float64).min),
}
"""The forms in which a mask is written down, each made from a mask whose True means "may be read"."""


def _by_function(score: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    key = score[None, :, None]
    reads = torch.cat([value[:, None], torch.eye(len(value)).to(value)], dim=1)  # reading an identity gives the weights
    output = scaled_dot_product_attention(torch.ones_like(key[:, :1]), key, reads[None], mask[None, None])[0, 0]
    return output[1:], output[0]


def _by_module(score: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    key = score[None, :, None]
    with torch.no_grad():
        output, weights = _module()(torch.ones_like(key[:, :1]), key, value[None, :, None], mask[None])
    return weights[0, 0], output[0, 0, 0]


@cache
def _module() -> torch.nn.MultiheadAttention:
    """A module of width 1 whose weights are all 1, so that scores and values go through it as they are."""
    settings = {"bias": False, "batch_first": True, "dtype": torch.float64}
    module = torch.nn.MultiheadAttention(1, 1, device="meta", **settings).to_empty(device="cpu")  # draws no numbers
    for parameter in module.parameters():
        torch.nn.init.ones_(parameter)
    return module


PASSED_TO: dict[str, Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "scaled_dot_product_attention": _by_function,
    "MultiheadAttention": _by_module,
}
"""What takes the mask: the function as its `attn_mask`, the module as its `key_padding_mask`. Each gives the weights
and what is read with them."""


class Answer(NamedTuple):
    """What PyTorch reads with a mask, beside what should be read. Any number can be NaN.

    Attributes:
        mask: what is passed for each token.
        weights: the share of the attention that each token gets. None where PyTorch refuses the mask.
        on_hidden: the share that goes to tokens that may not be read.
        answer: the weighted mean of the values.
        right_weights: the weights of the library's `cross_attention`, or None where nothing may be read, which is an
            error there.
        right: its answer.
    """

    mask: list[bool | int | float]
    weights: list[float] | None
    on_hidden: float | None
    answer: float | None
    right_weights: list[float] | None
    right: float | None


@checked(same="dtype device")
def one_mask_many_forms(
    score: Float64[Tensor, " token"],
    value: Float64[Tensor, " token"],
    may_read: Bool[Tensor, " token"],
    form: str,
    passed_to: str,
) -> Answer:
    """What one query reads when it is told what to hide in one form.

    Args:
        score: how well the query fits each token, its attention score.
        value: what is read from each token.
        may_read: True = the query may read the token.
        form: how this is written down, one of `FORMS`.
        passed_to: what takes it, one of `PASSED_TO`.

    Raises:
        ValueError: another `form` or `passed_to`.
    """
    for name, got, known in (("form", form, FORMS), ("passed_to", passed_to, PASSED_TO)):
        if got not in known:
            raise ValueError(f"{name}: got {got!r}, expected one of {'; '.join(known)}")
    mask = FORMS[form](may_read)
    weights, answer = (None, None) if refusal(mask, passed_to) else PASSED_TO[passed_to](score, value, mask)
    right = None
    if may_read.any():
        query = torch.ones(1, 1, dtype=torch.float64)
        right = cross_attention(query, score[:, None], value[:, None], may_read[None])
    return Answer(
        mask=mask.tolist(),
        weights=None if weights is None else weights.tolist(),
        on_hidden=None if weights is None else weights[~may_read].sum().item(),
        answer=None if answer is None else answer.item(),
        right_weights=None if right is None else right.weights[0].tolist(),
        right=None if right is None else right.output.item(),
    )


def refusal(mask: Tensor, passed_to: str) -> str | None:
    """PyTorch's own message where it takes no mask of this dtype, and None where it takes it."""
    ones = torch.ones(len(mask), dtype=torch.float64)
    try:
        PASSED_TO[passed_to](ones, ones, mask)
    except (RuntimeError, AssertionError) as error:
        return str(error)
    return None


def one_mask_many_forms_picture() -> LivePicture:
    """The live picture of how PyTorch is told what to hide. It opens with a float mask, which hides nothing."""
    state = {"painted": "11100", "form": "1.0 and 0.0", "passed_to": "scaled_dot_product_attention"}
    answer = _compute(state)
    integers = FORMS["1 and 0, integers"](_painted(state["painted"]))
    return LivePicture(
        Path(__file__).with_name("one_mask_many_forms.js"),
        title="Tell PyTorch what to hide",
        caption="Click a word to hide it, then write the mask in another form: some forms hide nothing.",
        body=_body(state, answer),
        said=f"{percent(answer.on_hidden or 0)} of the attention goes to hidden words. The answer is "
        f"{fixed(answer.answer or 0, 1)} and should be {fixed(answer.right or 0, 1)}. {VERDICT}",
        state=state,
        constants={
            "words": [*WORDS],
            "score": [*SCORE],
            "value": [*VALUE],
            "refusals": {passed_to: refusal(integers, passed_to) for passed_to in PASSED_TO},
            "release": f"torch {'.'.join(torch.__version__.split('.')[:2])} on a CPU",
        },
        compute=_compute,
    )


VERDICT = (
    "PyTorch adds a float mask to the scores. A word that should be hidden gets 0 more and not minus infinity, so it "
    "is read, and no error says so."
)


def _compute(state: dict) -> Answer:
    score, value = (torch.tensor(numbers, dtype=torch.float64) for numbers in (SCORE, VALUE))
    return one_mask_many_forms(score, value, _painted(state["painted"]), state["form"], state["passed_to"])


def _painted(painted: str) -> Tensor:
    if len(painted) != len(WORDS) or {*painted} - {*"01"}:
        raise ValueError(f"painted: got {painted!r}, expected {len(WORDS)} digits, 1 = may be read and 0 = hidden")
    return torch.tensor([bit == "1" for bit in painted])


def _body(state: dict, answer: Answer) -> str:
    """The opening state, a float mask that is added to the scores."""
    may_read = _painted(state["painted"]).tolist()
    weights, right = answer.weights or [], answer.right_weights or []
    scale = max(*weights, *right)
    wished = ["may be read" if is_read else "to be hidden" for is_read in may_read]
    labels = [
        f"{word}, {wish}, {percent(weight)} of the attention"
        for word, wish, weight in zip(WORDS, wished, weights, strict=True)
    ]
    kinds = ["real" if is_read else "leak" for is_read in may_read]
    words = [
        Cell(kind, f"{word}: {fixed(value, 0)}", "0.30") for kind, word, value in zip(kinds, WORDS, VALUE, strict=True)
    ]
    written = [Cell("plain", fixed(number, 1), "1") for number in answer.mask]
    bars = "".join(
        f'<span class="reach"><span class="share wrong">{percent(weight)}</span>'
        f'<span class="column"><i class="{kind}" style="height: {_part(weight / scale)};"></i>'
        f'<b class="tick" style="bottom: {_part(should / scale)};"></b></span></span>'
        for kind, weight, should in zip(kinds, weights, right, strict=True)
    )
    should = [Cell("bare", percent(weight), "1") for weight in right]

    def plain(label: str, row: list[Cell]) -> str:
        return line(f"{label}: {', '.join(cell.text for cell in row)}", row)

    lines = {
        "words": ("words", "and values", line("words: space hides one or shows it", words, labels, may_read)),
        "mask": ("mask", "float64, added", plain("mask", written)),
        "weights": ("attention", "", f'<div class="cells" aria-hidden="true">{bars}</div>'),
        "should": ("should be", "", plain("should be", should)),
    }
    drawn = "\n".join(
        f'<p class="line-name"><strong>{label}</strong> <span>{hint}</span></p><div data-line="{name}">{row}</div>'
        for name, (label, hint, row) in lines.items()
    )
    return f"""<div class="live-controls">
{chips("passed_to", "passed to", [*PASSED_TO], state["passed_to"])}
{chips("form", "written as", [*FORMS], state["form"])}
</div>
<div class="sheet lines forms" style="--columns: {len(WORDS)};">
{drawn}
</div>
<div class="results">
<p>on hidden words <strong class="on-hidden big wrong">{percent(answer.on_hidden or 0)}</strong>
<span class="should-hidden wrong">should be 0 %</span></p>
<p>answer <strong class="answer big wrong">{fixed(answer.answer or 0, 1)}</strong>
<span class="should-answer wrong">should be {fixed(answer.right or 0, 1)}</span></p>
</div>
<p class="verdict" aria-hidden="true">{VERDICT}</p>
{tries(_settings())}"""


def _part(of: float) -> str:
    return f"{fixed(100 * of, 2)}%"


def _settings() -> dict[str, dict]:
    function, module = PASSED_TO
    return {
        "a bool mask": {"painted": "11100", "form": "True = read", "passed_to": function},
        "the same mask for the module": {"painted": "11100", "form": "True = read", "passed_to": module},
        "nothing to read": {"painted": "00000", "form": "0 and −10000", "passed_to": function},
    }
