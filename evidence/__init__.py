"""Evidence: what the pages of the book print about other people's code and about the auditor, and how it was found.

Each part runs experiments, and `python -m evidence PART` stores what came of them as `book/PART.json`, which a page
prints. No number is typed by hand. The tests run the experiments again and fail if anything else comes of them. Each
experiment also has a control, a case in which it must come out differently, which shows that it can fail.

    claims        the claims of the note, one check for each                   book/claims.md
    conformance   our action head beside the two that LeRobot released         notebooks/07_inside_gr00t.ipynb
    zoo           the auditor's own trial, on policies with known bugs         book/auditor_trial.md
    audits        what the auditor finds in LeRobot's policies                 book/audits.md

`released` loads the code of LeRobot that `make upstream` installs. Evidence may use all of `groot_teach`, which knows
nothing of it, and it uses nothing of the tests.
"""
