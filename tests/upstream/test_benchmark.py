"""The benchmark of the head runs, and compares what gives the same loss. How fast is not tested."""

import re

from benchmarks import action_head as benchmark


def test_the_benchmark_prints_a_ratio_for_each_version_and_work_in_the_size_that_is_asked_for(capsys):
    assert benchmark.main(["--rounds", "1", "--threads", "1", "--sizes", "tiny"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 2 * 2
    assert all(re.search(r" tiny .* \d+\.\d\d   \d", row) for row in rows)
