//! The layout for any size of terminal. Drawing and clicks follow the same plan.

use ratatui::layout::{Constraint, Layout, Position, Rect};

use crate::cli::args::order::Order;
use crate::cli::render::terminal::width;
use crate::cli::verbs::top::app::{App, waits};
use crate::engine::verbs::list::Row;
use crate::engine::verbs::top::SPANS;
use crate::policy::name::PeerName;

/// From this width on, the chosen peer is shown beside the fleet, which leaves it at least `LEAST_BESIDE` columns.
const BESIDE: u16 = 100;
const LEAST_BESIDE: u16 = 30;
/// Narrower terminals show it below from this height on: an agent draws for 80 columns, and beside the fleet half of
/// each line would be lost.
const BELOW: u16 = 15;
/// Wide and low terminals show both side by side with fewer columns.
const LOW_BESIDE: u16 = 80;

/// The columns of the bar that fills as an agent idles towards its park, and of the time after it.
pub(super) const BAR: usize = 6;
pub(super) const IDLE: usize = 4;
/// The cells of a memory sparkline, and the columns of the number after it.
pub(super) const MEMORY: usize = 6;
pub(super) const SIZE: usize = 5;
/// The width at which names are cut.
const LONGEST_NAME: usize = 16;
/// The least width at which a topic is of use.
const SHORTEST_TOPIC: usize = 8;
/// The free columns at the right of the fleet.
const MARGIN: usize = 1;

/// The widths of the columns that there is room for; 0: the column is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) name: usize,
    pub(super) state: usize,
    /// How long the agent has been idle, with or without a bar.
    pub(super) idle: usize,
    /// The amount of memory, with or without its history.
    pub(super) memory: usize,
    pub(super) starts: usize,
    /// The topic, or what the peer waits for.
    pub(super) topic: usize,
}

impl Columns {
    /// Chooses the columns that fit into `room`, the most important ones first.
    fn of(app: &App, room: usize, with_topic: bool) -> Self {
        let rows = &app.view.fleet.rows;
        let word = |row: &Row| app.doing_to(&row.peer).map_or(0, str::len).max(row.state.as_str().len());
        let state = rows.iter().map(word).max().unwrap_or(0).max("STATE".len());
        let name = rows.iter().map(|row| width(row.peer.as_str())).max().unwrap_or(0);
        let name = name.clamp("NAME".len(), LONGEST_NAME.min(room.saturating_sub(state + 4).max("NAME".len())));
        let mut columns = Self { name, state, ..Self::default() };
        let mut left = room.saturating_sub(columns.width());
        let mut take = |column: &mut usize, more: usize, gap: usize| {
            if left >= more + gap {
                *column += more;
                left -= more + gap;
            }
        };
        take(&mut columns.idle, IDLE, 2);
        take(&mut columns.memory, SIZE, 2);
        if columns.memory > 0 {
            take(&mut columns.idle, BAR + 1, 0);
            take(&mut columns.memory, MEMORY, 0);
            take(&mut columns.starts, SPANS, 2);
        }
        let topic = rows.iter().filter_map(about).map(width).max().unwrap_or(0).min(left.saturating_sub(2));
        columns.topic = if with_topic && topic >= SHORTEST_TOPIC { topic } else { 0 };
        columns
    }

    pub(super) const fn has_bar(self) -> bool {
        self.idle > IDLE
    }

    pub(super) const fn has_spark(self) -> bool {
        self.memory > SIZE
    }

    /// The width of all columns with the gaps between them.
    pub(super) fn width(self) -> usize {
        let more = [self.idle, self.memory, self.starts, self.topic];
        let more = more.into_iter().filter(|column| *column > 0).map(|column| 2 + column);
        2 + self.name + 2 + self.state + more.sum::<usize>() + MARGIN
    }
}

/// The text of a row beside its numbers: what the peer waits for, else its topic.
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

/// The layout of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::verbs::top) struct Plan {
    pub(super) head: Rect,
    /// Includes its titles in the first row.
    pub(super) fleet: Rect,
    pub(super) columns: Columns,
    /// The first row that is shown, so that the chosen one is in view.
    pub(super) first: usize,
    pub(super) chosen: Chosen,
    pub(super) foot: Rect,
}

impl Plan {
    pub(in crate::cli::verbs::top) fn of(app: &App, area: Rect) -> Self {
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

/// What is at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::verbs::top) enum Place {
    Row(PeerName),
    /// The title of a column that the fleet can be sorted by.
    Title(Order),
    Chosen,
    Nothing,
}

impl Plan {
    /// Returns what is at a column and a row of the screen.
    pub(in crate::cli::verbs::top) fn at(&self, app: &App, column: u16, row: u16) -> Place {
        let position = Position::new(column, row);
        if self.chosen.area().is_some_and(|area| area.contains(position)) {
            return Place::Chosen;
        }
        if !self.fleet.contains(position) {
            return Place::Nothing;
        }
        let Some(below) = usize::from(row - self.fleet.y).checked_sub(1) else {
            return self.columns.order_at(usize::from(column - self.fleet.x));
        };
        app.rows().get(self.first + below).map_or(Place::Nothing, |row| Place::Row(row.peer.clone()))
    }
}

impl Columns {
    fn order_at(self, column: usize) -> Place {
        let state = 2 + self.name + 2;
        let idle = state + self.state + 2;
        let end = idle + self.idle;
        match column {
            column if column < state => Place::Title(Order::Name),
            column if column < idle => Place::Title(Order::State),
            column if column < end => Place::Title(Order::Idle),
            _ => Place::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_one_is_where_there_is_room_for_it() {
        let app = App::new();
        let plan = |width, height| Plan::of(&app, Rect::new(0, 0, width, height));
        for (width, height) in [(200, 50), (100, 17), (120, 12), (80, 12)] {
            assert!(matches!(plan(width, height).chosen, Chosen::Beside(_)), "{width}x{height}");
        }
        for (width, height) in [(80, 24), (40, 30)] {
            let Chosen::Below(area) = plan(width, height).chosen else { panic!("{width}x{height}") };
            assert!(area.width == width && area.height > height / 2, "{width}x{height}: {area:?}");
        }
        for (width, height) in [(40, 12), (70, 10), (1, 1)] {
            assert_eq!(plan(width, height).chosen, Chosen::Nowhere, "{width}x{height}");
        }
    }

    #[test]
    fn columns_never_take_more_than_there_is() {
        let app = App::new();
        for room in 17..200 {
            let columns = Columns::of(&app, room, true);
            assert!(columns.width() <= room, "{room}: {columns:?}");
        }
    }
}
