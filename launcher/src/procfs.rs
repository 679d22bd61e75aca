//! What `/proc` says of processes. Everything here may be old news by the time it is read: whoever acts on it checks
//! again with the process held (its own unreaped child, or a pidfd).

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Pid;

/// A process as its `stat` line shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// In clock ticks since the machine started: with the id it names a process for good.
    pub(crate) start_time: u64,
}

/// The process `pid`, unless it is gone.
pub(crate) fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

/// CPU time that a thread of `process` has used, and whether it runs or waits for nothing but a processor.
pub(crate) fn thread(process: u32, thread: u32) -> Option<(Duration, bool)> {
    let line = fs::read(format!("/proc/{process}/task/{thread}/stat")).ok()?;
    let mut fields = fields(&line)?;
    // In the kernel, waiting for a page that was swapped out, is no rest either.
    let is_runnable = matches!(fields.next()?, "R" | "D");
    let mut ticks = fields.skip(10).take(2).map(str::parse::<u64>);
    let used = ticks.next()?.ok()? + ticks.next()?.ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some((
        Duration::from_millis(used.saturating_mul(1_000) / per_second),
        is_runnable,
    ))
}

/// The fields of a `stat` line from the state on. The name before it stands in parentheses and may hold anything,
/// parentheses and spaces too: fields count from the last one.
fn fields(line: &[u8]) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    let end = line.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    Some(rest.split_ascii_whitespace())
}

fn parse_stat(line: &[u8]) -> Option<Stat> {
    let mut fields = fields(line)?.skip(1);
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let start_time = fields.nth(16)?.parse().ok()?;
    Some(Stat {
        parent,
        group,
        start_time,
    })
}

/// The children of `pid`, or of the calling thread without one. One that comes or goes meanwhile may be missing.
pub(crate) fn children(pid: Option<Pid>) -> Vec<Pid> {
    let listed = match pid {
        None => fs::read_to_string("/proc/thread-self/children").map(|text| parse_pids(&text)),
        Some(pid) => {
            fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).and_then(|tasks| {
                let mut all = Vec::new();
                for task in tasks.flatten() {
                    all.extend(parse_pids(&fs::read_to_string(
                        task.path().join("children"),
                    )?));
                }
                Ok(all)
            })
        }
    };
    // Kernels can be built without these lists.
    listed.unwrap_or_else(|_| {
        let parent = pid
            .unwrap_or_else(rustix::process::getpid)
            .as_raw_nonzero()
            .get();
        processes()
            .filter(|&pid| stat(pid).is_some_and(|stat| stat.parent == parent))
            .collect()
    })
}

fn parse_pids(text: &str) -> Vec<Pid> {
    text.split_ascii_whitespace()
        .filter_map(|word| Pid::from_raw(word.parse().ok()?))
        .collect()
}

/// All processes that there are.
pub(crate) fn processes() -> impl Iterator<Item = Pid> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Pid::from_raw(pid)
        })
}

/// The value of `variable` in the environment with which `pid` was executed; `None` too when it may not be read.
pub(crate) fn variable(pid: Pid, variable: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    environment.split(|&byte| byte == 0).find_map(|entry| {
        let value = entry
            .strip_prefix(variable.as_bytes())?
            .strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// What `pid` executes, for people.
pub(crate) fn command(pid: Pid) -> String {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    let line = fs::read(Path::new(&path)).unwrap_or_default();
    let words: Vec<_> = line
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"17 (a) b (c) S 3 17 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                parent: 3,
                group: 17,
                start_time: 4242
            })
        );
        for line in [b"".as_slice(), b"17 (a", b"17 (a) S 3", b"17 (a) S x 1 1"] {
            assert_eq!(parse_stat(line), None);
        }
    }
}
