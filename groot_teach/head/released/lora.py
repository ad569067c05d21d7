"""LoRA adapters in a checkpoint: small matrices A and B beside a layer, whose product is added to its weight.

With `adapter_config.json`, which the package peft writes, it is well defined what is added: `lora_alpha / r` times
`B @ A`. Then adapters are added to their layers. Everything else that peft can do is refused by its name.

Source: huggingface/peft 0.17, `tuners/lora/layer.py` (`get_delta_weight`) and `tuners/lora/config.py` (read).
"""

import re
from collections.abc import Mapping
from math import isfinite, sqrt
from typing import Any

from torch import Tensor

from groot_teach.head.released.names import listed

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"

REMEDY = "merge the adapters into the model first, with peft's merge_and_unload, and save that"

PLAIN: dict[str, Any] = {
    "use_dora": False,
    "fan_in_fan_out": False,
    "lora_bias": False,
    "bias": "none",
    "rank_pattern": {},
    "alpha_pattern": {},
}
"""The settings of peft under which `lora_alpha / r * B @ A` is all that is added. Left out means the same."""


def without_adapters(
    weights: Mapping[str, Tensor], beside: Mapping[str, Tensor], settings: Mapping[str, Any] | None
) -> dict[str, Tensor]:
    """The weights with their adapters added.

    Args:
        weights: name -> tensor, adapters among them.
        beside: the tensors of an adapter that lies in a file beside the model; empty without one.
        settings: what `adapter_config.json` says, or None without that file.

    Raises:
        ValueError: adapters of another kind, or adapters of which nothing says how strong they are.
    """
    plain = {_without_words(name): tensor for name, tensor in weights.items() if not _is_adapter(name)}
    if len(plain) + sum(map(_is_adapter, weights)) < len(weights):
        raise ValueError(f"weights: got a layer with and without base_layer in its name, expected one; {REMEDY}")
    saved_whole = {name: tensor for name, tensor in beside.items() if not _is_adapter(name)}
    if saved_whole.keys() - plain.keys():
        names = listed(sorted(saved_whole.keys() - plain.keys()))
        raise ValueError(f"weights: got {names} in {ADAPTER}, expected names that the model has too; {REMEDY}")
    plain |= saved_whole  # layers that were trained as they are, beside the adapters: peft's modules_to_save
    adapters = {name: tensor for one in (weights, beside) for name, tensor in one.items() if _is_adapter(name)}
    if not adapters:
        return plain
    pairs = _pairs(adapters)
    scale = _scale(settings, pairs)
    for layer, (a, b) in pairs.items():
        name = f"{layer}.weight"
        if name not in plain or a.ndim != 2 or plain[name].shape != (b.shape[0], a.shape[1]) or len(a) != b.shape[1]:
            raise ValueError(f"weights: got LoRA adapters for {name}, which does not fit them; {REMEDY}")
        added = plain[name].double() + scale * (b.double() @ a.double())
        plain[name] = added.to(plain[name].dtype)
    return plain


def _is_adapter(name: str) -> bool:
    return ".lora_" in name


def _without_words(name: str) -> str:
    if "modules_to_save" in name or "original_module" in name:
        raise ValueError(f"weights: got {name}, a layer in two forms as peft trains it, expected one; {REMEDY}")
    return name.replace(".base_layer.", ".")


def _pairs(adapters: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Layer -> its A and B."""
    found: dict[str, dict[str, Tensor]] = {}
    kinds = set()
    for name, tensor in adapters.items():
        match = re.fullmatch(r"(.+)\.lora_([AB])(\.\w+)?\.weight", name)
        if match is None:
            raise ValueError(f"weights: got the LoRA adapter {name}, expected only lora_A and lora_B; {REMEDY}")
        layer, half, kind = match.groups()
        found.setdefault(layer, {})[half] = tensor
        kinds.add(kind)
    if len(kinds) > 1:
        raise ValueError(
            f"weights: got several LoRA adapters, {listed(sorted(map(str, kinds)))}, expected one; {REMEDY}"
        )
    if halves := [layer for layer, pair in found.items() if len(pair) < 2]:
        raise ValueError(f"weights: got lora_A or lora_B alone for {listed(halves)}, expected both; {REMEDY}")
    return {layer: (pair["A"], pair["B"]) for layer, pair in found.items()}


def _scale(settings: Mapping[str, Any] | None, pairs: Mapping[str, tuple[Tensor, Tensor]]) -> float:
    if settings is None:
        if not any(b.any() for _, b in pairs.values()):
            return 0.0  # adapters as they are before training: B is 0, whatever their weight
        raise ValueError(
            f"weights: got LoRA adapters for {listed(list(pairs))}, and no {ADAPTER_CONFIG} beside them that says how "
            f"strong they are; {REMEDY}"
        )
    for key, value in PLAIN.items():
        if settings.get(key) not in (None, value):
            raise ValueError(f"{ADAPTER_CONFIG}: {key}: got {settings[key]!r:.60}, expected {value!r}; {REMEDY}")
    ranks, alpha = {len(a) for a, _ in pairs.values()}, settings.get("lora_alpha")
    if ranks != {settings.get("r")}:
        got = f"{settings.get('r')!r:.60}, expected {sorted(ranks)}, as the adapters have"
        raise ValueError(f"{ADAPTER_CONFIG}: r: got {got}; {REMEDY}")
    if not isinstance(alpha, int | float) or not isfinite(alpha):
        raise ValueError(f"{ADAPTER_CONFIG}: lora_alpha: got {alpha!r:.60}, expected a number; {REMEDY}")
    (rank,) = ranks
    return alpha / (sqrt(rank) if settings.get("use_rslora") else rank)
