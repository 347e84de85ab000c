//! Where things are, for any size of terminal: what is drawn and what is clicked follow the same plan.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::cli::terminal::width;
use crate::cli::top::app::{App, waits};
use crate::engine::list::Row;
use crate::engine::top::SPANS;

/// From this width on the chosen peer is shown beside the fleet, with as much for it as half a page of code needs.
const BESIDE: u16 = 110;
const LEAST_BESIDE: u16 = 40;
/// Below that, and from this height on, it is shown below: an agent draws for 80 columns, and loses half of each line beside.
const BELOW: u16 = 15;
/// Wide and low terminals show both side by side with fewer columns.
const LOW_BESIDE: u16 = 80;

/// Columns of the bar that fills as an agent idles towards its park, and of the time behind it.
pub(super) const BAR: usize = 6;
pub(super) const IDLE: usize = 4;
/// Cells of a memory sparkline, and columns of the number behind it.
pub(super) const MEMORY: usize = 6;
pub(super) const SIZE: usize = 5;
/// A longer name is cut.
const LONGEST_NAME: usize = 16;
/// Less of a topic says nothing.
const SHORTEST_TOPIC: usize = 8;
/// What is left free at the right of the fleet.
const MARGIN: usize = 1;

/// The columns that there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) name: usize,
    pub(super) state: usize,
    /// How long it has been idle; and the bar before it.
    pub(super) idle: bool,
    pub(super) bar: bool,
    /// The amount of memory; and what it was before.
    pub(super) memory: bool,
    pub(super) spark: bool,
    pub(super) starts: bool,
    /// What it is about, or what it waits for.
    pub(super) topic: usize,
}

impl Columns {
    /// Those of a fleet in so many columns, the ones that say most first.
    fn of(app: &App, room: usize, with_topic: bool) -> Self {
        let rows = &app.view.fleet.rows;
        let word = |row: &Row| app.doing_to(&row.peer).map_or(0, str::len).max(row.state.as_str().len());
        let state = rows.iter().map(word).max().unwrap_or(0).max("STATE".len());
        let name = rows.iter().map(|row| width(row.peer.as_str())).max().unwrap_or(0);
        let name = name.clamp("NAME".len(), LONGEST_NAME.min(room.saturating_sub(state + 4).max("NAME".len())));
        let mut columns = Self { name, state, ..Self::default() };
        let mut left = room.saturating_sub(columns.width());
        let mut take = |shown: &mut bool, needs: usize| {
            *shown = left >= needs;
            left -= if *shown { needs } else { 0 };
        };
        take(&mut columns.idle, 2 + IDLE);
        take(&mut columns.memory, 2 + SIZE);
        take(&mut columns.bar, BAR + 1);
        take(&mut columns.spark, MEMORY);
        take(&mut columns.starts, 2 + SPANS);
        columns.bar &= columns.idle;
        columns.spark &= columns.memory;
        let topic = rows.iter().filter_map(about).map(width).max().unwrap_or(0).min(left.saturating_sub(2));
        columns.topic = if with_topic && topic >= SHORTEST_TOPIC { topic } else { 0 };
        columns
    }

    /// All of them with the gaps between.
    pub(super) fn width(self) -> usize {
        let wide = |shown: bool, columns: usize| if shown { columns } else { 0 };
        let topic = wide(self.topic > 0, 2 + self.topic);
        let idle = wide(self.idle, 2 + IDLE) + wide(self.bar, BAR + 1);
        let memory = wide(self.memory, 2 + SIZE) + wide(self.spark, MEMORY);
        2 + self.name + 2 + self.state + idle + memory + wide(self.starts, 2 + SPANS) + topic + MARGIN
    }
}

/// What a row says of its peer beside numbers: what it waits for, else its topic.
pub(super) fn about(row: &Row) -> Option<&str> {
    row.detail.as_deref().filter(|_| waits(row)).or(row.topic.as_deref())
}

/// Where the chosen peer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    Beside(Rect),
    Below(Rect),
    Nowhere,
}

impl Chosen {
    pub(super) fn area(self) -> Option<Rect> {
        match self {
            Self::Beside(area) | Self::Below(area) => Some(area),
            Self::Nowhere => None,
        }
    }
}

/// The plan of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) head: Rect,
    /// With its titles in the first row.
    pub(super) fleet: Rect,
    pub(super) columns: Columns,
    /// The first row that is shown, so that the chosen one is in sight.
    pub(super) first: usize,
    pub(super) chosen: Chosen,
    pub(super) foot: Rect,
}

impl Plan {
    pub(super) fn of(app: &App, area: Rect) -> Self {
        let foot = super::foot::height(app, area);
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(foot)]).areas(area);
        let (fleet, columns, chosen) = Self::body(app, body);
        let shown = usize::from(fleet.height).saturating_sub(1).max(1);
        let at = app.rows().iter().position(|row| Some(&row.peer) == app.chosen.as_ref()).unwrap_or(0);
        Self { head, fleet, columns, first: at.saturating_sub(shown - 1), chosen, foot }
    }

    fn body(app: &App, body: Rect) -> (Rect, Columns, Chosen) {
        let wide = usize::from(body.width);
        if body.width >= BESIDE || (body.width >= LOW_BESIDE && body.height < BELOW) {
            let columns = Columns::of(app, wide - usize::from(LEAST_BESIDE), false);
            let left = u16::try_from(columns.width()).unwrap_or(body.width);
            let [fleet, chosen] = Layout::horizontal([Constraint::Length(left), Constraint::Min(1)]).areas(body);
            return (fleet, columns, Chosen::Beside(chosen));
        }
        let columns = Columns::of(app, wide, true);
        if body.height < BELOW {
            return (body, columns, Chosen::Nowhere);
        }
        // The fleet gets what it needs, up to two fifths.
        let rows = u16::try_from(app.rows().len()).unwrap_or(u16::MAX).saturating_add(1);
        let above = rows.clamp(3, (body.height * 2 / 5).max(3));
        let [fleet, chosen] = Layout::vertical([Constraint::Length(above), Constraint::Min(1)]).areas(body);
        (fleet, columns, Chosen::Below(chosen))
    }
}
