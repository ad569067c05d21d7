"""Padding: what fills it, where it stands, and that the masks give back what went in, entry by entry.

Answers are typed out. Sizes are distinct primes, so that a swapped axis cannot pass.
"""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import tensor

from groot_teach.padding import (
    ActionBatch,
    ActionChunk,
    VLBatch,
    VLTokens,
    action_mask_dims_and_steps,
    action_mask_dims_only,
    collate_chunks,
    collate_chunks_with_zeros,
    join_tokens,
    pad_dims,
    pad_steps_with_copies,
    pad_steps_with_zeros,
    pad_tokens_left,
    pad_tokens_right,
)

T, F = True, False
quick = settings(max_examples=50, deadline=None, derandomize=True, database=None)
either_steps = pytest.mark.parametrize("pad_steps", [pad_steps_with_copies, pad_steps_with_zeros])
either_side = pytest.mark.parametrize("pad_tokens", [pad_tokens_left, pad_tokens_right])
every_float = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])


def numbered(*shape: int) -> torch.Tensor:
    """1, 2, 3, ...: every entry differs from every other and from the 0 of padding."""
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(shape)


# ------------------------------------------------------------------------------------------------------- dims


def test_dims_are_padded_with_zeros_at_the_end():
    padded = pad_dims(tensor([[1.0, 2.0], [3.0, 4.0]]), 3)
    assert padded.tolist() == [[1, 2, 0], [3, 4, 0]]


def test_only_the_last_axis_is_padded():
    padded = pad_dims(numbered(2, 3, 5), 7)
    assert padded.shape == (2, 3, 7)
    assert torch.equal(padded[..., :5], numbered(2, 3, 5))
    assert (padded[..., 5:] == 0).all()


def test_a_single_action_and_an_empty_batch_can_be_padded():
    assert pad_dims(tensor([1.0, 2.0]), 3).tolist() == [1, 2, 0]
    assert pad_dims(torch.zeros(0, 3, 5), 7).shape == (0, 3, 7)


def test_full_width_actions_come_back_equal_and_in_memory_of_their_own():
    actions = numbered(2, 3)
    padded = pad_dims(actions, 3)
    padded.zero_()
    assert torch.equal(actions, numbered(2, 3))


def test_actions_that_are_not_contiguous_are_padded_by_value():
    assert pad_dims(tensor([[1.0, 2.0], [3.0, 4.0]]).T, 3).tolist() == [[1, 3, 0], [2, 4, 0]]


@every_float
def test_padding_dims_keeps_the_dtype(dtype):
    assert pad_dims(numbered(2, 3).to(dtype), 5).dtype == dtype


def test_the_gradient_reaches_every_real_dim_once():
    actions = numbered(2, 3).requires_grad_()
    pad_dims(actions, 5).sum().backward()
    assert actions.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: pad_dims(torch.zeros(2, 3), 10**9), "padded_dim"),
        (lambda: pad_steps_with_zeros(torch.zeros(2, 3), 10**9), "action_horizon"),
        (lambda: pad_tokens_left([VLTokens(torch.zeros(1, 2), *torch.ones(2, 1).bool())], 10**9), "key_len"),
        (lambda: action_mask_dims_only(torch.ones(2, 3).bool(), 10**9), "action_horizon"),
    ],
)
def test_a_count_that_would_fill_the_memory_is_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got 1000000000, expected 1000000 at most$"):
        call()


@pytest.mark.parametrize(("width", "padded_dim", "lost"), [(40, 32, 8), (3, 2, 1), (7, 1, 6)])
def test_actions_that_are_too_wide_are_an_error_and_not_cut(width, padded_dim, lost):
    message = f"actions: got {width} dims, expected at most padded_dim={padded_dim}; .* cut off {lost} real dims"
    with pytest.raises(ValueError, match=message):
        pad_dims(torch.zeros(2, width), padded_dim)


@pytest.mark.parametrize("padded_dim", [0, -1])
def test_a_width_below_one_is_an_error(padded_dim):
    with pytest.raises(ValueError, match=f"padded_dim: got {padded_dim}, expected 1 or more"):
        pad_dims(torch.zeros(2, 3), padded_dim)


def test_actions_without_a_dim_are_an_error():
    with pytest.raises(ValueError, match="actions: got no dims, expected 1 to padded_dim=5"):
        pad_dims(torch.zeros(2, 0), 5)
    with pytest.raises(ValueError, match=r"chunks\[1\]: got no dims, expected 1 to padded_dim=5"):
        collate_chunks([pad_steps_with_zeros(numbered(2, dims), 3) for dims in (2, 0)], 5)


@pytest.mark.parametrize(
    ("actions", "got"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), r"i64\[2,3\]"),
        (tensor(1.0), r"f32\[\]"),
        (torch.zeros(2, 3).numpy(), r"f32\[2,3\]\(numpy\)"),
        (None, "None"),
    ],
)
def test_actions_must_be_a_float_tensor_with_an_axis(actions, got):
    with pytest.raises(TypeCheckError, match=rf"(?s)parameter 'actions'.*{got}.*Float\[Tensor, '\*batch action_dim'\]"):
        pad_dims(actions, 5)


def test_the_width_must_be_an_int():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'padded_dim'.*5\.0.*int"):
        pad_dims(torch.zeros(2, 3), 5.0)
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'padded_dim'.*5\.0.*int"):
        collate_chunks([pad_steps_with_zeros(numbered(2, 3), 5)], 5.0)


# ------------------------------------------------------------------------------------------------------ steps


def test_copies_repeat_the_last_real_step_and_are_marked_as_padding():
    chunk = pad_steps_with_copies(tensor([[1.0, 2.0], [3.0, 4.0]]), 4)
    assert chunk.actions.tolist() == [[1, 2], [3, 4], [3, 4], [3, 4]]
    assert chunk.action_is_pad.tolist() == [F, F, T, T]


def test_zeros_follow_the_last_real_step_and_are_marked_as_padding():
    chunk = pad_steps_with_zeros(tensor([[1.0, 2.0], [3.0, 4.0]]), 4)
    assert chunk.actions.tolist() == [[1, 2], [3, 4], [0, 0], [0, 0]]
    assert chunk.action_is_pad.tolist() == [F, F, T, T]


@either_steps
def test_a_chunk_of_full_length_stays_as_it_is_in_memory_of_its_own(pad_steps):
    actions = numbered(3, 2)
    chunk = pad_steps(actions, 3)
    assert torch.equal(chunk.actions, actions)
    assert chunk.action_is_pad.tolist() == [F, F, F]
    chunk.actions.zero_()
    assert torch.equal(actions, numbered(3, 2))


def test_each_copied_step_has_memory_of_its_own():
    chunk = pad_steps_with_copies(numbered(2, 2), 4)
    chunk.actions[3] = 0
    assert chunk.actions.tolist() == [[1, 2], [3, 4], [3, 4], [0, 0]]


@either_steps
@every_float
def test_padding_steps_keeps_the_dtype(pad_steps, dtype):
    chunk = pad_steps(numbered(2, 3).to(dtype), 5)
    assert chunk.actions.dtype == dtype
    assert chunk.action_is_pad.dtype == torch.bool


def test_copies_send_their_gradient_to_the_last_real_step():
    actions = numbered(2, 1).requires_grad_()
    pad_steps_with_copies(actions, 5).actions.sum().backward()
    assert actions.grad.tolist() == [[1], [4]]


def test_with_zeros_each_real_step_gets_only_its_own_gradient():
    actions = numbered(2, 1).requires_grad_()
    pad_steps_with_zeros(actions, 5).actions.sum().backward()
    assert actions.grad.tolist() == [[1], [1]]


@quick
@given(steps=st.integers(1, 5), dims=st.integers(1, 5), missing=st.integers(0, 5))
def test_copies_and_zeros_agree_on_what_is_real(steps, dims, missing):
    actions = numbered(steps, dims)
    copies, zeros = pad_steps_with_copies(actions, steps + missing), pad_steps_with_zeros(actions, steps + missing)
    for chunk in (copies, zeros):
        assert chunk.actions.shape == (steps + missing, dims)
        assert torch.equal(chunk.actions[~chunk.action_is_pad], actions)
        assert chunk.action_is_pad.sum() == missing
    assert (zeros.actions[zeros.action_is_pad] == 0).all()
    assert (copies.actions[copies.action_is_pad] == actions[-1]).all()


@either_steps
@pytest.mark.parametrize(("steps", "action_horizon"), [(0, 5), (6, 5), (1, 0), (1, -1)])
def test_no_step_and_too_many_steps_are_errors(pad_steps, steps, action_horizon):
    message = f"actions: got {steps} steps, expected 1 to action_horizon={action_horizon}; nothing is cut"
    with pytest.raises(ValueError, match=message):
        pad_steps(torch.zeros(steps, 3), action_horizon)


@either_steps
def test_a_batch_of_chunks_is_not_taken_for_one_chunk(pad_steps):
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'actions'.*f32\[2,3,5\].*'step action_dim'"):
        pad_steps(torch.zeros(2, 3, 5), 7)


@either_steps
def test_the_horizon_must_be_an_int(pad_steps):
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'action_horizon'.*7\.0.*int"):
        pad_steps(torch.zeros(2, 3), 7.0)


# ---------------------------------------------------------------------------------------------------- collate


def test_two_robots_become_one_batch():
    wide = pad_steps_with_copies(tensor([[1.0, 2.0], [3.0, 4.0]]), 3)
    narrow = pad_steps_with_zeros(tensor([[5.0]]), 3)
    batch = collate_chunks([wide, narrow], padded_dim=3)
    assert batch.actions.tolist() == [[[1, 2, 0], [3, 4, 0], [3, 4, 0]], [[5, 0, 0], [0, 0, 0], [0, 0, 0]]]
    assert batch.dim_mask.tolist() == [[T, T, F], [T, F, F]]
    assert batch.step_mask.tolist() == [[T, T, F], [T, F, F]]


def test_each_axis_of_the_batch_is_where_its_name_says():
    chunks = [pad_steps_with_copies(numbered(2, dims), 7) for dims in (5, 3, 2)]
    batch = collate_chunks(chunks, padded_dim=11)
    assert batch.actions.shape == (3, 7, 11)
    assert batch.dim_mask.sum(1).tolist() == [5, 3, 2]
    assert batch.step_mask.sum(1).tolist() == [2, 2, 2]


def test_padding_may_stand_anywhere_along_the_steps():
    chunk = ActionChunk(numbered(3, 1), tensor([T, F, T]))
    assert collate_chunks([chunk], 2).step_mask.tolist() == [[F, T, F]]


def test_an_entry_that_is_no_chunk_is_refused_wherever_it_stands():
    chunks = [ActionChunk(numbered(2, 1), tensor([F, T]), task="pour")] * 20
    for place in (0, 11, 20):
        with pytest.raises(TypeError, match=rf"chunks\[{place}\]: got a Tensor, expected ActionChunk"):
            collate_chunks([*chunks[:place], numbered(2, 1), *chunks[place:]], padded_dim=2)


@every_float
def test_collating_keeps_the_dtype(dtype):
    batch = collate_chunks([pad_steps_with_zeros(numbered(2, 3).to(dtype), 5)] * 2, 7)
    assert batch.actions.dtype == dtype
    assert batch.dim_mask.dtype == batch.step_mask.dtype == torch.bool


def test_the_batch_shares_no_memory_with_its_chunks():
    chunk = pad_steps_with_zeros(numbered(2, 3), 2)
    batch = collate_chunks([chunk], 3)
    batch.actions.zero_()
    batch.step_mask.zero_()
    assert torch.equal(chunk.actions, numbered(2, 3))
    assert chunk.action_is_pad.tolist() == [F, F]


robots = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 7)), min_size=1, max_size=4)


@quick
@given(sizes=robots, spare_steps=st.integers(0, 3), spare_dims=st.integers(0, 3), copies=st.booleans())
def test_padding_and_then_masking_gives_the_original_entries_back(sizes, spare_steps, spare_dims, copies):
    action_horizon = max(steps for steps, _ in sizes) + spare_steps
    padded_dim = max(dims for _, dims in sizes) + spare_dims
    pad_steps = pad_steps_with_copies if copies else pad_steps_with_zeros
    originals = [numbered(steps, dims) for steps, dims in sizes]

    batch = collate_chunks([pad_steps(actions, action_horizon) for actions in originals], padded_dim)
    action_mask = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)

    assert action_mask.shape == batch.actions.shape == (len(sizes), action_horizon, padded_dim)
    assert action_mask.sum() == sum(steps * dims for steps, dims in sizes)
    assert torch.equal(batch.actions[action_mask], torch.cat([actions.flatten() for actions in originals]))
    if not copies:
        assert (batch.actions[~action_mask] == 0).all()


@pytest.mark.parametrize("chunks", [[], ()])
def test_an_empty_list_of_chunks_is_refused(chunks):
    with pytest.raises(ValueError, match="chunks: got none, expected at least one"):
        collate_chunks(chunks, 5)


def test_chunks_of_different_lengths_are_refused():
    chunks = [pad_steps_with_zeros(numbered(2, 3), horizon) for horizon in (5, 7)]
    with pytest.raises(ValueError, match=r"chunks: got steps \[5, 7\], expected the same in every"):
        collate_chunks(chunks, 11)


def test_chunks_of_different_dtypes_are_refused():
    chunks = [pad_steps_with_zeros(numbered(2, 3).to(dtype), 5) for dtype in (torch.float32, torch.float64)]
    with pytest.raises(ValueError, match=r"chunks: got dtype \[torch.float32, torch.float64\], expected the same"):
        collate_chunks(chunks, 11)


def test_a_chunk_that_is_too_wide_is_refused():
    chunks = [pad_steps_with_zeros(numbered(2, dims), 5) for dims in (3, 7)]
    with pytest.raises(ValueError, match=r"chunks\[1\]: got 7 dims, expected at most padded_dim=5; .* cut off 2 real"):
        collate_chunks(chunks, 5)


def test_integer_actions_are_refused():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'actions'.*i64\[2,3\].*Float"):
        ActionChunk(torch.zeros(2, 3, dtype=torch.int64), tensor([F, F]))


@pytest.mark.parametrize(
    ("actions", "action_is_pad"),
    [
        (torch.zeros(2, 3), torch.zeros(5, dtype=torch.bool)),
        (torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.bool)),
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3), torch.zeros(2)),
        (torch.zeros(1, 2, 3), torch.zeros(1, dtype=torch.bool)),
        (torch.zeros(3), torch.zeros(3, dtype=torch.bool)),
    ],
)
def test_a_chunk_whose_parts_do_not_fit_is_refused(actions, action_is_pad):
    with pytest.raises(TypeCheckError, match=r"parameter 'action(s|_is_pad)'"):
        ActionChunk(actions, action_is_pad)


@pytest.mark.parametrize(
    "chunks", [None, torch.zeros(2, 3), [torch.zeros(2, 3)], ActionChunk(numbered(2, 3), tensor([F, F]))]
)
def test_what_is_no_list_of_chunks_is_refused_by_name(chunks):
    with pytest.raises(TypeError, match="chunks"):
        collate_chunks(chunks, 5)


def test_a_sample_that_is_no_record_is_refused_wherever_it_stands():
    for place in (0, 11, 20):
        samples = [two_samples()[0]] * 20
        samples.insert(place, torch.zeros(5, 3))
        with pytest.raises(TypeError, match=rf"samples\[{place}\]: got a Tensor, expected VLTokens"):
            pad_tokens_left(samples, 5)


# ------------------------------------------------------------------------------------------------ action_mask


def test_n1_5_marks_the_copied_steps_as_real():
    action_mask = action_mask_dims_only(tensor([[T, F], [T, T]]), action_horizon=3)
    assert action_mask.tolist() == [[[T, F]] * 3, [[T, T]] * 3]


def test_n1_7_marks_an_entry_as_real_where_its_dim_and_its_step_are():
    action_mask = action_mask_dims_and_steps(tensor([[T, F], [T, T]]), tensor([[T, T, F], [T, F, F]]))
    assert action_mask.tolist() == [[[T, F], [T, F], [F, F]], [[T, T], [F, F], [F, F]]]


def test_each_axis_of_the_action_mask_is_where_its_name_says():
    dim_mask, step_mask = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    assert action_mask_dims_only(dim_mask, 5).shape == (2, 5, 3)
    assert action_mask_dims_and_steps(dim_mask, step_mask).shape == (2, 5, 3)


def test_each_entry_of_the_action_mask_has_memory_of_its_own():
    dim_mask = tensor([[T, T]])
    action_mask = action_mask_dims_only(dim_mask, 3)
    action_mask[0, 1, 0] = False
    assert action_mask.tolist() == [[[T, T], [F, T], [T, T]]]
    assert dim_mask.tolist() == [[T, T]]


@st.composite
def dim_and_step_masks(draw):
    batch, action_horizon, padded_dim = (draw(st.integers(1, 5)) for _ in range(3))
    rows = st.lists(st.booleans(), min_size=batch * padded_dim, max_size=batch * padded_dim)
    columns = st.lists(st.booleans(), min_size=batch * action_horizon, max_size=batch * action_horizon)
    return tensor(draw(rows)).reshape(batch, padded_dim), tensor(draw(columns)).reshape(batch, action_horizon)


@quick
@given(dim_and_step_masks())
def test_the_action_mask_agrees_with_a_loop_over_its_entries(masks):
    dim_mask, step_mask = masks
    action_mask = action_mask_dims_and_steps(dim_mask, step_mask)
    for sample, step, dim in torch.cartesian_prod(*map(torch.arange, action_mask.shape)):
        assert action_mask[sample, step, dim] == (dim_mask[sample, dim] and step_mask[sample, step])
    assert action_mask.sum() == (dim_mask.sum(1) * step_mask.sum(1)).sum()


@quick
@given(dim_and_step_masks())
def test_what_is_real_for_n1_7_is_real_for_n1_5(masks):
    dim_mask, step_mask = masks
    n1_5, n1_7 = action_mask_dims_only(dim_mask, step_mask.shape[1]), action_mask_dims_and_steps(dim_mask, step_mask)
    assert (n1_5 | ~n1_7).all()
    all_steps_real = torch.ones_like(step_mask)
    assert torch.equal(n1_5, action_mask_dims_and_steps(dim_mask, all_steps_real))


def test_a_copied_step_counts_for_n1_5_and_not_for_n1_7():
    batch = collate_chunks([pad_steps_with_copies(tensor([[1.0, 2.0]]), 2)], padded_dim=3)
    n1_5 = action_mask_dims_only(batch.dim_mask, 2)
    n1_7 = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    assert batch.actions[n1_5].tolist() == [1, 2, 1, 2]
    assert batch.actions[n1_7].tolist() == [1, 2]


def test_changing_a_padded_entry_moves_nothing_and_changing_a_real_one_does():
    batch = collate_chunks([pad_steps_with_copies(numbered(2, 3), 5)], padded_dim=7)
    action_mask = action_mask_dims_and_steps(batch.dim_mask, batch.step_mask)
    real = batch.actions[action_mask].clone()

    batch.actions[~action_mask] = float("nan")
    assert torch.equal(batch.actions[action_mask], real)

    batch.actions[0, 1, 2] += 1
    assert not torch.equal(batch.actions[action_mask], real)


def test_masks_of_different_batches_are_not_broadcast():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'step_mask'.*bool\[1,5\].*'batch action_horizon'"):
        action_mask_dims_and_steps(torch.ones(2, 3, dtype=torch.bool), torch.ones(1, 5, dtype=torch.bool))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_a_mask_that_is_not_bool_is_refused(dtype):
    dim_mask, step_mask = torch.ones(2, 3, dtype=dtype), torch.ones(2, 5, dtype=dtype)
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'dim_mask'.*\[2,3\].*Bool.*'batch padded_dim'"):
        action_mask_dims_only(dim_mask, 5)
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'dim_mask'.*\[2,3\].*Bool.*'batch padded_dim'"):
        action_mask_dims_and_steps(dim_mask, step_mask.bool())
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'step_mask'.*\[2,5\].*Bool.*'batch action_horizon'"):
        action_mask_dims_and_steps(dim_mask.bool(), step_mask)


@pytest.mark.parametrize("action_horizon", [0, -1, -5])
def test_a_horizon_below_one_is_refused(action_horizon):
    with pytest.raises(ValueError, match=f"action_horizon: got {action_horizon}, expected 1 or more"):
        action_mask_dims_only(tensor([[T, F]]), action_horizon)


def test_the_horizon_of_a_mask_must_be_an_int():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'action_horizon'.*3\.0.*int"):
        action_mask_dims_only(tensor([[T, F]]), 3.0)


# ----------------------------------------------------------------------------------------------------- tokens


def test_cameras_come_first_then_the_text():
    sample = join_tokens([tensor([[1.0, 2.0]]), tensor([[3.0, 4.0]])], text=tensor([[5.0, 6.0], [7.0, 8.0]]))
    assert sample.tokens.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert sample.image_mask.tolist() == [T, T, F, F]
    assert sample.real_mask.tolist() == [T, T, T, T]


@pytest.mark.parametrize(
    ("absent", "tokens", "real"),
    [
        (0, [[0], [0], [1], [2], [9]], [F, F, T, T, T]),
        (1, [[1], [2], [0], [0], [9]], [T, T, F, F, T]),
    ],
)
def test_an_absent_camera_keeps_its_seats(absent, tokens, real):
    cameras = [tensor([[1.0], [2.0]]), tensor([[1.0], [2.0]])]
    cameras[absent] = None
    sample = join_tokens(cameras, text=tensor([[9.0]]))
    assert sample.tokens.tolist() == tokens
    assert sample.real_mask.tolist() == real
    assert sample.image_mask.tolist() == [T, T, T, T, F]


def test_a_prompt_may_be_empty():
    sample = join_tokens([tensor([[1.0]])], text=torch.zeros(0, 1))
    assert (sample.tokens.tolist(), sample.image_mask.tolist(), sample.real_mask.tolist()) == ([[1]], [T], [T])


@pytest.mark.parametrize("cameras", [[], [None], [None, None]])
def test_without_any_camera_nothing_says_how_many_seats_one_needs(cameras):
    with pytest.raises(ValueError, match="cameras: got none that is present, expected at least one"):
        join_tokens(cameras, torch.zeros(2, 3))


def test_text_of_another_width_than_the_cameras_is_refused():
    with pytest.raises(ValueError, match=r"cameras and text: got width \[3, 5\]"):
        join_tokens([torch.zeros(2, 3)], torch.zeros(2, 5))


@pytest.mark.parametrize("text", [torch.zeros(3), torch.zeros(1, 2, 3), torch.zeros(2, 3).long(), "words"])
def test_text_that_is_no_row_of_float_tokens_is_refused(text):
    with pytest.raises(TypeCheckError, match="parameter 'text'"):
        join_tokens([torch.zeros(2, 3)], text)


def test_a_batch_of_cameras_is_not_taken_for_one_camera():
    with pytest.raises(ValueError, match=r"^cameras and text: got number of axes \[3, 2\], expected the same"):
        join_tokens([torch.zeros(1, 2, 3)], torch.zeros(2, 3))


def test_a_bare_tensor_of_cameras_is_refused():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'cameras'.*f32\[2,5,3\].*Sequence"):
        join_tokens(torch.zeros(2, 5, 3), torch.zeros(2, 3))


def test_cameras_of_different_lengths_are_refused_every_time():
    cameras = [torch.zeros(2, 3)] * 20 + [torch.zeros(5, 3)]
    for _ in range(20):
        with pytest.raises(ValueError, match=r"cameras: got shape .*\(2, 3\), \(5, 3\)\], expected the same"):
            join_tokens(cameras, torch.zeros(2, 3))


@pytest.mark.parametrize("camera", ["words", [[1.0, 2.0, 3.0]], 5])
def test_a_camera_that_is_no_tensor_is_refused_and_its_place_named(camera):
    with pytest.raises(TypeError, match=r"cameras\[1\]: got a (str|list|int), expected Tensor"):
        join_tokens([torch.zeros(2, 3), camera], torch.zeros(2, 3))


def test_what_lies_on_another_device_is_refused():
    here, elsewhere = torch.zeros(2, 3), torch.zeros(2, 3, device="meta")
    with pytest.raises(ValueError, match="cameras and text: got device"):
        join_tokens([elsewhere], here)
    chunks = [ActionChunk(here, tensor([F, F])), ActionChunk(elsewhere, torch.zeros(2, device="meta", **BOOL))]
    with pytest.raises(ValueError, match="chunks: got device"):
        collate_chunks(chunks, 3)


def test_tokens_of_different_dtypes_are_not_joined():
    with pytest.raises(ValueError, match=r"got dtype \[torch.float32, torch.float64\]"):
        join_tokens([torch.zeros(2, 3)], torch.zeros(2, 3, dtype=torch.float64))


def two_samples() -> list[VLTokens]:
    """A sample of three tokens (a camera, an absent camera, a word) and one of two (a camera, a word)."""
    return [
        VLTokens(tensor([[1.0], [0.0], [2.0]]), image_mask=tensor([T, T, F]), real_mask=tensor([T, F, T])),
        VLTokens(tensor([[3.0], [4.0]]), image_mask=tensor([T, F]), real_mask=tensor([T, T])),
    ]


def test_right_padding_stands_after_the_tokens():
    batch = pad_tokens_right(two_samples(), key_len=4)
    assert batch.tokens.squeeze(2).tolist() == [[1, 0, 2, 0], [3, 4, 0, 0]]
    assert batch.backbone_attention_mask.tolist() == [[T, F, T, F], [T, T, F, F]]
    assert batch.image_mask.tolist() == [[T, T, F, F], [T, F, F, F]]


def test_left_padding_stands_before_the_tokens():
    batch = pad_tokens_left(two_samples(), key_len=4)
    assert batch.tokens.squeeze(2).tolist() == [[0, 1, 0, 2], [0, 0, 3, 4]]
    assert batch.backbone_attention_mask.tolist() == [[F, T, F, T], [F, F, T, T]]
    assert batch.image_mask.tolist() == [[F, T, T, F], [F, F, T, F]]


@either_side
def test_the_width_of_a_token_is_never_padded(pad_tokens):
    sample = join_tokens([numbered(2, 3)], text=numbered(5, 3))
    batch = pad_tokens([sample, sample], key_len=11)
    assert batch.tokens.shape == (2, 11, 3)
    assert torch.equal(batch.tokens[batch.backbone_attention_mask], torch.cat([numbered(2, 3), numbered(5, 3)] * 2))


@either_side
def test_samples_that_need_no_padding_come_back_equal_and_in_memory_of_their_own(pad_tokens):
    sample = two_samples()[0]
    batch = pad_tokens([sample], key_len=3)
    assert torch.equal(batch.tokens[0], sample.tokens)
    assert torch.equal(batch.backbone_attention_mask[0], sample.real_mask)
    assert torch.equal(batch.image_mask[0], sample.image_mask)
    batch.tokens.zero_()
    assert sample.tokens.tolist() == [[1], [0], [2]]


@either_side
@every_float
def test_padding_tokens_keeps_the_dtype(pad_tokens, dtype):
    batch = pad_tokens([join_tokens([numbered(2, 3).to(dtype)], text=numbered(5, 3).to(dtype))], key_len=11)
    assert batch.tokens.dtype == dtype
    assert batch.backbone_attention_mask.dtype == batch.image_mask.dtype == torch.bool


@either_side
def test_the_gradient_reaches_every_token_once_and_no_absent_camera(pad_tokens):
    camera, text = numbered(2, 1).requires_grad_(), numbered(3, 1).requires_grad_()
    pad_tokens([join_tokens([camera, None], text)], key_len=11).tokens.sum().backward()
    assert camera.grad.tolist() == [[1], [1]]
    assert text.grad.tolist() == [[1], [1], [1]]


prompts = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=4)


@quick
@given(prompts=prompts, spare=st.integers(0, 3))
def test_left_and_right_padding_hold_the_same_tokens(prompts, spare):
    samples = [join_tokens([numbered(2, 3), numbered(2, 3) if both else None], numbered(n, 3)) for n, both in prompts]
    key_len = max(sample.tokens.shape[0] for sample in samples) + spare
    left, right = pad_tokens_left(samples, key_len), pad_tokens_right(samples, key_len)

    for batch in (left, right):
        real = batch.backbone_attention_mask
        assert torch.equal(batch.tokens[real], torch.cat([sample.tokens[sample.real_mask] for sample in samples]))
        assert (batch.tokens[~real] == 0).all()
        assert real.sum() == sum((4 if both else 2) + n for n, both in prompts)
        assert batch.image_mask.sum(1).tolist() == [4] * len(prompts)
    # Each row of one is the same row of the other, turned round by its number of pads.
    for row, sample in enumerate(samples):
        pads = key_len - sample.tokens.shape[0]
        assert torch.equal(left.tokens[row], right.tokens[row].roll(pads, 0))
        assert torch.equal(left.backbone_attention_mask[row], right.backbone_attention_mask[row].roll(pads))
        assert torch.equal(left.image_mask[row], right.image_mask[row].roll(pads))


@either_side
def test_changing_a_padded_token_moves_nothing_and_changing_a_real_one_does(pad_tokens):
    batch = pad_tokens(two_samples(), key_len=5)
    real = batch.tokens[batch.backbone_attention_mask].clone()

    batch.tokens[~batch.backbone_attention_mask] = float("inf")
    assert torch.equal(batch.tokens[batch.backbone_attention_mask], real)

    batch.tokens[batch.backbone_attention_mask] += 1
    assert not torch.equal(batch.tokens[batch.backbone_attention_mask], real)


@either_side
@pytest.mark.parametrize("samples", [[], ()])
def test_an_empty_list_of_samples_is_refused(pad_tokens, samples):
    with pytest.raises(ValueError, match="samples: got none, expected at least one"):
        pad_tokens(samples, 5)


@either_side
@pytest.mark.parametrize("key_len", [2, 0, -1])
def test_a_sample_that_is_too_long_is_refused_and_named(pad_tokens, key_len):
    short, long = two_samples()[1], two_samples()[0]
    samples = [short, long] if key_len == 2 else [long]
    message = rf"samples\[{len(samples) - 1}\]: got 3 tokens, expected at most key_len={key_len}; nothing is cut"
    with pytest.raises(ValueError, match=message):
        pad_tokens(samples, key_len)


@either_side
def test_samples_of_different_widths_are_refused(pad_tokens):
    samples = [join_tokens([numbered(1, width)], numbered(1, width)) for width in (3, 5)]
    with pytest.raises(ValueError, match=r"samples: got token widths \[3, 5\], expected the same in every"):
        pad_tokens(samples, 7)


@either_side
def test_samples_of_different_dtypes_are_refused(pad_tokens):
    single, double = numbered(1, 3), numbered(1, 3).double()
    samples = [join_tokens([single], single), join_tokens([double], double)]
    with pytest.raises(ValueError, match=r"samples: got dtype \[torch.float32, torch.float64\], expected the same"):
        pad_tokens(samples, 7)


@either_side
@pytest.mark.parametrize("samples", [None, two_samples()[0], [torch.zeros(2, 3)], torch.zeros(2, 3)])
def test_what_is_no_list_of_samples_is_refused_by_name(pad_tokens, samples):
    with pytest.raises(TypeError, match="samples"):
        pad_tokens(samples, 5)


@either_side
def test_the_key_length_must_be_an_int(pad_tokens):
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'key_len'.*5\.0.*int"):
        pad_tokens(two_samples(), 5.0)


# --------------------------------------------------------------------------- records, and where the masks live

BOOL = {"dtype": torch.bool}
GOOD_RECORDS = [
    ActionChunk(torch.zeros(5, 3), torch.zeros(5, **BOOL)),
    ActionBatch(torch.zeros(2, 5, 3), torch.zeros(2, 3, **BOOL), torch.zeros(2, 5, **BOOL)),
    VLTokens(torch.zeros(7, 3), torch.zeros(7, **BOOL), torch.zeros(7, **BOOL)),
    VLBatch(torch.zeros(2, 7, 3), torch.zeros(2, 7, **BOOL), torch.zeros(2, 7, **BOOL)),
]


@pytest.mark.parametrize("bad", [torch.zeros(11, **BOOL), torch.zeros(2, 3, 5, 7), 7])
@pytest.mark.parametrize(("record", "name"), [(record, name) for record in GOOD_RECORDS for name in vars(record)])
def test_a_record_refuses_a_part_that_does_not_fit(record, name, bad):
    with pytest.raises(TypeCheckError, match=f"parameter '{name}'"):
        replace(record, **{name: bad})


# The axes that one part alone has: these may be of any length.
FREE_AXES = [(ActionChunk, "actions", 1), (VLTokens, "tokens", 1), (VLBatch, "tokens", 2)]
PARTS = [(record, name, part) for record in GOOD_RECORDS for name, part in vars(record).items() if name != "task"]


@pytest.mark.parametrize(
    ("record", "name", "axis"), [(record, name, axis) for record, name, part in PARTS for axis in range(part.ndim)]
)
def test_the_parts_of_a_record_share_their_axes(record, name, axis):
    part = vars(record)[name]
    longer = torch.cat([part, part.narrow(axis, 0, 1)], axis)
    if (type(record), name, axis) in FREE_AXES:
        assert vars(replace(record, **{name: longer}))[name] is longer
        return
    with pytest.raises(TypeCheckError):
        replace(record, **{name: longer})


def test_a_task_is_words():
    with pytest.raises(TypeCheckError, match="parameter 'task'"):
        replace(GOOD_RECORDS[0], task=None)


@pytest.mark.parametrize("record", GOOD_RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_cannot_be_changed_and_is_equal_to_itself_alone(record):
    """Tensors have no single answer to `==`, so neither have records of tensors."""
    with pytest.raises(FrozenInstanceError):
        setattr(record, next(iter(vars(record))), None)
    assert record != replace(record)


def test_masks_are_made_where_the_data_is():
    """The meta device computes nothing, but it says where a tensor would be: a GPU is not needed."""
    actions = torch.zeros(2, 3, device="meta")
    for pad_steps in (pad_steps_with_copies, pad_steps_with_zeros):
        assert pad_steps(actions, 5).action_is_pad.is_meta
    chunk = ActionChunk(actions, torch.zeros(2, device="meta", **BOOL))
    assert collate_chunks([chunk], 5).dim_mask.is_meta
    sample = join_tokens([actions, None], actions)
    assert sample.image_mask.is_meta
    assert sample.real_mask.is_meta


# ---- as N1.7 collates ----


def test_n1_7s_batch_holds_zeros_wherever_nothing_was_recorded():
    """One chunk with a copied step, one that is shorter, and a policy that predicts three steps of four."""
    copied = ActionChunk(tensor([[1.0, 2], [3, 4], [3, 4]]), tensor([F, F, T]))
    recorded = ActionChunk(tensor([[5.0], [6], [7], [8]]), tensor([F, F, F, F]))
    batch = collate_chunks_with_zeros([copied, recorded], 3, 4, valid_action_horizon=3)
    assert batch.actions.tolist() == [
        [[1, 2, 0], [3, 4, 0], [0, 0, 0], [0, 0, 0]],
        [[5, 0, 0], [6, 0, 0], [7, 0, 0], [0, 0, 0]],
    ]
    assert batch.step_mask.tolist() == [[T, T, F, F], [T, T, T, F]]
    assert batch.dim_mask.tolist() == [[T, T, F], [T, F, F]]
    assert collate_chunks_with_zeros([recorded], 3, 4).step_mask.all()


def test_a_copied_step_that_is_nan_becomes_zero():
    chunk = ActionChunk(tensor([[1.0], [torch.nan]]), tensor([F, T]))
    assert collate_chunks_with_zeros([chunk], 1, 2).actions.flatten().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("horizons", "message"),
    [
        ((1, None), r"chunks\[0\]: got 2 steps, expected 1 to action_horizon=1; nothing is cut"),
        ((4, 5), "valid_action_horizon: got 5, expected at most action_horizon=4"),
        ((4, 0), "valid_action_horizon: got 0, expected 1 or more"),
        ((10**9, None), "action_horizon: got 1000000000, expected"),
    ],
)
def test_a_horizon_that_does_not_fit_is_named(horizons, message):
    chunk = ActionChunk(numbered(2, 1), tensor([F, F]))
    with pytest.raises(ValueError, match=message):
        collate_chunks_with_zeros([chunk], 3, *horizons)


def test_tokens_whose_cameras_are_not_known_say_so_where_it_matters():
    batch = VLBatch(numbered(1, 2, 1), tensor([[T, T]]))
    with pytest.raises(ValueError, match="image_mask: got None, expected a mask"):
        _ = batch.cameras
