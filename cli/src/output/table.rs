//! Tables that stay readable at 80 columns.

/// The width that tables are made for.
pub(crate) const WIDTH: usize = 80;

/// How a text is coloured.
type Painter = Box<dyn Fn(&str) -> String>;

/// A cell: its text, and how it is painted once it has its width.
pub(crate) struct Cell {
    text: String,
    paint: Option<Painter>,
    right: bool,
}

impl Cell {
    /// A text at the left of its column.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            paint: None,
            right: false,
        }
    }

    /// A number at the right of its column.
    pub(crate) fn right(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            paint: None,
            right: true,
        }
    }

    /// Painted.
    #[must_use]
    pub(crate) fn painted(mut self, paint: impl Fn(&str) -> String + 'static) -> Self {
        self.paint = Some(Box::new(paint));
        self
    }
}

/// Lines up rows under their heads; the column `flexible` gives way when the table is wider than
/// `width`.
pub(crate) fn lines(
    heads: &[&str],
    rows: Vec<Vec<Cell>>,
    flexible: usize,
    width: usize,
) -> Vec<String> {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            widths[column] = widths[column].max(cell.text.chars().count());
        }
    }
    let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    if total > width {
        let least = heads[flexible].chars().count().max(8);
        widths[flexible] = widths[flexible].saturating_sub(total - width).max(least);
    }
    let last = heads.len() - 1;
    let right: Vec<bool> = (0..heads.len())
        .map(|column| rows.first().is_some_and(|row| row[column].right))
        .collect();
    let head = heads.iter().enumerate().map(|(column, head)| {
        let cell = if right[column] {
            Cell::right(*head)
        } else {
            Cell::new(*head)
        };
        place(&cell, widths[column], column == last)
    });
    let head = head.collect::<Vec<_>>().join("  ");
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate();
        let cells = cells.map(|(column, cell)| place(&cell, widths[column], column == last));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    std::iter::once(head.trim_end().to_owned())
        .chain(rows)
        .collect()
}

fn place(cell: &Cell, width: usize, last: bool) -> String {
    let text = super::paint::one_line(&cell.text, width);
    let space = " ".repeat(width - text.chars().count());
    let text = match &cell.paint {
        Some(paint) => paint(&text),
        None => text,
    };
    match (cell.right, last) {
        (true, _) => format!("{space}{text}"),
        (false, true) => text,
        (false, false) => format!("{text}{space}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_flexible_one_gives_way() {
        let row = |name: &str, number: &str| {
            vec![
                Cell::new(name),
                Cell::right(number),
                Cell::new("x").painted(|text| format!("<{text}>")),
            ]
        };
        let table = lines(
            &["NAME", "AGENTS", "STATE"],
            vec![
                row("short", "5"),
                row("a name that is far too long", "1200"),
            ],
            0,
            26,
        );
        assert_eq!(
            table,
            [
                "NAME         AGENTS  STATE",
                "short             5  <x>",
                "a name tha…    1200  <x>",
            ]
        );
    }
}
