//! The passage of a text that comes nearest to a quotation which does not stand in it.

use std::collections::HashMap;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::folded::Folded;

/// How much of a quotation's words, weighed, a passage must have to be shown.
const LIKENESS_MIN: f64 = 0.4;
/// In longer texts, in bytes, no passage is looked for: it takes too long for a quotation that is likely made up.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// A passage is shown in whole lines, unless they have more bytes than this.
const LINES_BYTES_MAX: usize = 2_000;

/// Where in the source the passage stands that has most of the quotation's words; rare words count for more.
/// `None` where nothing comes near.
pub(super) fn nearest(quotation: &str, text: &Folded<'_>) -> Option<Range<usize>> {
    if text.text().len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut wanted = Wanted::new(quotation);
    // Only the words of the quotation matter, but how far apart they are is counted in all words.
    let mut all = 0;
    let mut hits: Vec<Hit> = Vec::new();
    for (at, word) in text.text().unicode_word_indices() {
        if let Some(word_index) = wanted.index(word) {
            wanted.words[word_index].in_text += 1;
            hits.push(Hit {
                word: word_index,
                number: all,
                place: at..at + word.len(),
            });
        }
        all += 1;
    }
    let weights = wanted.weights(all);
    let total: f64 = wanted
        .words
        .iter()
        .zip(&weights)
        .map(|(word, weight)| f64::from(word.in_quotation) * weight)
        .sum();
    let reach = wanted.length + wanted.length / 4 + 2;
    let (likeness, best) = best_window(&hits, &wanted, &weights, reach)?;
    if likeness < LIKENESS_MIN * total {
        return None;
    }
    let origin = text.origin(hits[best.start].place.start..hits[best.end - 1].place.end);
    let lines = text.whole_lines(&origin);
    Some(if lines.len() <= LINES_BYTES_MAX {
        lines
    } else {
        origin
    })
}

/// A word of the quotation in the text.
struct Hit {
    /// Which.
    word: usize,
    /// It is the so-manyth word of the text.
    number: usize,
    place: Range<usize>,
}

struct Wanted {
    indices: HashMap<String, usize>,
    words: Vec<Word>,
    /// How many words the quotation has.
    length: usize,
}

#[derive(Default)]
struct Word {
    in_quotation: u32,
    in_text: u32,
}

impl Wanted {
    fn new(quotation: &str) -> Self {
        let mut wanted = Self {
            indices: HashMap::new(),
            words: Vec::new(),
            length: 0,
        };
        for word in quotation.unicode_words() {
            let next = wanted.words.len();
            let index = *wanted.indices.entry(word.to_lowercase()).or_insert(next);
            if index == next {
                wanted.words.push(Word::default());
            }
            wanted.words[index].in_quotation += 1;
            wanted.length += 1;
        }
        wanted
    }

    fn index(&self, word: &str) -> Option<usize> {
        self.indices.get(&word.to_lowercase()).copied()
    }

    /// What each word weighs in a text of so many words: one that stands everywhere says nothing.
    fn weights(&self, all: usize) -> Vec<f64> {
        let weight = |word: &Word| (1.0 + all as f64 / f64::from(word.in_text.max(1))).ln();
        self.words.iter().map(weight).collect()
    }
}

/// The hits within `reach` words of each other that weigh most, a word at most as often as the quotation has it; the
/// first of them where several weigh the same.
fn best_window(
    hits: &[Hit],
    wanted: &Wanted,
    weights: &[f64],
    reach: usize,
) -> Option<(f64, Range<usize>)> {
    let mut counts = vec![0_u32; wanted.words.len()];
    let mut likeness = 0.0;
    let mut best: Option<(f64, Range<usize>)> = None;
    let mut start = 0;
    for (end, hit) in hits.iter().enumerate() {
        counts[hit.word] += 1;
        if counts[hit.word] <= wanted.words[hit.word].in_quotation {
            likeness += weights[hit.word];
        }
        while hit.number - hits[start].number >= reach {
            let word = hits[start].word;
            if counts[word] <= wanted.words[word].in_quotation {
                likeness -= weights[word];
            }
            counts[word] -= 1;
            start += 1;
        }
        // Rounding must not make a later passage better than the same one before it.
        if best.as_ref().is_none_or(|(most, _)| likeness > most + 1e-9) {
            best = Some((likeness, start..end + 1));
        }
    }
    best
}
