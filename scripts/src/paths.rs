//! Paths of scripts as text (W02): no file is looked at here.

/// `path` as seen from the script at `base`: an absolute one stays, a relative one starts in the script's folder.
pub(crate) fn resolve(base: &str, path: &str) -> String {
    if path.starts_with('/') {
        return normal(path);
    }
    let folder = base.rfind('/').map_or("", |slash| &base[..=slash]);
    normal(&format!("{folder}{path}"))
}

/// Without `.`, doubled slashes and what `..` takes back; a leading `..` stays where nothing is left to take back.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute {
        format!("/{joined}")
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn paths_start_in_the_folder_of_the_parent() {
        for (base, path, expected) in [
            ("flows/main.js", "child.js", "flows/child.js"),
            ("flows/main.js", "./lib/../child.js", "flows/child.js"),
            ("flows/main.js", "../child.js", "child.js"),
            ("flows/main.js", "../../child.js", "../child.js"),
            ("flows/main.js", "/abs//x/./child.js", "/abs/x/child.js"),
            ("/main.js", "../../child.js", "/child.js"),
            ("main.js", "child.js", "child.js"),
        ] {
            assert_eq!(resolve(base, path), expected, "{path} from {base}");
        }
    }
}
