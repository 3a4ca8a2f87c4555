//! Text in columns for people: tables that shrink to the terminal, aligned fields, wrapped prose.

/// Between two columns.
const GAP: usize = 2;

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    heading: &'static str,
    right: bool,
    /// How narrow it may get; `None`: it keeps its width.
    least: Option<usize>,
    /// Whether the end of a text tells more than its beginning.
    keeps_end: bool,
}

impl Column {
    pub(super) const fn left(heading: &'static str) -> Self {
        Self { heading, right: false, least: None, keeps_end: false }
    }

    pub(super) const fn right(heading: &'static str) -> Self {
        Self { heading, right: true, least: None, keeps_end: false }
    }

    /// May be cut down to `least` characters, its heading too.
    pub(super) const fn shrinks(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// Is cut in front: paths.
    pub(super) const fn keeps_end(self) -> Self {
        Self { keeps_end: true, ..self }
    }

    fn cell(&self, text: &str, width: usize) -> String {
        let text = cut(text, width, self.keeps_end);
        if self.right { format!("{text:>width$}") } else { format!("{text:<width$}") }
    }
}

/// The table with its headings, each line behind `indent` spaces, not wider than `width`: when its columns cannot shrink so far,
/// every row becomes a list.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>], indent: usize, width: Option<usize>) -> String {
    let widths = widths(columns, rows, indent, width);
    let full = indent + widths.iter().sum::<usize>() + GAP * columns.len().saturating_sub(1);
    if width.is_some_and(|width| full > width) {
        return list(columns, rows, indent, width);
    }
    let headings = columns.iter().map(|column| column.heading.to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let cells =
            columns.iter().zip(row).zip(&widths).map(|((column, cell), width)| column.cell(cell, *width));
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        text.push_str(format!("{}{line}", " ".repeat(indent)).trim_end());
        text.push('\n');
    }
    text
}

/// A row after the other, its cells below each other; what is empty or a dash is left out.
fn list(columns: &[Column], rows: &[Vec<String>], indent: usize, width: Option<usize>) -> String {
    let block = |row: &Vec<String>| {
        let cells = columns.iter().zip(row).filter(|(_, cell)| !["", "-"].contains(&cell.as_str()));
        let cells: Vec<(&str, String)> = cells.map(|(column, cell)| (column.heading, cell.clone())).collect();
        fields(&cells, indent, width)
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// As wide as the content; then columns give way, the last one that can first.
fn widths(columns: &[Column], rows: &[Vec<String>], indent: usize, width: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(column.heading.len())
        })
        .collect();
    let Some(width) = width else { return widths };
    let room = width.saturating_sub(indent + GAP * columns.len().saturating_sub(1));
    for (at, column) in columns.iter().enumerate().rev() {
        let excess = widths.iter().sum::<usize>().saturating_sub(room);
        let spare = column.least.map_or(0, |least| widths[at].saturating_sub(least));
        widths[at] -= excess.min(spare);
    }
    widths
}

/// `text` in `width` characters, with … for what is left out.
fn cut(text: &str, width: usize, keeps_end: bool) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let keep = width.saturating_sub(1);
    if keeps_end {
        format!("…{}", text.chars().skip(count - keep).collect::<String>())
    } else {
        format!("{}…", text.chars().take(keep).collect::<String>())
    }
}

/// `label  value` lines, the values below each other and wrapped to `width`.
pub(super) fn fields<L: AsRef<str>>(fields: &[(L, String)], indent: usize, width: Option<usize>) -> String {
    let label = fields.iter().map(|(label, _)| label.as_ref().chars().count()).max().unwrap_or(0);
    let start = indent + label + GAP;
    let mut text = String::new();
    for (name, value) in fields {
        let lines = wrap(value, width.map(|width| width.saturating_sub(start)));
        for (at, line) in lines.iter().enumerate() {
            let name = if at == 0 { name.as_ref() } else { "" };
            text.push_str(format!("{}{name:<label$}  {line}", " ".repeat(indent)).trim_end());
            text.push('\n');
        }
    }
    text
}

/// The lines of `text`, broken between words so that none is longer than `width`, unless a word is.
pub(super) fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let mut lines = Vec::new();
    for given in text.split('\n') {
        let mut line = String::new();
        for word in given.split(' ') {
            let full = line.chars().count() + 1 + word.chars().count() > width.unwrap_or(usize::MAX);
            if full && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// `1 error`, `2 errors`.
pub(super) fn count(number: usize, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}

/// `42s`, `3m`, `5h`, `2d`: the largest unit that fits.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `-` for nothing.
pub(super) fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A process chooses its own name: nothing in it may move the cursor.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_shrink_to_the_terminal_and_then_become_lists() {
        let columns = [
            Column::left("HOST").shrinks(6),
            Column::right("N"),
            Column::left("PATH").shrinks(6).keeps_end(),
        ];
        let rows = [vec!["api.example.com".to_owned(), "12".to_owned(), "/sys/fs/cgroup/x".to_owned()]];
        assert_eq!(
            table(&columns, &rows, 2, None),
            "  HOST              N  PATH\n  api.example.com  12  /sys/fs/cgroup/x\n"
        );
        assert_eq!(
            table(&columns, &rows, 2, Some(30)),
            "  HOST              N  PATH\n  api.example.com  12  …roup/x\n"
        );
        assert_eq!(table(&columns, &rows, 0, Some(18)), "HOST     N  PATH\napi.e…  12  …oup/x\n");
        let rows = [rows[0].clone(), vec!["b".to_owned(), "-".to_owned(), String::new()]];
        assert_eq!(
            table(&columns, &rows, 0, Some(17)),
            "HOST  api.example.com\nN     12\nPATH  /sys/fs/cgroup/x\n\nHOST  b\n"
        );
    }

    #[test]
    fn prose_is_wrapped_below_itself() {
        let text = fields(&[("a", "one two three".to_owned()), ("long", "x".to_owned())], 2, Some(16));
        assert_eq!(text, "  a     one two\n        three\n  long  x\n");
        assert_eq!(wrap("averyverylongword b", Some(5)), ["averyverylongword", "b"]);
        assert_eq!(wrap("a\nb", None), ["a", "b"]);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(1, "error"), count(0, "error"), count(2, "entry")],
            ["1 error", "0 errors", "2 entries"]
        );
        assert_eq!([age(0), age(119), age(120), age(7_200), age(172_800)], ["0s", "119s", "2m", "2h", "2d"]);
    }
}
