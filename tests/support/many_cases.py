"""The tests that take longest, and how many of their cases `make test` asks. `make test CASES=all`, as in CI, asks all.

They ask the same question again, of each page, each policy of the zoo, each head of a grid, or run something several
times. What is left out is a ninth of all cases and more than half of the time. Whoever changes something wants to hear
of a mistake soon, and one case in some tells nearly as much as all of them.
"""

import re

ONE_OF: dict[str, int] = {
    # each page of the site in a browser
    "tests/pages/test_site.py::test_axe_finds_no_fault_in_the_article_in_light_and_in_dark": 7,
    "tests/pages/test_look.py::test_under_a_strict_content_security_policy_no_page_breaks_it": 7,
    "tests/pages/test_look.py::test_no_block_scrolls_sideways_at_1280_or_leaves_its_frame": 7,
    "tests/pages/test_site.py::test_a_page_opens_offline_weighs_less_than_its_budget_and_never_scrolls_sideways": 7,
    "tests/pages/test_site.py::test_every_state_of_every_widget_shows_what_torch_computed": 5,
    "tests/pages/test_site.py::test_without_javascript_a_widget_shows_its_start_as_figure_and_text": 5,
    "tests/pages/test_site.py::test_every_control_on_the_page_is_reached_and_moved_by_keyboard_alone": 5,
    "tests/pages/test_site.py::test_each_notebook_can_be_downloaded_from_its_page": 5,
    "tests/pages/test_pictures.py::test_words_can_be_read_and_no_picture_widens_the_page": 5,
    "tests/pages/test_pictures.py::test_every_picture_is_a_part_of_its_page_with_a_label_and_ids_of_its_own": 5,
    "tests/pages/test_api_pages.py::test_everything_public_with_a_docstring_is_on_the_page_of_its_package": 5,
    # each live picture
    "tests/pages/test_live.py::test_the_page_computes_what_torch_computes_to_1e_12": 5,
    "tests/pages/test_live.py::test_each_control_changes_what_is_said_and_every_try_is_a_setting_of_its_own": 7,
    "tests/pages/test_live.py::test_a_picture_opens_exactly_as_python_drew_it": 4,
    "tests/pages/test_live_six_doors.py::test_a_door_that_is_shut_and_opened_again_is_where_the_version_had_it": 6,
    "tests/pages/test_live_six_doors.py::test_each_version_shows_its_doors_and_its_numbers": 5,
    "tests/pages/test_live_one_mask_many_forms.py::test_each_form_says_what_is_passed_and_what_is_read": 5,
    # each policy of the zoo, each bug, each claim
    "tests/evidence/test_zoo.py::test_a_mutant_is_found_at_its_place_or_missed_with_a_reason": 9,
    "tests/evidence/test_zoo.py::test_a_right_head_is_not_accused_or_it_is_known_why": 9,
    "tests/evidence/test_zoo.py::test_a_design_is_clean_if_it_is_right_and_found_at_its_place_if_it_is_wrong": 9,
    "tests/evidence/test_zoo.py::test_watching_the_loss_fall_says_what_is_stored": 5,
    "tests/evidence/test_claims.py::test_a_check_on_our_head_finds_what_the_page_says": 5,
    "tests/bugs/test_catalogue.py::test_a_bug_is_seen_by_the_probes_that_its_record_names_and_by_no_others": 5,
    "tests/bugs/test_catalogue.py::test_a_bug_is_quiet": 5,
    "tests/bugs/test_exhibits.py::test_what_other_batches_do_not_show": 0,
    "tests/bugs/test_exhibits.py::test_no_exhibit_is_caught_by_its_shapes_or_its_training": 5,
    "tests/bugs/test_exhibits.py::test_a_bug_is_found_where_it_was_made": 5,
    # each head that is audited, and each switch of it
    "tests/audit/test_heads.py::test_one_switch_opens_one_leak_and_shutting_it_shuts_that_one": 7,
    "tests/audit/test_heads.py::test_the_leaks_of_a_preset_are_found_and_no_others": 6,
    "tests/audit/test_heads.py::test_a_strict_head_is_clean_in_train_mode_in_half_precision_and_with_groups": 0,
    "tests/audit/test_heads.py::test_what_is_said_on_goes_on_to_the_audit": 0,
    "tests/audit/test_heads.py::test_re_noised_dims_leave_the_sampler_as_zeros_and_are_no_rollout_leak": 0,
    "tests/audit/test_heads.py::test_an_axis_without_padding_is_left_out": 0,
    "tests/audit/test_heads.py::test_with_dropout_a_strict_head_cannot_be_compacted_and_that_is_said": 0,
    "tests/audit/test_lerobot_head.py::test_an_open_door_of_a_released_head_is_found": 5,
    "tests/audit/test_command.py::test_each_version_stands_for_its_own_masking": 5,
    "tests/audit/test_command.py::"
    "test_a_shell_sees_2_and_never_1_where_something_could_not_be_audited_and_nothing_was_found": 3,
    "tests/chapters/test_audit_widgets.py::test_what_a_batch_cannot_show_is_not_found": 3,
    "tests/chapters/test_audit_widgets.py::test_on_a_ragged_batch_an_audit_finds_the_leaks_of_the_version": 4,
    "tests/chapters/test_audit_widgets.py::test_a_batch_without_padding_along_an_axis_has_no_column_there": 3,
    "tests/chapters/test_audit_exercises.py::test_the_reference_reads_the_switches_off_the_reports_of_the_chapter": 2,
    "tests/head/test_action_head.py::test_strict_equals_the_computation_without_padding": 5,
    "tests/head/test_action_head.py::test_each_switch_alone_shuts_its_own_door_and_no_other": 5,
    "tests/test_loss.py::test_a_spoilt_case_is_an_error_that_names_the_argument_and_never_a_number": 4,
    "tests/test_loss.py::test_padded_and_compact_agree_in_value_and_gradient_on_every_case": 4,
    "tests/audit/test_losses.py::test_a_network_that_is_used_twice_or_differentiated_is_asked_where_it_is_trained": 3,
    "tests/audit/test_losses.py::test_padding_that_the_first_use_of_a_network_reads_is_seen": 0,
    # LeRobot's policies
    "tests/upstream/test_action_head.py::test_loss_predictions_gradients_and_actions_agree_over_the_grid": 5,
    "tests/upstream/test_audits.py::test_a_policy_is_found_to_be_what_the_page_says": 8,
    "tests/upstream/test_claims.py::test_a_check_on_released_code_finds_what_the_page_says": 6,
    # runs that are killed, repeated or made in processes of their own
    "tests/training/test_run.py::test_a_grid_that_is_killed_many_times_gives_the_same_file": 0,
    "tests/training/test_run.py::test_two_processes_write_the_same_file": 0,
    "tests/training/test_train.py::test_several_processes_train_what_one_trains": 0,
    "tests/tools/test_mutate.py::test_a_survivor_fails_the_run_until_it_is_explained_and_an_old_reason_fails_it_too": 0,
    "tests/tools/test_machine.py::test_running_twice_gives_the_same_bytes_and_keeps_the_reader_out": 0,
    "tests/training/test_run.py::test_a_plan_run_to_a_file_gives_the_records_of_its_trials": 0,
    "tests/chapters/test_masked_loss.py::test_the_command_begins_with_the_stored_untrained_network_and_trains_two": 0,
    "tests/audit/test_command.py::test_the_exit_status_is_that_of_the_report_if_nobody_reads_it_to_its_end": 0,
    "tests/audit/test_command.py::test_a_checkpoint_is_audited_as_the_version_that_its_weights_are": 0,
    "tests/packaging/test_base_install.py::test_the_optional_packages_are_absent": 0,
    "tests/packaging/test_base_install.py::test_each_public_name_and_each_reader_is_there_or_names_its_extra": 0,
    "tests/packaging/test_base_install.py::test_the_example_of_the_readme_runs_and_fails_for_a_policy_that_leaks": 0,
    "tests/packaging/test_base_install.py::test_the_command_audits_a_function_in_the_current_folder": 0,
    "tests/packaging/test_base_install.py::test_the_command_is_also_a_module": 0,
    "tests/packaging/test_base_install.py::test_each_error_names_an_extra_that_brings_the_package": 0,
    "tests/packaging/test_install_cell.py::test_without_an_address_it_says_in_one_line_what_to_do": 0,
    "tests/packaging/test_install_cell.py::"
    "test_with_an_address_it_installs_the_library_and_nothing_that_is_there_already": 0,
    "tests/packaging/test_install_cell.py::test_where_the_library_is_there_it_prints_nothing_and_asks_nobody": 0,
    "tests/packaging/test_distribution.py::test_tests_run_from_the_source_distribution": 0,
    "tests/book/test_prose.py::test_the_template_gives_the_outputs_that_it_stores": 0,
    "tests/book/test_api_docstrings.py::test_every_docstring_of_the_library_can_be_rendered": 6,
}
"""A test -> of how many cases `make test` asks one, the first of them; 0 = it asks none."""


def name_of(case: str) -> str:
    """The test of a case: the id of the case without what stands in brackets, or the name of a group, at its end."""
    return re.split(r"[\[@]", case)[0]


def left_out(names: list[str]) -> list[int]:
    """Which places in a list of tests, one for each case, are left out."""
    seen: dict[str, int] = {}
    places = []
    for place, name in enumerate(names):
        if name in ONE_OF:
            number = seen[name] = seen.get(name, -1) + 1
            places += [place] if not ONE_OF[name] or number % ONE_OF[name] else []
    return places
