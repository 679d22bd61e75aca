//! NOTE TO THE HELPER: the integrator has taken over part 3 (landing, `engine/src/landing/`), to save time: he writes it on
//! `main` over your `git` and `worktree` modules. Do NOT write it; delete this file (never commit it), finish parts 1 and 2
//! (pool, base, isolated, settings, tests, docs/worktrees.md without landing), commit, and report. In landing, verification
//! uses `Pool::acquire(&base.at(commit), token, &[])` + `worktree::shell::run`.
