//! What a landing notes before it acts, and what notes of one that was cut off mean.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_actors::backend::NOTE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::merge::is_behind;
use super::target::{Moved, Target};
use super::{LandError, LeftBranch};

/// A note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Note {
    /// The target is about to move, because of this branch.
    Move {
        branch: String,
        before: String,
        after: String,
    },
    /// A branch is left out.
    Left { left: LeftBranch },
}

impl Note {
    fn branch(&self) -> &str {
        match self {
            Self::Move { branch, .. } => branch,
            Self::Left { left } => &left.branch,
        }
    }

    /// As JSON, short enough to be noted: of what a verification wrote the end, of files and words the beginning.
    pub(super) fn text(&self) -> String {
        let mut note = self.clone();
        let mut room = NOTE_BYTES_MAX;
        loop {
            // Strings and numbers: there is nothing that JSON could not hold.
            let text = serde_json::to_string(&note).unwrap_or_default();
            if text.len() <= NOTE_BYTES_MAX || room == 0 {
                return text;
            }
            room /= 2;
            if let Self::Left { left } = &mut note {
                left.shorten(room / 3);
            }
        }
    }
}

impl LeftBranch {
    /// Cuts each of its texts to so many bytes.
    fn shorten(&mut self, bytes: usize) {
        let end = self.message.floor_char_boundary(bytes);
        self.message.truncate(end);
        if let Some(output) = &mut self.output {
            let start = output.len().saturating_sub(bytes);
            let start = output.ceil_char_boundary(start);
            output.drain(..start);
        }
        if let Some(files) = &mut self.files {
            let mut room = bytes;
            files.retain(|file| {
                let fits = file.len() + 3 <= room;
                room = room.saturating_sub(file.len() + 3);
                fits
            });
        }
    }
}

/// The notes of earlier attempts.
///
/// # Errors
/// One of them is something else.
pub(super) fn read(texts: &[Arc<str>]) -> Result<Vec<Note>, LandError> {
    texts
        .iter()
        .map(|text| {
            serde_json::from_str(text).map_err(|error| LandError::UnreadableNote(error.to_string()))
        })
        .collect()
}

/// The target's tip before anything of this landing moved it.
pub(super) fn first_before(notes: &[Note]) -> Option<String> {
    notes.iter().find_map(|note| match note {
        Note::Move { before, .. } => Some(before.clone()),
        Note::Left { .. } => None,
    })
}

/// What is known to have been done, by branch.
pub(super) struct Past(HashMap<String, Note>);

impl Past {
    /// Reads it from the notes, and does now what was noted last and not done.
    ///
    /// # Errors
    /// The target is neither what it was nor what it was to be.
    pub(super) async fn of(notes: &[Note], target: &Target<'_>) -> Result<Self, LandError> {
        let mut past = HashMap::new();
        for note in notes {
            past.insert(note.branch().to_owned(), note.clone());
        }
        let last = notes.iter().rev().find_map(|note| match note {
            Note::Move { before, after, .. } => Some((before, after)),
            Note::Left { .. } => None,
        });
        if let Some((before, after)) = last {
            let tip = target.tip().await?;
            let is_done = if tip == *before {
                matches!(target.go(before, after).await?, Moved::Yes)
            } else {
                is_behind(target.git, target.top, after, &tip).await?
            };
            if !is_done {
                return Err(LandError::Moved {
                    into: target.into.to_owned(),
                    tip: target.tip().await?,
                    before: before.clone(),
                    after: after.clone(),
                });
            }
        }
        Ok(Self(past))
    }

    /// What became of a branch.
    pub(super) fn of_branch(&self, branch: &str) -> Option<&Note> {
        self.0.get(branch)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::Reason;
    use super::*;

    fn left(output: &str, files: Vec<String>) -> Note {
        Note::Left {
            left: LeftBranch {
                branch: "b".to_owned(),
                reason: Reason::Verify,
                message: "m".repeat(300),
                files: Some(files),
                output: Some(output.to_owned()),
            },
        }
    }

    #[test]
    fn notes_are_as_decided_and_are_read_back() {
        let note = Note::Move {
            branch: "bellwether/r/a-1".to_owned(),
            before: "0".repeat(64),
            after: "1".repeat(64),
        };
        let text = note.text();
        assert!(
            text.starts_with(r#"{"branch":"bellwether/r/a-1","before":"000"#),
            "{text}"
        );
        let short = left("all of it", vec!["a".to_owned()]);
        let texts = [text, short.text()].map(Arc::from);
        assert_eq!(read(&texts).unwrap(), [note, short]);
        assert!(read(&["{}".into()]).is_err());
    }

    #[test]
    fn a_long_note_keeps_the_end_of_the_output_and_the_first_files() {
        for output in ["é\u{1}\n".repeat(4000), "x".repeat(4000)] {
            let files = (0..500)
                .map(|number| format!("some/path/{number}"))
                .collect();
            let text = left(&format!("{output}the end"), files).text();
            assert!(
                text.len() <= NOTE_BYTES_MAX && text.len() > NOTE_BYTES_MAX / 8,
                "{}",
                text.len()
            );
            let Note::Left { left } = serde_json::from_str(&text).unwrap() else {
                panic!("{text}");
            };
            assert!(left.output.unwrap().ends_with("the end"));
            assert_eq!(left.files.unwrap()[0], "some/path/0");
        }
    }
}
