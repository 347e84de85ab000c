//! Draws a captured terminal as an SVG: `tmux capture-pane -e -p | picture TITLE > FILE.svg`. Used by
//! `scripts/picture`.
//!
//! The existing terminal-to-SVG crates let text flow: where a reader's browser takes `▇` or `●` from another font, the
//! columns of a table come apart. Here each run of text has a fixed position and width, and bars and rules are drawn as
//! shapes.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};

use ansi_to_tui::IntoText;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Text;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// One character's cell, and the frame around all of them, in pixels.
const CELL: f64 = 8.4;
const LINE: f64 = 19.0;
const PADDING: f64 = 18.0;
const HEAD: f64 = 38.0;
/// The least width in columns, so that two pictures under one another are equally wide.
const COLUMNS: usize = 100;

/// GitHub's own dark scheme, which has contrast on white and on black pages.
const BACKGROUND: &str = "#161b22";
const BORDER: &str = "#3d444d";
const TEXT: &str = "#d1d7e0";
const DIM: &str = "#7d8590";
/// Black, red, green, yellow, blue, magenta, cyan, white.
const COLOURS: [&str; 8] = ["#484f58", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc"];

fn main() -> io::Result<()> {
    let title = std::env::args().nth(1).unwrap_or_default();
    let mut captured = String::new();
    io::stdin().read_to_string(&mut captured)?;
    let text = captured.trim_end().into_text().map_err(io::Error::other)?;
    io::stdout().write_all(picture(&title, &text).as_bytes())
}

fn picture(title: &str, text: &Text<'_>) -> String {
    let columns = text.width().max(COLUMNS);
    let (wide, high) = (cells(columns) + 2.0 * PADDING, lines(text.height()) + HEAD + PADDING);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" width=\"{wide}\" height=\"{high}\" \
         role=\"img\" aria-label=\"{title}\" font-size=\"14\" \
         font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, Liberation Mono, monospace\">\n\
         <title>{title}</title>\n\
         <rect x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"9\" fill=\"{BACKGROUND}\" stroke=\"{BORDER}\"/>\n",
        wide - 1.0,
        high - 1.0,
        title = escaped(title),
    );
    for (at, colour) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
        let _ = writeln!(svg, "<circle cx=\"{}\" cy=\"19\" r=\"5.5\" fill=\"{colour}\"/>", 20.0 + 19.0 * count(at));
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"23\" fill=\"{DIM}\" font-size=\"12\" text-anchor=\"middle\">{}</text>",
        wide / 2.0,
        escaped(title)
    );
    for (row, line) in text.lines.iter().enumerate() {
        let (mut column, top) = (0, HEAD + lines(row));
        for span in &line.spans {
            for run in runs(&span.content) {
                draw(&mut svg, run, span.style, PADDING + cells(column), top);
                column += run.width();
            }
        }
    }
    svg + "</svg>\n"
}

/// Splits a text into runs: characters that are drawn as shapes, one cell at a time, and the text between them. Two
/// spaces end a run, so that each word is placed on its own.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = if shape(first).is_some() {
            first.len_utf8()
        } else {
            let drawn = rest.find(|c| shape(c).is_some()).unwrap_or(rest.len());
            let gap = rest.find("  ").map_or(rest.len(), |at| at + rest[at..].len() - rest[at..].trim_start().len());
            drawn.min(gap)
        };
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}

/// Left, top, width and height of a character that is a shape, in fractions of a cell.
fn shape(c: char) -> Option<[f64; 4]> {
    match c {
        '▁'..='█' => {
            let height = f64::from(u32::from(c) - 0x2580) / 8.0;
            Some([0.04, 0.86 - 0.76 * height, 0.92, 0.76 * height])
        }
        '─' => Some([0.0, 0.5, 1.0, 0.06]),
        '│' => Some([0.45, 0.0, 0.12, 1.0]),
        _ => None,
    }
}

fn draw(svg: &mut String, run: &str, style: Style, x: f64, top: f64) {
    let dim = style.add_modifier.contains(Modifier::DIM);
    let fill = if dim { DIM } else { colour(style.fg) };
    if let Some([left, above, wide, high]) = run.chars().next().and_then(shape) {
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            x + left * CELL,
            top + above * LINE,
            wide * CELL,
            high * LINE,
            if matches!(run, "─" | "│") { BORDER } else { fill }
        );
        return;
    }
    let text = run.trim_end();
    let spaces: usize = text.chars().take_while(|c| *c == ' ').filter_map(UnicodeWidthChar::width).sum();
    let text = text.trim_start();
    if text.is_empty() {
        return;
    }
    let bold = if style.add_modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" textLength=\"{:.1}\" fill=\"{fill}\"{bold}>{}</text>",
        x + cells(spaces),
        top + 14.0,
        cells(text.width()),
        escaped(text)
    );
}

/// The colour of text; only the sixteen colours of a terminal are needed here.
fn colour(colour: Option<Color>) -> &'static str {
    let index = match colour {
        Some(Color::Black | Color::DarkGray | Color::Indexed(0 | 8)) => 0,
        Some(Color::Red | Color::LightRed | Color::Indexed(1 | 9)) => 1,
        Some(Color::Green | Color::LightGreen | Color::Indexed(2 | 10)) => 2,
        Some(Color::Yellow | Color::LightYellow | Color::Indexed(3 | 11)) => 3,
        Some(Color::Blue | Color::LightBlue | Color::Indexed(4 | 12)) => 4,
        Some(Color::Magenta | Color::LightMagenta | Color::Indexed(5 | 13)) => 5,
        Some(Color::Cyan | Color::LightCyan | Color::Indexed(6 | 14)) => 6,
        Some(Color::Gray | Color::White | Color::Indexed(7 | 15)) => 7,
        _ => return TEXT,
    };
    COLOURS[index]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn cells(columns: usize) -> f64 {
    count(columns) * CELL
}

fn lines(rows: usize) -> f64 {
    count(rows) * LINE
}

/// Converts a number of columns or rows, which is always small.
fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
